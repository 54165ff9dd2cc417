"""What an agent would buy or sell in auctions of lots, matched against an auction's terms."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import combinations

from crdt.facts_auctions import AuctionTerms, Direction
from protocols.agents.strategies import Strategy, Worth


@dataclass(frozen=True, slots=True)
class Want:
    """Lots by their names (shell patterns), and what they are worth or cost.

    One pattern: each lot that matches has `amount`. Several: one lot for each of them, together;
    they are bid for in combinatorial auctions alone. `units_max` bounds the lots or units that the
    agent gets, or provides, in all. `strategy` decides the price.
    """

    name: str
    direction: Direction
    """forward: a want, the agent buys. reverse: the agent sells."""
    lots: tuple[str, ...]
    amount: int
    units_max: int
    strategy: Strategy
    margin_ppm: int = 0


def find_want(
    wants: Sequence[Want], terms: AuctionTerms, left: dict[str, int]
) -> tuple[Want, tuple[Worth, ...]] | None:
    """The first want that the auction can serve, with the worth of its lots. `left` says how many
    units each want still has room for, by its name."""
    for want in wants:
        room = left.get(want.name, want.units_max)
        if want.direction != terms.direction or room < 1:
            continue
        worth = tuple(_list_worth(want, terms, room))
        if worth:
            return want, worth
    return None


def _list_worth(want: Want, terms: AuctionTerms, room: int) -> Iterator[Worth]:
    if terms.kind != "combinatorial":
        if len(want.lots) == 1:
            for index in _match(want.lots[0], terms, range(len(terms.lots))):
                yield Worth(bytes((index,)), want.amount, terms.lots[index].limit)
        return
    if len(want.lots) == 1:
        yield from _combine(want, terms, room)
    elif (chosen := _choose_each(want, terms)) is not None and len(chosen) <= room:
        yield Worth(bytes(chosen), want.amount, _add_limits(terms, chosen))


def _combine(want: Want, terms: AuctionTerms, room: int) -> Iterator[Worth]:
    """Every set of matching lots, the smallest first: of bundles a bidder wins one at most."""
    found = list(_match(want.lots[0], terms, range(len(terms.lots))))
    for count in range(1, min(len(found), room) + 1):
        for lots in combinations(found, count):
            yield Worth(bytes(lots), want.amount * count, _add_limits(terms, lots))


def _choose_each(want: Want, terms: AuctionTerms) -> list[int] | None:
    """A lot of its own for each pattern, the first ones that match."""
    chosen: list[int] = []
    for pattern in want.lots:
        rest = (index for index in range(len(terms.lots)) if index not in chosen)
        index = next(_match(pattern, terms, rest), None)
        if index is None:
            return None
        chosen.append(index)
    return sorted(chosen)


def _match(pattern: str, terms: AuctionTerms, indexes: Iterator[int] | range) -> Iterator[int]:
    return (index for index in indexes if fnmatchcase(terms.lots[index].name, pattern))


def _add_limits(terms: AuctionTerms, lots: Sequence[int]) -> int:
    return sum(terms.lots[index].limit for index in lots)
