"""The node's bids in general auctions, in memory and on disk: what it sealed, and what it won."""

import logging
from collections import Counter
from typing import TYPE_CHECKING

from msgspec.structs import replace

from crdt.facts_auctions import Bundles
from identity.errors import InvalidBytes
from node import bid_notes
from node.bid_notes import BidNote
from node.driver import read_clock_ms
from node.log_lines import about
from node.problem import Problem
from protocols.agents.plan_auctions import count_units

if TYPE_CHECKING:
    from node.ledger import Ledger

logger = logging.getLogger("econode.bids")

OPEN_MAX = 1_000
"""Bids of one node in auctions that have not ended."""
BIDS_PER_AUCTION_MAX = 64
"""Different bids of one node in one auction, where it seals another before the first is known to
be ordered, or bids higher and higher."""


class BidBook:
    """The bids of one node, in all its committees."""

    def __init__(self, ledger: "Ledger") -> None:
        self._ledger = ledger
        self._open: dict[bytes, BidNote] = {}
        self._won: Counter[str] = Counter()

    async def load(self) -> None:
        """Take what is on disk. Raises LedgerError."""
        for data in await self._ledger.read_bids_open(count_max=OPEN_MAX):
            try:
                note = bid_notes.decode(data)
            except InvalidBytes as error:
                logger.error(
                    "a note of a bid is damaged: %s", error, extra=about("bid_note_damaged")
                )
            else:
                self._open[note.compute_id()] = note
        self._won.update(await self._ledger.read_bids_won())

    def list_sealed(self, committee: bytes) -> dict[bytes, list[Bundles]]:
        """What may have been sealed, by auction."""
        found: dict[bytes, list[Bundles]] = {}
        for note in self._open.values():
            if note.committee == committee:
                found.setdefault(note.auction, []).append(note.bundles)
        return found

    def list_auctions(self, committee: bytes) -> set[bytes]:
        """Auctions of a committee that this node bid in and that it does not know the end of."""
        return {note.auction for note in self._open.values() if note.committee == committee}

    def has_room(self, committee: bytes, auction: bytes) -> bool:
        here = [n for n in self._open.values() if (n.committee, n.auction) == (committee, auction)]
        return len(self._open) < OPEN_MAX and len(here) < BIDS_PER_AUCTION_MAX

    def count_taken(self) -> Counter[str]:
        """Units by what they are wanted for: those won, and those that bids under way may win."""
        taken = Counter(self._won)
        open_: dict[tuple[bytes, bytes, str], int] = {}
        for note in self._open.values():
            place = (note.committee, note.auction, note.want)
            open_[place] = max(open_.get(place, 0), count_units(note.bundles))
        for (_, _, want), units in open_.items():
            taken[want] += units
        return taken

    async def keep(self, committee: bytes, auction: bytes, bundles: Bundles, want: str) -> None:
        """Note a bid before it is sent; returns when it is on disk. Raises Problem, LedgerError."""
        note = BidNote(
            committee=committee,
            auction=auction,
            bundles=bundles,
            want=want,
            created_ms=read_clock_ms(),
        )
        id_ = note.compute_id()
        if id_ in self._open:
            return
        if not self.has_room(committee, auction):
            raise Problem(
                "too-many-bids",
                f"this node has {len(self._open)} bids under way, or as many as it may here",
                remedy="wait until some auctions have ended",
                status=409,
            )
        self._open[id_] = note
        self._ledger.put_bid(id_, note)
        await self._ledger.flush()

    def close(self, committee: bytes, auction: bytes, won: int) -> None:
        """The auction has ended, and `won` lots are this node's. Raises LedgerError."""
        for id_, note in list(self._open.items()):
            if (note.committee, note.auction) == (committee, auction):
                del self._open[id_]
                ended = replace(note, is_open=False, won=won)
                self._won[note.want] += won
                self._ledger.put_bid(id_, ended)
                won = 0  # counted once, however many bids there were
