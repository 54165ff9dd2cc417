"""Which terms an auction may have, and the deposits that follow from them."""

from crdt.facts_auctions import UNITS_MAX, AuctionTerms
from protocols.auction.clearing import has_rule
from protocols.economy.model import Refused, compute_share
from protocols.genesis import Parameters

DURATION_MS_MAX = 30 * 24 * 3_600_000
"""Longest life of an auction, its delivery included."""
SEALED_KINDS = ("first_price", "vickrey", "multi_unit", "combinatorial", "call")
LOTS_KINDS = ("combinatorial", "call")
"""Kinds of several lots; every other is about one."""

_OPTIONAL = {
    "units": (1, ("multi_unit",)),
    "pricing": ("vcg", ("combinatorial",)),
    "increment": (0, ("english",)),
    "extend_ms": (0, ("english",)),
    "extend_ms_max": (0, ("english",)),
    "start": (0, ("dutch",)),
    "step": (0, ("dutch",)),
    "step_ms": (0, ("dutch",)),
    "reveal_ms": (0, SEALED_KINDS),
}
"""Terms that only some kinds know, with the value they have in all others."""


def check_terms(rules: Parameters, opener: bytes, terms: AuctionTerms) -> None:
    """Raise Refused, with the first reason, for terms that no auction can have."""
    if not has_rule(terms.kind):
        raise Refused("unknown_kind")
    _check_lots(rules, terms)
    _check_bidders(rules, opener, terms)
    for name, (default, kinds) in _OPTIONAL.items():
        if terms.kind not in kinds and getattr(terms, name) != default:
            raise Refused("term_of_another_kind")
    if terms.units > min(UNITS_MAX, rules.auction_bidders_max):
        raise Refused("too_many_units")
    _check_prices(terms)
    _check_durations(rules, terms)


def count_bidders_max(rules: Parameters, terms: AuctionTerms) -> int:
    """How many may bid. Where each may name many bundles there are fewer, so that what all of
    them open together stays bounded."""
    if terms.kind != "combinatorial":
        return rules.auction_bidders_max
    room = rules.auction_bundles_total_max // rules.auction_bundles_max
    return max(1, min(rules.auction_bidders_max, room))


def count_awards_max(terms: AuctionTerms) -> int:
    """Most winners there can be."""
    return terms.units if terms.kind == "multi_unit" else len(terms.lots)


def compute_budget(terms: AuctionTerms) -> int:
    """What the opener of a reverse auction puts into escrow; 0 where it sells."""
    if terms.direction == "forward":
        return 0
    return sum(lot.limit for lot in terms.lots) * terms.units


def compute_bid_deposit(rules: Parameters, terms: AuctionTerms) -> int:
    """What a sealed bid locks: forward the cap, so that whoever wins can pay; reverse a share of
    the most that one seller may be paid. It is flat, so it says nothing of the bid."""
    if terms.direction == "forward":
        return terms.cap
    limits = [lot.limit for lot in terms.lots]
    most = sum(limits) if terms.kind == "combinatorial" else max(limits)
    return compute_share(most, rules.deposit_ppm)


def compute_seller_deposit(rules: Parameters, terms: AuctionTerms) -> int:
    """What the opener of a forward auction locks for each award that it will have to deliver."""
    if terms.direction == "reverse" or not terms.delivery_ms:
        return 0
    return compute_share(terms.cap, rules.deposit_ppm)


def _check_lots(rules: Parameters, terms: AuctionTerms) -> None:
    if len(terms.lots) > rules.auction_lots_max:
        raise Refused("too_many_lots")
    if len(terms.lots) > 1 and terms.kind not in LOTS_KINDS:
        raise Refused("one_lot_only")
    if len({lot.name for lot in terms.lots}) < len(terms.lots):
        raise Refused("duplicate_lot")


def _check_bidders(rules: Parameters, opener: bytes, terms: AuctionTerms) -> None:
    if len(terms.bidders) > count_bidders_max(rules, terms):
        raise Refused("too_many_bidders")
    if list(terms.bidders) != sorted(set(terms.bidders)):
        raise Refused("bidders_not_ascending")
    if opener in terms.bidders:
        raise Refused("own_auction")


def _check_prices(terms: AuctionTerms) -> None:
    limits = [lot.limit for lot in terms.lots]
    if terms.direction == "reverse":
        if terms.cap or not min(limits):
            raise Refused("budget_and_no_cap")
    elif not terms.cap or max(limits) > terms.cap:
        raise Refused("cap_below_reserve")
    if terms.kind == "english" and not terms.increment:
        raise Refused("no_increment")
    if terms.kind != "dutch":
        return
    if not (terms.step and terms.step_ms and terms.start):
        raise Refused("no_price_steps")
    low, high = (limits[0], terms.cap) if terms.direction == "forward" else (1, limits[0])
    if not low <= terms.start <= high:
        raise Refused("start_out_of_range")


def _check_durations(rules: Parameters, terms: AuctionTerms) -> None:
    shortest = rules.auction_phase_ms_min
    phases = [terms.bid_ms]
    if terms.kind in SEALED_KINDS:
        phases.append(terms.reveal_ms)
    if terms.delivery_ms or terms.accept_ms:
        phases += [terms.delivery_ms, terms.accept_ms]
    if min(phases) < shortest:
        raise Refused("phase_too_short")
    if terms.extend_ms > terms.extend_ms_max:
        raise Refused("extension_too_long")
    if sum(phases) + terms.extend_ms_max > DURATION_MS_MAX:
        raise Refused("duration_too_long")
