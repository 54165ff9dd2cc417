"""What a core decides: the contract between the sans-I/O cores and whoever drives them.

The driver of a `Step` must, in this order:
1. make `persist` durable (synced, all of it, in order);
2. only then let `sends` and `votes` go, and hand `executed` and `certified` to the ledger;
3. once the ledger has synced `executed`, call the core's `on_durable` (heads and checkpoints are
   signed only then);
4. call the core's `on_timer` at `wake_ms`, or earlier.
A send that is lost is harmless: the cores repeat what is still wanted. A persist that is lost
after its send went out is not: the member could sign a second digest for a slot.
Several steps may be joined with `extend` and driven as one.
"""

from dataclasses import dataclass, field

from crdt.facts import Fact
from crdt.log import Entry
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
class Equivocation:
    """Two statements of one author that contradict each other: evidence anyone can check."""

    first: Statement
    second: Statement


@dataclass(frozen=True, slots=True)
class Fault:
    """What a peer sent that no honest peer sends; its score falls."""

    peer: bytes
    reason: str


@dataclass(slots=True)
class Step:
    """Everything that follows from one input, or from several joined."""

    persist: list[Persist] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)
    votes: list[tuple[bytes, bytes]] = field(default_factory=list)
    """(committee, statement) to every other member; joined into few frames."""
    executed: list[Executed] = field(default_factory=list)
    certified: list[Certified] = field(default_factory=list)
    serve: list[ServeBatches] = field(default_factory=list)
    evidence: list[Equivocation] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    wake_ms: int | None = None

    def extend(self, other: "Step") -> None:
        """Join what follows from a later input; the earlier wake-up counts."""
        self.persist += other.persist
        self.sends += other.sends
        self.votes += other.votes
        self.executed += other.executed
        self.certified += other.certified
        self.serve += other.serve
        self.evidence += other.evidence
        self.faults += other.faults
        self.wake(other.wake_ms)

    def wake(self, at_ms: int | None) -> None:
        if at_ms is not None and (self.wake_ms is None or at_ms < self.wake_ms):
            self.wake_ms = at_ms
