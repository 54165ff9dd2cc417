"""What a committee refuses about general auctions: reason -> what it means, remedy."""

_SHOW = "see `econode auction show ID`"

EXPLAINED = {
    "auction_closed": ("the auction has ended", _SHOW),
    "unknown_auction": ("the auction has ended, or was never opened", "see `econode auction list`"),
    "too_late": ("its time for that is over", _SHOW),
    "too_early": ("it takes that later", _SHOW),
    "own_auction": ("the opener may not bid", "let others bid"),
    "not_listed": ("the auction names its bidders, and this account is none of them", _SHOW),
    "not_asked": ("only bidders that an auction names can pass", "nothing is to be done"),
    "already_bid": ("this account has sealed a bid, or passed, and that stands", _SHOW),
    "already_best": ("the standing bid is this account's own", "wait for others"),
    "bid_too_small": (
        "it does not beat the standing bid by the increment (weighed by reputation)",
        "bid the `quote` that `econode auction show ID` tells, or better",
    ),
    "price_out_of_range": (
        "it is below the reserve or above the cap; where the opener buys, above the limit",
        _SHOW,
    ),
    "price_beyond_limit": ("the price is not that good now", "wait, or give another --price"),
    "above_cap": ("it is above the auction's cap", _SHOW),
    "unknown_lots": ("it names a lot that the auction does not have, or one twice", _SHOW),
    "duplicate_bundle": ("the same lots stand twice", "give each set of lots one price"),
    "too_many_bundles": ("a bid has fewer bundles (auction_bundles_max)", "leave some out"),
    "one_lot_each": ("only combinatorial auctions take several lots together", "bid for each"),
    "too_many_bidders": ("as many have bid, or are named, as there may be", "try another one"),
    "bids_are_in": ("somebody has bid: the auction goes on", "wait for its end"),
    "not_yours": ("another account has to do that", _SHOW),
    "no_agreement": ("nobody of that name has an agreement there now", _SHOW),
    "not_delivered": ("nothing was delivered yet", "wait for the seller, or for the deadline"),
    "already_delivered": ("it was delivered before", "wait for the payer"),
    "too_many_auctions": ("too many auctions are under way", "wait until some have ended"),
    "too_many_lots": ("an auction has fewer lots (auction_lots_max)", "open several"),
    "too_many_units": ("an auction sells fewer units", "open several"),
    "one_lot_only": ("that kind is about one lot", "open several, or a combinatorial or call one"),
    "duplicate_lot": ("two lots have one name", "name them apart"),
    "term_of_another_kind": ("a term is not one of that kind", "see docs/market.md"),
    "bidders_not_ascending": ("a bidder is named twice", "name each once"),
    "budget_and_no_cap": (
        "whoever buys gives each lot a limit above 0, and no cap",
        "leave --cap away, and give the limits: --lot NAME:LIMIT",
    ),
    "cap_below_reserve": (
        "whoever sells gives a cap, at least as high as every limit",
        "give a higher --cap: the most that a bid may name, and what it locks",
    ),
    "no_increment": ("an english auction needs an increment", "give --increment"),
    "no_price_steps": ("a dutch auction needs start, step and step_ms", "give them all"),
    "start_out_of_range": (
        "the start lies between limit and cap (selling), or 1 and the limit (buying)",
        "give another --start",
    ),
    "phase_too_short": (
        "each of its times is at least the network's auction_phase_ms_min",
        "give longer ones; with a delivery both --deliver-in and --accept-in",
    ),
    "extension_too_long": ("one extension is longer than all together", "raise --extend-max"),
}
