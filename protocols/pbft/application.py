"""What a consensus core needs of the state machine it orders operations for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from crdt.auctions import AuctionRow
from crdt.facts import Bucket, Fact
from crdt.log import Entry
from crdt.tasks import TaskRow
from protocols.committee import Committee
from protocols.economy.operations import Operation
from protocols.pbft.pool import Request


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a batch did: the entry of the committee's log and the facts in it."""

    entry: Entry
    facts: tuple[Fact, ...]


class Application(Protocol):
    """A deterministic state machine: equal inputs give equal outcomes on every member."""

    def get_position(self) -> int:
        """The last executed sequence number; 0 is genesis."""

    def get_committee(self) -> Committee:
        """Who orders the next position: another epoch's members once a batch has ended one."""

    def find_committee(self, epoch: int) -> Committee | None:
        """The committee of the present epoch or of one that is still remembered, among them the
        one before the present."""

    def get_head(self) -> bytes:
        """The hash of the log's entry at `get_position`."""

    def get_next_nonce(self, account: bytes) -> int:
        """The nonce that the account's next operation must carry."""

    def get_next_deadline_ms(self) -> int | None:
        """The earliest agreed time at which something falls due without an operation."""

    def get_time_ms(self) -> int:
        """The agreed time of the last executed batch."""

    def admit(self, signer: bytes, operation: Operation) -> str | None:
        """Why the operation cannot be batched now (a cheap check), or None."""

    def awaits_company(self, requests: Iterable[Request]) -> bool:
        """True while these are only a part of what several accounts are about to say at once. A
        batch without the rest is as good, only later."""

    def execute(
        self, seq: int, time_ms: int, digest: bytes, requests: Sequence[Request]
    ) -> Outcome:
        """Execute the batch at `seq`, which is `get_position() + 1`."""

    def dump_state(self) -> bytes:
        """The whole state. Checkpoints certify its `protocols.state_tree.digest_state`."""

    def load_state(self, data: bytes, position: int, head: bytes) -> None:
        """Go on from what `dump_state` gave another member at `position`, where the log has this
        head. Raises InvalidBytes and changes nothing when it is no state of that position."""

    def list_balances(self) -> tuple[tuple[bytes, Bucket, int], ...]:
        """Account, bucket and amount of every balance that is not zero, ascending."""

    def list_tasks(self) -> tuple[TaskRow, ...]:
        """The tasks under way, as the ledger shows them."""

    def list_auctions(self) -> tuple[AuctionRow, ...]:
        """The general auctions under way, as the ledger shows them."""
