"""What one node's ledger says happened, as plain values: the input of every invariant.

The devnet reads histories from ledger files (`devnet/ledger_files.py`); a simulator builds them
from its nodes' state. Nothing here touches a disk.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crdt.facts import AnyFact


@dataclass(frozen=True, slots=True)
class Ordered:
    """An operation in a batch: `digest` is its statement's SHA-256."""

    digest: bytes
    signer: bytes
    nonce: int


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One position of a committee's log: the batch's digest and what came of it.

    `hash` is the entry's head; equal heads mean equal logs up to here. `time_ms` is agreed time.
    """

    position: int
    digest: bytes
    hash: bytes
    time_ms: int
    operations: tuple[Ordered, ...]
    facts: tuple[AnyFact, ...]


@dataclass(frozen=True, slots=True)
class History:
    """The entries that `node` (a name for messages) holds of one committee, in order."""

    node: str
    committee: bytes
    entries: Sequence[HistoryEntry]

    def facts(self) -> Iterator[tuple[HistoryEntry, AnyFact]]:
        for entry in self.entries:
            for fact in entry.facts:
                yield entry, fact

    def get_last(self) -> HistoryEntry | None:
        return self.entries[-1] if self.entries else None
