"""The words of the ordered economy as data: operations, tasks, agents, duties."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from crdt.facts import OfferedCapability, Phase, TaskTerms, Verification
from identity import cbor
from identity.errors import EconodeError
from protocols.economy.operations import Operation
from protocols.genesis import PPM

Stage = Literal["queued"] | Phase
DutyKind = Literal[
    "bid",
    "reveal_bid",
    "work",
    "beat",
    "reveal_work",
    "deliver",
    "judge",
    "reveal_score",
    "accept",
    "inventory",
]

COMMIT_STAGES: tuple[Stage, ...] = ("lease", "work_commit", "extra_commit")
REVEAL_STAGES: tuple[Stage, ...] = ("work_reveal", "extra_reveal")


class Refused(EconodeError):
    """An operation, or one item of it, that may not take effect; `reason` is one word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class OrderedOperation:
    """A checked operation in its place. `digest` is the SHA-256 of the statement's data."""

    digest: bytes
    signer: bytes
    operation: Operation


class Proposal(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A committee that was proposed and is not formed yet; `bond` and `free` are each member's."""

    committee: bytes
    proposer: bytes
    name: str
    members: tuple[bytes, ...]
    bond: int
    free: int
    deadline_ms: int
    consented: tuple[bytes, ...] = ()
    """Members that have consented, in that order."""


class Announced(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a member said that its program executes."""

    member: bytes
    semantics: int
    program: str


class Formed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A committee that was formed, and at which position."""

    committee: bytes
    name: str
    members: tuple[bytes, ...]
    bond: int
    free: int
    created_ms: int
    epoch: int
    start: int
    orderers: tuple[bytes, ...]
    supply: int
    position: int


class BorderEpoch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An epoch of another committee, which began after position `start` at `since_ms`."""

    epoch: int
    start: int
    members: tuple[bytes, ...]
    since_ms: int


class Border(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What this committee knows of one that credits cross to and from: the one that formed it
    (`is_parent`), or one that it formed. See `borders.py`."""

    committee: bytes
    is_parent: bool
    epochs: tuple[BorderEpoch, ...]
    """The newest, the last one present; at most `borders.EPOCHS_MAX`."""
    time_ms: int
    """The other's agreed time of the newest certificate."""
    exported: int = 0
    exported_link: bytes = bytes(32)
    imported: int = 0
    imported_link: bytes = bytes(32)
    """How many transfers went and came, and the links of the last ones."""
    frozen: bool = False


@dataclass(slots=True)
class Agent:
    """Whoever offers capabilities. `active` counts its agreements that are not graded yet."""

    capabilities: tuple[OfferedCapability, ...] = ()
    paused: bool = False
    banned: bool = False
    active: int = 0


@dataclass(slots=True)
class Bid:
    """What a bidder said in a round: a seal or a pass (None), and the opened price."""

    commitment: bytes | None
    price: int | None = None


@dataclass(slots=True)
class Work:
    """What a party said of its result: a seal or a failure (None), and the opened digest; of a
    judge the opened score."""

    commitment: bytes | None
    output: bytes | None = None
    output_bytes: int = 0
    score: int | None = None


class Pool(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A bonus pool: `open` of its tasks have not ended; `winners` did one excellently, each."""

    id: bytes
    requester: bytes
    amount: int
    open: int
    winners: tuple[bytes, ...] = ()


TaskOutcome = Literal["settled", "failed", "cancelled"]


@dataclass(slots=True)
class Task:
    """A task under way. Every field below `inventories` belongs to the present round.

    Amounts are credits, times agreed milliseconds. `number` counts tasks in the order they were
    opened and orders everything that falls due at the same time.
    """

    number: int
    id: bytes
    requester: bytes
    capability: bytes
    input: bytes
    input_bytes: int
    budget: int
    opened_ms: int
    deadline_ms: int
    escrow: int
    deposit: int
    verification: Verification = "exact"
    """How the result is checked; see `TaskOpened`."""
    terms: TaskTerms = field(default_factory=TaskTerms)
    draws_max: int = 0
    """Verifiers or judges of one round that the escrow pays."""
    bond_min: int = 0
    """The bond of whoever may work on it."""
    pool: bytes | None = None
    round: int = 0
    failures: int = 0
    """Auctions that ended in no result; `rounds_max` of them end the task."""
    excluded: tuple[bytes, ...] = ()
    """Agents that failed this task, ascending."""
    stage: Stage = "queued"
    stage_deadline_ms: int = 0
    overdue: bool = False
    queued_ms: int = 0
    """Since when the task is in the queue."""
    due_ms: int = 0
    """When the agreed time next changes something."""
    waiting: dict[bytes, None] = field(default_factory=dict)
    """Parties whose word the stage waits for."""
    inventories: dict[bytes, tuple[bytes, ...]] = field(default_factory=dict)
    invited: dict[bytes, int] = field(default_factory=dict)
    """Bidders and their weights (ppm), ascending by key."""
    bids: dict[bytes, Bid] = field(default_factory=dict)
    seed: bytes = bytes(32)
    """Digest of the batch that closed the sealed bids."""
    executor: bytes | None = None
    price: int = 0
    awarded_ms: int = 0
    lease_ms: int = 0
    """When the lease ends."""
    committed_ms: int | None = None
    beat_ms: int = 0
    """When the executor was heard last: at its award, or its newest heartbeat."""
    progress_ppm: int = 0
    answer_ppm: int | None = None
    """The share of the price that the requester pays, once it said so."""
    holders: tuple[bytes, ...] = ()
    """Members that hold the output, by their receipts, ascending."""
    verifiers: tuple[bytes, ...] = ()
    """Everybody drawn in this round, to re-execute or to judge."""
    works: dict[bytes, Work] = field(default_factory=dict)


def get_result(task: Task) -> tuple[bytes, int] | None:
    """Digest and size of what the executor opened."""
    work = task.works.get(task.executor) if task.executor is not None else None
    if work is None or work.output is None:
        return None
    return work.output, work.output_bytes


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task under way, for reading."""

    task: bytes
    requester: bytes
    capability: bytes
    input: bytes
    input_bytes: int
    budget: int
    deadline_ms: int
    round: int
    stage: Stage
    stage_deadline_ms: int
    waiting: tuple[bytes, ...]
    """Whose word the stage waits for."""
    executor: bytes | None
    price: int
    verifiers: tuple[bytes, ...]
    verification: Verification
    terms: TaskTerms
    lease_ms: int
    """When the lease ends, 0 before an award."""
    progress_ppm: int
    output: bytes | None
    """What f+1 members hold and somebody has to judge; None otherwise."""


@dataclass(frozen=True, slots=True)
class AgentView:
    """An agent, for reading. A paused agent is invited again once it offers again."""

    capabilities: tuple[OfferedCapability, ...]
    paused: bool
    banned: bool
    active: int


@dataclass(frozen=True, slots=True)
class Duty:
    """What an agent or a member should submit now.

    bid: a seal or a pass. reveal_bid, reveal_work, reveal_score: open what was sealed as
    `commitment`. work: run the capability, then seal the result or report a failure. beat: say
    how far it is, before the agreed time `deadline_ms`. deliver: open the result with receipts of
    f+1 members that hold it. judge: score `output`, then seal the score. accept: the requester may
    say what the output is worth. inventory: say whose statements for the overdue `phase` you hold.
    `deposit` is what a bid locks.
    """

    kind: DutyKind
    task: bytes
    round: int
    phase: Phase
    deadline_ms: int
    capability: bytes
    input: bytes
    input_bytes: int
    budget: int
    deposit: int
    commitment: bytes | None = None
    output: bytes = b""
    output_bytes: int = 0
    holders: tuple[bytes, ...] = ()
    """The executor's output and who holds it, for judges and the requester."""
    beat_ms: int = 0
    """beat: when the executor was heard last, in agreed time."""


def compute_share(amount: int, ppm: int) -> int:
    """`ppm` millionths of an amount of credits, rounded down."""
    return amount * ppm // PPM


def compute_task_id(
    network: bytes, committee: bytes, requester: bytes, nonce: int, index: int
) -> bytes:
    """The id of the task at `index` of the operation that its requester numbered `nonce` in a
    committee; nonces count in each committee, so its id belongs to it."""
    content = ["econode/task", network, committee, requester, nonce, index]
    return hashlib.sha256(cbor.encode(content)).digest()


def view_task(task: Task) -> TaskView:
    return TaskView(
        task=task.id,
        requester=task.requester,
        capability=task.capability,
        input=task.input,
        input_bytes=task.input_bytes,
        budget=task.budget,
        deadline_ms=task.deadline_ms,
        round=task.round,
        stage=task.stage,
        stage_deadline_ms=task.stage_deadline_ms,
        waiting=tuple(task.waiting),
        executor=task.executor,
        price=task.price,
        verifiers=task.verifiers,
        verification=task.verification,
        terms=task.terms,
        lease_ms=task.lease_ms if task.executor is not None else 0,
        progress_ppm=task.progress_ppm,
        output=result[0] if task.holders and (result := get_result(task)) else None,
    )


def describe_rejections(rejected: Sequence[tuple[int, str]], size_max: int) -> str:
    """The items that were refused, as "index reason; ...", cut at `size_max` characters."""
    return "; ".join(f"{index} {reason}" for index, reason in rejected)[:size_max]
