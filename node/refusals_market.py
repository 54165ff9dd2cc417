"""What a committee refused of variables and of bids too many: reason -> what it means, remedy."""

_LOOK = "see `econode variable show NAME`"

EXPLAINED = {
    "bid_flood": (
        "this account has bid too often in a short time",
        "wait a moment; the genesis says how often (bid_interval_ms, bid_burst)",
    ),
    "unknown_variable": ("no such variable is open now", "see `econode variable list`"),
    "wrong_round": ("the variable is in another round by now", _LOOK),
    "not_the_holder": (
        "another account, or none, holds the right to set the variable now",
        "bid for the right in the auction of the next round",
    ),
    "too_many_changes": ("the variable was set in this term as often as it may be", _LOOK),
    "value_out_of_bounds": ("that is no value of the variable", _LOOK),
    "too_many_variables": ("too many variables are open", "wait until one has closed"),
    "choices_not_distinct": (
        "a variable has two different choices at least",
        "name each choice once",
    ),
    "choices_or_numbers": (
        "a variable is a choice or a number, not both",
        "leave --low, --high and --step out beside --choice",
    ),
    "empty_domain": (
        "the highest value is not a whole number of steps above the lowest",
        "give another --low, --high or --step",
    ),
    "term_too_short": ("the term is shorter than variable_phase_ms_min", "give a longer --term"),
    "right_to_a_variable": (
        "the auction sells the right to a variable, so nobody takes it back",
        "wait for its end",
    ),
    "not_asked": (
        "only members that do not hold the variable report on it",
        "see `econode member list`",
    ),
    "too_early": ("it is not time for that yet", "wait for the next stage, and try again"),
    "too_late": ("its time is over", "nothing is left to do"),
    "already_reported": ("this account has sealed its report", "run it again to open it"),
    "nothing_to_reveal": ("this account sealed nothing, or has opened it", "nothing is left to do"),
}
