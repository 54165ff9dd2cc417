"""An independent account of the stake in a simulated world, kept batch by batch."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from crdt.facts import COMMON, Charged, Fact, Imported, Rejected
from crdt.log import Entry, compute_root
from crdt.stake import StakeView, Unbalanced
from devnet.history import HistoryEntry

if TYPE_CHECKING:
    from devnet.sim.member import Member

Report = Callable[[str, "Member", str], None]


class LiveBooks:
    """Applies each batch once, as it is first executed: C1, C2, C3 and S6."""

    def __init__(self, genesis: Sequence[Fact], report: Report) -> None:
        self.stake = StakeView()
        self.nonces: dict[bytes, int] = {}
        self.operations = 0
        self._report = report
        self._outcomes: set[bytes] = set()
        self._executed: set[bytes] = set()
        self._fees: dict[bytes, int] = {}
        for fact in genesis:
            self.stake.apply(fact)

    def apply(self, member: "Member", entry: HistoryEntry, proven: Entry) -> None:
        """One batch. `proven` is the log's entry, which must hold exactly these facts."""
        if len(proven.items) != len(entry.facts) or compute_root(proven.items) != (
            proven.header.root
        ):
            self._report("S1 one digest per position", member, "an entry of other facts")
        for operation in entry.operations:
            if operation.nonce == self.nonces.get(operation.signer, 0) + 1:
                self.nonces[operation.signer] = operation.nonce
                self._note(member, operation.digest)
        for fact in entry.facts:
            self._apply(member, entry.position, fact)
        if not self.stake.is_conserved():
            detail = f"position {entry.position}: {self.stake.totals()}"
            self._report("C1 conservation", member, detail)

    def _note(self, member: "Member", digest: bytes) -> None:
        self.operations += 1
        if digest in self._executed:
            self._report("S6 executes once", member, digest.hex()[:16])
        self._executed.add(digest)

    def _apply(self, member: "Member", position: int, fact: Fact) -> None:
        is_mint = any(move.source_bucket == "minted" for move in fact.moves)
        if is_mint and not isinstance(fact, Imported):
            self._report("C1 conservation", member, f"mints at position {position}")
        try:
            self.stake.apply(fact)
        except Unbalanced as error:
            self._report("C2 nothing negative", member, f"position {position}: {error}")
        if isinstance(fact, Charged | Rejected):
            if fact.operation in self._outcomes:
                self._report("S6 executes once", member, f"two outcomes at {position}")
            self._outcomes.add(fact.operation)
        for move in fact.moves:
            if move.source_bucket == "free" and (move.target, move.target_bucket) == (
                COMMON,
                "treasury",
            ):
                fees = self._fees[move.source] = self._fees.get(move.source, 0) + 1
                if fees > self.nonces.get(move.source, 0):
                    detail = f"fee {fees} with {self.nonces.get(move.source, 0)} nonces"
                    self._report("C3 one debit per nonce", member, detail)
