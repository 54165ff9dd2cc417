"""What a running node does for its owner: the answers of the local API, and who gives them.

The answers are frozen structs that become JSON as they are: PeerIds as text, digests as lower
case hex, credits as integers, times in milliseconds. `NodeService` is what `node/api.py` serves.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, get_args

import msgspec

from identity.schema import U63_MAX, Positive
from node.answer import Answer as Answer
from node.answer import FactDocument
from node.describe import PEER_FIELDS as PEER_FIELDS
from node.describe import describe_fact as describe_fact
from node.service_committees import Committee as Committee
from node.service_committees import CommitteeRole as CommitteeRole
from node.service_committees import Committees as Committees
from node.service_committees import ConsentRequest as ConsentRequest
from node.service_committees import FormRequest as FormRequest
from node.service_data import DataService
from node.service_log import FactEvent as FactEvent
from node.service_log import Gap as Gap
from node.service_log import LogEntry as LogEntry
from node.service_log import LogPage as LogPage
from node.service_log import choose_gaps as choose_gaps
from node.service_views import Reputation as Reputation
from node.service_views import Score as Score
from node.service_views import ViewsService
from node.task_options import PLAIN, TaskOptions, TaskScore
from node.task_options import TaskAnswer as TaskAnswer
from node.task_options import TaskState as TaskState
from protocols.economy.operations import ITEMS_MAX as TASKS_PER_REQUEST_MAX

if TYPE_CHECKING:
    from node.crossing_answers import CrossingService
    from node.idempotency import AnswerStore
    from node.proofs import ProofService
    from node.service_auctions import AuctionService
    from node.service_evidence import EvidenceService
    from node.service_history import HistoryService
    from node.service_market import MarketService
    from node.service_upgrades import UpgradeService

ENTRIES_PER_PAGE_MAX = 256
TASKS_PER_PAGE_MAX = 500
ACCOUNTS_PER_PAGE_MAX = 1_000
PREFIX_MIN = 4
"""A task may be named by this many or more first hex digits of its id, if they name one only."""

HexDigest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
TASK_STATES: tuple[TaskState, ...] = get_args(TaskState)
FINAL_STATES = ("settled", "failed", "cancelled")


class Status(Answer, frozen=True):
    """The node and its committee at one moment."""

    peer_id: str
    network: str
    network_id: str
    committee: str
    """The committee's id; people say `committee_name`."""
    committee_name: str
    epoch: int
    """Counts the changes of the committee's members."""
    version: str
    n: int
    f: int
    q: int
    view: int
    primary: str
    position: int
    """Position of the last executed entry of the committee's log, -1 before the first."""
    head: str
    state_root: str
    logs_root: str
    """Digest of the peers' logs held here: equal where the same entries are."""
    stable_checkpoint: int
    certified_position: int
    """Up to here outcomes carry a quorum certificate, -1 before the first."""
    connected_peers: int
    agreed_time_ms: int
    pending_operations: int
    faults: int
    """Messages refused since the start that no honest peer sends."""
    rss_bytes: int
    uptime_s: float
    roles: tuple[str, ...]
    """Any of member, agent, observer, and observing: a member that found that it has forgotten
    some of what it signed, and signs nothing until a quorum has passed it."""
    frozen_borders: tuple[str, ...] = ()
    """Neighbouring committees that were proven to contradict themselves: an alarm."""
    alarms: tuple[str, ...] = ()
    """What the owner must know at once, in words."""
    semantics: int = 1
    """The version by which what follows `position` is executed."""


class Peer(Answer, frozen=True):
    """A link to another peer."""

    peer_id: str
    address: str
    connected: bool
    rtt_ms: float | None
    frames_in: int
    frames_out: int
    bytes_in: int
    bytes_out: int
    dropped: int
    last_error: str


class Peers(Answer, frozen=True):
    """Links; `next` is the cursor of the next page, None at the end, as in every list."""

    peers: tuple[Peer, ...]
    next: str | None = None


class CommitteeMember(Answer, frozen=True):
    """A member; `address` is where it says that it listens."""

    peer_id: str
    address: str
    bonded: int
    connected: bool
    """A link to it is up; the node itself counts as connected."""


class Members(Answer, frozen=True):
    """The committee now. `start` is the position after which its epoch began."""

    epoch: int
    start: int
    n: int
    f: int
    q: int
    members: tuple[CommitteeMember, ...]
    next: str | None = None


class Join(Answer, frozen=True, forbid_unknown_fields=True):
    """A request to become a member, which bonds `bond` free credits; without it, what is missing
    to the least that the network asks for."""

    bond: Annotated[int, msgspec.Meta(ge=0, le=U63_MAX)] | None = None


class TaskRequest(Answer, frozen=True, forbid_unknown_fields=True):
    """One task to open; `input` is the digest of a blob that was put before."""

    capability: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    input: HexDigest


class TaskBatch(Answer, frozen=True, forbid_unknown_fields=True):
    """Tasks with one budget (credits, each) and one duration from opening to deadline."""

    tasks: Annotated[
        tuple[TaskRequest, ...], msgspec.Meta(min_length=1, max_length=TASKS_PER_REQUEST_MAX)
    ]
    budget: Positive
    duration_ms: Positive
    options: TaskOptions = PLAIN


class TasksSubmitted(Answer, frozen=True):
    """Ids in the order of the request; they end in entries after `position`."""

    tasks: tuple[str, ...]
    position: int


class BlobStored(Answer, frozen=True):
    """A blob that is kept here, by its SHA-256."""

    digest: str
    size_bytes: int


class Task(Answer, frozen=True):
    """A task as the committee's log tells it. None is what has not happened yet; a page of tasks
    may also leave out input, deadline, verifiers and reason."""

    id: str
    state: TaskState
    capability: str
    """The name, if this node knows it, else the id."""
    requester: str
    budget: int
    round: int
    opened_ms: int
    input: str | None = None
    input_bytes: int | None = None
    deadline_ms: int | None = None
    executor: str | None = None
    price: int | None = None
    grade: str | None = None
    output: str | None = None
    output_bytes: int | None = None
    verifiers: tuple[str, ...] = ()
    ended_ms: int | None = None
    reason: str = ""
    """What went wrong last; empty for a task that is settled or had no trouble."""
    verification: str = "exact"
    progress_ppm: int = 0
    """How far the executor says it is."""
    scores: tuple[TaskScore, ...] = ()
    score: int | None = None
    """The judges' median."""


class TaskPage(Answer, frozen=True):
    """In an order that does not change; `next` is the cursor of the next page, None at the end."""

    tasks: tuple[Task, ...]
    next: str | None


class Unbonding(Answer, frozen=True):
    """A part of a bond on its way out, free at the agreed time `due_ms` or soon after."""

    amount: int
    due_ms: int


class Account(Answer, frozen=True):
    """Credits of one account by bucket; `bonded` contains what `unbondings` takes back."""

    peer_id: str
    free: int
    bonded: int
    locked: int
    escrow: int
    unbondings: tuple[Unbonding, ...] = ()


class Stake(Answer, frozen=True):
    """The stake view after the entry at `position`. `transit` went to other committees and has not
    come back; `conserved`: nothing was lost or made."""

    position: int
    accounts: tuple[Account, ...]
    transit: int
    treasury: int
    burned: int
    minted: int
    conserved: bool
    next: str | None = None


class Transfer(Answer, frozen=True, forbid_unknown_fields=True):
    """A request to pay `amount` free credits of this node's account to `to`, a PeerId."""

    to: str
    amount: Positive


class Bond(Answer, frozen=True, forbid_unknown_fields=True):
    """A request to bond `amount` free credits of this node's account, or to take them back."""

    amount: Positive


class Executed(Answer, frozen=True):
    """An operation that was executed, in the entry at `position`."""

    operation: str
    position: int
    fact: FactDocument


class Accepted(Answer, frozen=True):
    """An operation that was taken in; whether it is ordered shows in the log."""

    operation: str


class OfferedBy(Answer, frozen=True):
    """A capability and the agents that offer it now."""

    id: str
    name: str
    version: str
    agents: tuple[str, ...]


class Capabilities(Answer, frozen=True):
    """What is offered now."""

    capabilities: tuple[OfferedBy, ...]
    next: str | None = None


class Health(Answer, frozen=True):
    """Says which node answers; the one answer that needs no token."""

    status: Literal["ok"]
    peer_id: str


class CommitteeService(ViewsService, Protocol):
    """A running node in one of its committees. See NodeService for what holds for all methods."""

    def get_id(self) -> bytes:
        """The committee's id."""
        ...

    async def status(self) -> Status: ...

    async def submit_tasks(
        self,
        tasks: Sequence[TaskRequest],
        budget: int,
        duration_ms: int,
        options: TaskOptions = PLAIN,
    ) -> TasksSubmitted:
        """Open tasks. Problems: unknown-capability, not-found (a blob), too-few-verifiers,
        insufficient-credits; then none of them was opened."""
        ...

    async def tasks(self, state: TaskState | None, limit: int, cursor: str | None) -> TaskPage: ...

    async def task(self, prefix: str) -> Task:
        """The one task whose id begins with `prefix` (PREFIX_MIN or more hex digits).
        Problems: not-found, ambiguous."""
        ...

    async def result(self, prefix: str) -> bytes:
        """The output of a task, fetched from its holders if this node lacks it. Problems:
        not-found, ambiguous, no-result (not yet, or failed)."""
        ...

    async def answer_task(self, prefix: str, paid_ppm: int) -> Task:
        """Say what a delivered result is worth, and return the task. Raises Problem."""

    async def cancel_task(self, prefix: str) -> Task:
        """Take a task back, and return it. Raises Problem."""

    async def stake(
        self, account: str | None, limit: int = ACCOUNTS_PER_PAGE_MAX, cursor: str | None = None
    ) -> Stake:
        """All accounts, or one; one that never held credits has zeros."""
        ...

    async def transfer(self, to: str, amount: int) -> Executed: ...

    async def bond(self, amount: int) -> Executed:
        """Bond free credits. Problems: banned, insufficient-credits."""
        ...

    async def unbond(self, amount: int) -> Executed:
        """Begin to take a bond back. Problems: bond-needed, insufficient-bond,
        too-many-unbondings."""
        ...

    async def members(self) -> Members: ...

    async def join_committee(self, bond: int | None) -> Executed:
        """Become a member. Problems: already-member, banned, bond-too-small, committee-full,
        epoch-full, insufficient-credits."""
        ...

    async def leave_committee(self) -> Executed:
        """Be a member no longer. Problems: not-a-member, members-needed, epoch-full."""
        ...

    async def views(self) -> tuple[int, bytes]:
        """(position, Yjs v1 update): stake, reputation and tasks after that entry of the log."""
        ...

    async def capabilities(self) -> Capabilities: ...

    async def facts(self, position: int, limit: int) -> LogPage:
        """At most `limit` entries from `position` on; none when that one does not exist yet."""
        ...

    async def wait_facts(self, position: int, limit: int) -> LogPage:
        """Like `facts`, but waits until there is an entry at `position`."""
        ...

    async def submit_operation(self, statement: bytes) -> Accepted:
        """Take in a signed operation as it is, without waiting for its execution. Problems:
        invalid-operation, not-admitted (no funds, or a nonce that is used or too far ahead)."""
        ...


class NodeService(Protocol):
    """A running node. Every method may raise `node.problem.Problem`, and may be cancelled.

    Methods that change something return when the change is ordered and executed, except where
    they say otherwise; cancelling them does not undo what was sent.
    """

    @property
    def peer_id(self) -> str: ...

    @property
    def data(self) -> DataService:
        """Application data, in the logs of peers."""
        ...

    def at(self, committee: str) -> CommitteeService:
        """The node in the committee of that name or id. Problem: not-found."""
        ...

    def crossings_of(self, committee: str) -> "CrossingService":
        """What crosses to and from the committee of that name or id. Problem: not-found."""
        ...

    def auctions_of(self, committee: str) -> "AuctionService":
        """General auctions in the committee of that name or id. Problem: not-found."""
        ...

    def market_of(self, committee: str) -> "MarketService":
        """Markets and variables in the committee of that name or id. Problem: not-found."""
        ...

    def history_of(self, committee: str) -> "HistoryService":
        """The past of the committee of that name or id. Problem: not-found."""
        ...

    def upgrades_of(self, committee: str) -> "UpgradeService":
        """Versions of the semantics of the committee of that name or id. Problem: not-found."""
        ...

    @property
    def evidence(self) -> "EvidenceService": ...

    @property
    def kept_answers(self) -> "AnswerStore":
        """Answers to requests with an idempotency key."""
        ...

    @property
    def proofs(self) -> "ProofService": ...

    async def peers(self) -> Peers: ...

    async def metrics(self) -> bytes:
        """Metrics in the text format of Prometheus."""
        ...

    async def list_missing(self) -> Sequence[str]:
        """What keeps the node from taking part now, in words; nothing when it does."""
        ...

    async def put_blob(self, data: bytes) -> BlobStored:
        """Keep `data` (at most BLOB_BYTES_MAX) as the input of tasks to come."""
        ...

    async def committees(self) -> Committees: ...

    async def form_committee(self, parent: str, terms: FormRequest) -> Executed:
        """Propose a committee in the standing one called `parent`. Problems: not-found, and the
        reasons of docs/protocol-economy.md with - for _."""
        ...

    async def consent_committee(self, parent: str, committee: str) -> Executed:
        """Consent to a proposal of `parent`, by its id. The fact is the committee_formed when
        this was the last consent."""
        ...

    async def shutdown(self) -> None:
        """Begin to stop the node, as SIGTERM does. Returns at once."""
        ...
