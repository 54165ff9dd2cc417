"""Each kind of anomaly with the rule that finds it, in words, for people and for the docs."""

from typing import NamedTuple, get_args

from protocols.anomalies import watch
from protocols.anomalies.rates import TRIALS_KEPT_MAX
from protocols.anomalies.robust import SPREADS, UNLIKELY
from protocols.auction.screening import Screen

_CHANCE = f"less likely than 1 in {UNLIKELY} (exact binomial tail)"
_SPREAD = f"{SPREADS} times 1.4826 times the median absolute deviation"
_RATE = f"of the newest {TRIALS_KEPT_MAX} at most"
_NEWEST = f"median of the newest {watch.NEWEST}"


class Rule(NamedTuple):
    """What finds a kind of anomaly, and what honest subjects may do to be named."""

    what: str
    alike: str


RULES: dict[str, Rule] = {
    "fails_often": Rule(
        f"Share of an executor's agreements {_RATE} graded poor or byzantine,"
        f" {watch.AGREEMENTS_MIN} or more; {_CHANCE} at the median share of the others, at least"
        f" {watch.FAIL_FLOOR_PPM // 10_000} %.",
        "an agent whose machine or service is down",
    ),
    "slower_than_before": Rule(
        f"Time from award to sealed result, {_NEWEST} of one executor and capability, above the"
        f" median of its {watch.PAST_MIN} or more earlier ones plus {_SPREAD}, at least"
        f" {watch.SLOW_SLACK_MS} ms and as much again.",
        "larger inputs; more work at once",
    ),
    "slower_than_others": Rule(
        f"The same {_NEWEST}, above the median of two or more other executors of the capability,"
        " with the same band.",
        "who wins the most work at once has the longest queue",
    ),
    "price_jump": Rule(
        f"Price of awards for a capability, {_NEWEST}, off the median of {watch.PAST_MIN} or more"
        f" earlier ones by {_SPREAD}, at least {watch.PRICE_SLACK_PPM // 10_000} %.",
        "a cheap agent left or came; inputs of another size",
    ),
    "withholds_bids": Rule(
        f"Share of a bidder's sealed bids {_RATE} that it did not open, {watch.BIDS_MIN} or more;"
        f" {_CHANCE} at the median share of the others, at least"
        f" {watch.WITHHOLD_FLOOR_PPM // 10_000} %.",
        "an agent that restarts without its notes, or is cut off",
    ),
    "never_disagrees": Rule(
        f"None of a verifier's results {_RATE}, {watch.VERDICTS_MIN} or more, differed from the"
        f" executor's; {_CHANCE} at the median share of the other verifiers.",
        "a verifier that was drawn for honest executors alone",
    ),
    "pays_little": Rule(
        f"Share of a requester's answers {_RATE} that paid less than half of the price,"
        f" {watch.ANSWERS_MIN} or more; {_CHANCE} at the median share of the others, at least"
        f" {watch.PAYS_LITTLE_FLOOR_PPM // 10_000} %.",
        "a requester that gets bad work",
    ),
    "drains": Rule(
        f"What an account owns in all, below {watch.DRAINED_PPM // 10_000} % of the most it owned"
        f" in this stretch of the log, where that was {watch.DRAIN_MIN} or more.",
        "a requester that spends what it has; credits sent to another committee",
    ),
    "seldom_votes": Rule(
        f"Share of the proofs of batches {_RATE}, {watch.PROOFS_MIN} or more, that hold a member's"
        f" COMMIT; {_CHANCE} at {watch.VOTES_SHARE_PPM // 10_000} % of the others' median share.",
        "a member that is down, or so far away that a quorum is always there before it",
    ),
    "view_changes": Rule(
        f"Share of batches {_RATE}, {watch.PROOFS_MIN} or more, that were committed in a higher"
        f" view than the one before; {_CHANCE} at {watch.VIEW_FLOOR_PPM // 10_000} %.",
        "primaries that are restarted one after the other",
    ),
} | dict.fromkeys(
    get_args(Screen), Rule("See the screens in docs/protocol-market.md.", "what is said there")
)
