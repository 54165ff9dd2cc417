"""What a core decides: the contract between the sans-I/O cores and whoever drives them.

The driver of a `Step` must, in this order:
1. make `persist` durable (synced, all of it, in order);
2. only then let `sends` and `votes` go, and hand `get_history()` and `certified` to the ledger;
3. once the ledger has synced `executed`, call the core's `on_durable` (heads and checkpoints are
   signed only then);
4. call the core's `on_timer` at `wake_ms`, or earlier.
A send that is lost is harmless: the cores repeat what is still wanted. A persist that is lost
after its send went out is not: the member could sign a second digest for a slot.
Several steps may be joined with `extend` and driven as one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from crdt.auctions import AuctionRow
from crdt.facts import Bucket, Fact
from crdt.log import Entry
from crdt.tasks import TaskRow
from identity.certificate import Certificate
from identity.envelope import Statement
from protocols.messages import Hop


@dataclass(frozen=True, slots=True)
class Persist:
    """One row of the vote log: the newest of its (committee, epoch, kind, seq) counts.

    Kind `accepted` holds the accepted proposal, `prepared` the prepared certificate of the highest
    view with its batch and the own COMMIT, `view` the view with its VIEW-CHANGE and NEW-VIEW (at
    sequence number 0), `stable` the certificate of the stable checkpoint; `stable` also lets every
    row but `view` with a sequence number up to its own be deleted. Kind `epoch` says that the
    member has entered `epoch`: it holds the certificate of the head at `seq`, which ended the one
    before, and lets every row of lower epochs be deleted.

    Kind `restored` is read only: the rows were put back from a backup, so that the member may have
    signed what they do not hold. Kind `passed` is written only: it takes that mark away.
    """

    committee: bytes
    kind: str
    view: int
    seq: int
    data: bytes
    epoch: int


@dataclass(frozen=True, slots=True)
class Send:
    """A hop message to one peer, or to every other member (`to` is None)."""

    to: bytes | None
    message: Hop


@dataclass(frozen=True, slots=True)
class Executed:
    """A committed batch, executed: what the ledger keeps of it."""

    committee: bytes
    seq: int
    digest: bytes
    time_ms: int
    operations: tuple[bytes, ...]
    operation_digests: tuple[bytes, ...]
    proof: tuple[bytes, ...]
    entry: Entry
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Certified:
    """q members signed the head of a committee's log at `position`."""

    committee: bytes
    position: int
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class ServeBatches:
    """Send `to` committed batches from `start` on, read from the ledger."""

    committee: bytes
    to: bytes
    start: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state after the stable checkpoint at `position`, to be kept and served."""

    committee: bytes
    position: int
    certificate: bytes
    state: bytes


@dataclass(frozen=True, slots=True)
class TransferBegun:
    """The state at `position` is being fetched: keep its chunks, forget those of any other."""

    committee: bytes
    position: int
    certificate: bytes
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class ChunkFetched:
    """A proven chunk of the state that is being fetched."""

    committee: bytes
    position: int
    chunk: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Transferred:
    """The fetched state at `position` is the member's own now; what lies between its last executed
    batch and `position` is not held. `balances`, `tasks` and `auctions` (those under way) stand in
    it."""

    committee: bytes
    position: int
    certificate: bytes
    head: bytes
    digest: bytes
    size: int
    root: bytes
    leaves: bytes
    balances: tuple[tuple[bytes, Bucket, int], ...]
    tasks: tuple[TaskRow, ...]
    auctions: tuple[AuctionRow, ...] = ()


@dataclass(frozen=True, slots=True)
class ServeOffer:
    """Offer `to` the newest certified state that the ledger holds, if it is beyond `after`."""

    committee: bytes
    to: bytes
    after: int


@dataclass(frozen=True, slots=True)
class ServeChunks:
    """Send `to` chunks of the state at `position`, read from the ledger."""

    committee: bytes
    to: bytes
    position: int
    chunks: tuple[int, ...]


History = Executed | Snapshot | TransferBegun | ChunkFetched | Transferred
"""What the ledger keeps, in order."""
Serve = ServeBatches | ServeOffer | ServeChunks


@dataclass(frozen=True, slots=True)
class Equivocation:
    """Two statements of one author that contradict each other: evidence anyone can check."""

    first: Statement
    second: Statement


@dataclass(frozen=True, slots=True)
class Fault:
    """What a peer sent that no honest peer sends; its score falls."""

    peer: bytes
    reason: str


class Step(msgspec.Struct):
    """Everything that follows from one input, or from several joined. A struct, as each frame
    makes one: a dataclass takes thrice the time."""

    persist: list[Persist] = []
    sends: list[Send] = []
    votes: list[tuple[bytes, bytes]] = []
    """(committee, statement) to every other member; joined into few frames."""
    executed: list[Executed] = []
    certified: list[Certified] = []
    states: list[Snapshot | TransferBegun | ChunkFetched | Transferred] = []
    serve: list[Serve] = []
    evidence: list[Equivocation] = []
    faults: list[Fault] = []
    wake_ms: int | None = None

    def extend(self, other: "Step") -> None:
        """Join what follows from a later input; the earlier wake-up counts."""
        self.persist += other.persist
        self.sends += other.sends
        self.votes += other.votes
        self.executed += other.executed
        self.certified += other.certified
        self.states += other.states
        self.serve += other.serve
        self.evidence += other.evidence
        self.faults += other.faults
        self.wake(other.wake_ms)

    def get_history(self) -> Iterator[History]:
        """`executed` and `states` in the order in which the ledger must take them: a fetched state
        stands between the batches up to it and those after it, a snapshot behind its batches."""
        executed = list(self.executed)
        for state in self.states:
            if isinstance(state, Transferred):
                later: list[Executed] = []
                for batch in executed:
                    if batch.committee == state.committee and batch.seq <= state.position:
                        yield batch
                    else:
                        later.append(batch)
                executed = later
            if not isinstance(state, Snapshot):
                yield state
        yield from executed
        yield from (state for state in self.states if isinstance(state, Snapshot))

    def wake(self, at_ms: int | None) -> None:
        if at_ms is not None and (self.wake_ms is None or at_ms < self.wake_ms):
            self.wake_ms = at_ms
