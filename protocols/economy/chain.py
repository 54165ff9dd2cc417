"""The committee's log on top of its economy: what a consensus core executes batches on."""

from collections.abc import Callable, Iterable, Sequence

from crdt import log
from crdt.auctions import AuctionRow
from crdt.facts import Bucket, CommitteeFormed, encode_fact
from crdt.tasks import TaskRow
from protocols.committee import Committee
from protocols.economy.committees import make_formed_fact
from protocols.economy.operations import Operation, Receipt
from protocols.economy.semantics import SUPPORTED, UnsupportedSemantics
from protocols.economy.state import EconomyState, OrderedOperation
from protocols.genesis import Founding
from protocols.pbft.application import Outcome
from protocols.pbft.pool import Request
from protocols.state_tree import digest_state

CheckReceipt = Callable[[bytes], tuple[bytes, Receipt]]


class Chain:
    """An `Application`: executes batches into facts and links them as entries of the log.

    Position 0 is the genesis entry, which holds what was minted.
    """

    def __init__(
        self, genesis: Founding, committee: Committee, check_receipt: CheckReceipt
    ) -> None:
        self.state = EconomyState(genesis, committee, check_receipt)
        items = [encode_fact(fact) for fact in self.state.genesis_facts()]
        self.genesis_entry = log.append(
            committee.id, 0, log.GENESIS_PREVIOUS, genesis.created_ms, items
        )
        self._head = self.genesis_entry.header.hash()
        self._digest: tuple[int, bytes] | None = None
        self._deadline: tuple[int, int | None] | None = None

    def get_committee(self) -> Committee:
        return self.state.committee

    def find_committee(self, epoch: int) -> Committee | None:
        """The committee of the present epoch or of one that the state remembers."""
        return self.state.find_committee(epoch)

    def get_position(self) -> int:
        return self.state.position

    def get_head(self) -> bytes:
        return self._head

    def get_next_nonce(self, account: bytes) -> int:
        return self.state.next_nonce(account)

    def get_next_deadline_ms(self) -> int | None:
        if self._deadline is None or self._deadline[0] != self.state.position:
            self._deadline = (self.state.position, self.state.next_deadline_ms())
        return self._deadline[1]

    def get_time_ms(self) -> int:
        return self.state.time_ms

    def admit(self, signer: bytes, operation: Operation) -> str | None:
        return self.state.admit(signer, operation)

    def awaits_company(self, requests: Iterable[Request]) -> bool:
        return self.state.awaits_company((r.signer, r.operation) for r in requests)

    def execute(
        self, seq: int, time_ms: int, digest: bytes, requests: Sequence[Request]
    ) -> Outcome:
        """Raises UnsupportedSemantics where another program is needed."""
        semantics = self.state.committee.semantics
        if semantics > SUPPORTED:
            raise UnsupportedSemantics(semantics, self.state.position)
        operations = [OrderedOperation(r.digest, r.signer, r.operation) for r in requests]
        facts = self.state.execute(seq, time_ms, digest, operations)
        items = [encode_fact(fact) for fact in facts]
        entry = log.append(self.state.committee.id, seq, self._head, self.state.time_ms, items)
        self._head = entry.header.hash()
        return Outcome(entry, facts)

    def dump_state(self) -> bytes:
        return self.state.dump()

    def load_state(self, data: bytes, position: int, head: bytes) -> None:
        self.state.restore(data, position)
        self._head = head
        self._digest = self._deadline = None

    def list_balances(self) -> tuple[tuple[bytes, Bucket, int], ...]:
        return tuple((*key, amount) for key, amount in self.state.stake.balances().items())

    def list_formed(self) -> list[tuple[int, CommitteeFormed]]:
        """The committees that this one formed, by the position and the fact of it."""
        return [(formed.position, make_formed_fact(formed)) for formed in self.state.formed()]

    def list_tasks(self) -> tuple[TaskRow, ...]:
        return tuple(self.state.task_rows())

    def list_auctions(self) -> tuple[AuctionRow, ...]:
        return tuple(self.state.auction_rows())

    def compute_state_digest(self) -> bytes:
        """The digest that a checkpoint at this position certifies."""
        if self._digest is None or self._digest[0] != self.state.position:
            self._digest = (self.state.position, digest_state(self.state.dump()))
        return self._digest[1]
