"""Agreed time: the median of clock readings that ride, signed, in COMMIT votes.

A proposal names the q votes its time is the median of, each from a different member and not
older than the watermark window. With q of n readings and at most f of them false, the median
lies between two honest readings. Execution never lets the time go back.
"""

from collections.abc import Iterable

from identity import envelope, schema
from identity.envelope import Statement
from identity.errors import InvalidSchema
from protocols.committee import Committee
from protocols.messages import COMMIT_KIND, VOTE_BYTES_MAX, Commit, Propose
from protocols.pbft.quorum import Check

STALE_MS_MAX = 1_000
"""A primary refreshes readings older than this with an empty batch before it proposes more."""


def compute_median(readings: Iterable[int]) -> int:
    ordered = sorted(readings)
    return ordered[(len(ordered) - 1) // 2]


class ClockReadings:
    """The newest verified reading of each member."""

    def __init__(self, committee: Committee) -> None:
        self._committee = committee
        self._newest: dict[bytes, tuple[Commit, Statement]] = {}
        self._noted_ms = 0
        self.offset_ms = 0
        """The wall clock's reading less the time that timers count; it changes when somebody
        sets the clock, and timers must not."""

    def note(self, statement: Statement, commit: Commit, now_ms: int) -> None:
        """Keep a verified COMMIT if it is its signer's newest."""
        self._noted_ms = now_ms
        known = self._newest.get(statement.signer)
        if known is None or commit.seq > known[0].seq:
            self._newest[statement.signer] = (commit, statement)

    def is_known(self, statement: Statement) -> bool:
        """True when these very bytes have been verified as the signer's newest."""
        known = self._newest.get(statement.signer)
        return known is not None and known[1].data == statement.data

    def propose(self, oldest_seq: int) -> tuple[int, tuple[bytes, ...]] | None:
        """(median, the q statements behind it), or None while fewer are fresh enough."""
        fresh = sorted(
            (-commit.seq, signer)
            for signer, (commit, _) in self._newest.items()
            if commit.seq >= oldest_seq
        )[: self._committee.q]
        if len(fresh) < self._committee.q:
            return None
        chosen = [self._newest[signer] for _, signer in fresh]
        median = compute_median(commit.clock_ms for commit, _ in chosen)
        return median, tuple(statement.data for _, statement in chosen)

    def check(self, hop: Propose, seq: int, window: int, check: Check) -> None:
        """Raise InvalidBytes unless the proposed time at `seq` is the median of q members' signed
        readings, none older than `window` slots. A batch without operations may come without."""
        committee = self._committee
        if not hop.clock:
            if hop.time_ms or hop.operations:
                raise InvalidSchema("a batch with operations needs q clock readings")
            return
        readings: dict[bytes, int] = {}
        for data in hop.clock:
            statement = envelope.parse(data, size_max=VOTE_BYTES_MAX)
            commit = schema.decode(statement.payload, Commit, size_max=VOTE_BYTES_MAX)
            place = (statement.kind, statement.committee, statement.epoch)
            if place != (COMMIT_KIND, committee.id, committee.epoch):
                raise InvalidSchema("a clock reading is not a COMMIT of this committee")
            if not seq - window <= commit.seq < seq:
                raise InvalidSchema("a clock reading that is not fresh")
            if not committee.is_member(statement.signer):
                raise InvalidSchema("a clock reading of a stranger")
            if not self.is_known(statement):
                check(statement)
            readings[statement.signer] = commit.clock_ms
        if len(readings) != committee.q or len(hop.clock) != committee.q:
            raise InvalidSchema("a proposal carries q clock readings of distinct members")
        if compute_median(readings.values()) != hop.time_ms:
            raise InvalidSchema("the proposed time is not the median of its readings")

    def is_stale(self, oldest_seq: int, now_ms: int) -> bool:
        """True when the readings at hand are too old, or too few, to propose a time from."""
        return now_ms - self._noted_ms > STALE_MS_MAX or self.propose(oldest_seq) is None

    def estimate_ms(self, now_ms: int) -> int:
        """The agreed time now: the newest median and what has passed since. A local clock that
        is wrong but steady does no harm; without q readings it is all there is."""
        proposal = self.propose(0)
        return now_ms if proposal is None else proposal[0] + now_ms - self._noted_ms
