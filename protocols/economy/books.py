"""The books of a committee: what ordered code reads and writes, and the few ways to change it.

Credits change by `emit` alone: it applies the fact to the stake and reputation views and records
it. Whatever is kept beside the views (agents, tasks, nonces) is small, bounded by the funded
accounts and `tasks_open_max`, and follows from the facts and operations before it.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from crdt.facts import COMMON, Bucket, Fact, Move, Phase, Verification
from crdt.reputation import ReputationView
from crdt.stake import StakeView
from protocols.committee import Committee
from protocols.economy.market_model import Market, Variable
from protocols.economy.model import (
    Agent,
    Announced,
    Border,
    Duty,
    DutyKind,
    Formed,
    Pool,
    Proposal,
    Refused,
    Stage,
    Task,
)
from protocols.economy.operations import Receipt
from protocols.economy.stages import Stages
from protocols.economy.terms import compute_lease_ms
from protocols.economy.unbondings import Unbondings
from protocols.genesis import Founding

CheckReceipt = Callable[[bytes], tuple[bytes, Receipt]]

EPOCHS_KEPT_MAX = 64
"""Epochs whose members the state remembers, so that an offence in one of them is still proven.
Older ones are beyond the reach of evidence: at most 64 x 100 keys are part of each state."""

_DUTIES: dict[Stage, DutyKind] = {
    "bid_commit": "bid",
    "bid_reveal": "reveal_bid",
    "lease": "work",
    "work_commit": "work",
    "work_reveal": "reveal_work",
    "extra_commit": "work",
    "extra_reveal": "reveal_work",
    "delivery": "deliver",
    "acceptance": "accept",
}
_JUDGE_DUTIES: dict[DutyKind, DutyKind] = {"work": "judge", "reveal_work": "reveal_score"}


class Books(Stages):
    """State of the economy; the modules beside this one are functions on it."""

    def __init__(
        self, genesis: Founding, committee: Committee, check_receipt: CheckReceipt
    ) -> None:
        super().__init__()
        self.parameters = genesis.parameters
        self.supply = genesis.compute_supply()
        """All credits of the network; no committee ever mints more."""
        self.committee = committee
        """The members of the epoch that orders the next batch."""
        self.epochs = [committee]
        """The newest epochs, the present one last; at most EPOCHS_KEPT_MAX."""
        self.joining: set[bytes] = set()
        self.leaving: set[bytes] = set()
        self.has_offender = False
        """What the batch under execution changes of the members; see `membership.end_batch`."""
        self.announced: dict[bytes, Announced] = {}
        """What members, and joiners, said of their programs; see `upgrades.py`."""
        self.consents: dict[bytes, int] = {}
        """The version of the semantics that a member consented to switch to."""
        self.switches: list[tuple[int, int]] = []
        """The first epoch of each version of the semantics but the first, and that version."""
        self.check_receipt = check_receipt
        self.stake = StakeView()
        self.reputation = ReputationView()
        self.time_ms = genesis.created_ms
        self.snapshot_ms = genesis.created_ms
        """Agreed time of the newest reputation snapshot; genesis' creation before the first."""
        self.position = 0
        self.seed = bytes(32)
        """Digest of the batch under execution."""
        self.has_searched = False
        """True once it has searched the winners of an auction of several lots; see `lifecycle`."""
        self.opened_count = 0
        self.nonces: dict[bytes, int] = {}
        self.agents: dict[bytes, Agent] = {}
        self.queue: dict[bytes, dict[int, Task]] = {}
        """Tasks waiting for an auction, by capability, in the order they came."""
        self.auctions: dict[int, Task] = {}
        """Tasks whose bids are open, by number."""
        self.pools: dict[bytes, Pool] = {}
        """Bonus pools whose tasks have not all ended, by id."""
        self.unbondings = Unbondings()
        self.proposals: dict[bytes, Proposal] = {}
        self.formed: dict[bytes, Formed] = {}
        """Committees that this one formed, by id, in the order they were formed."""
        self.borders: dict[bytes, Border] = {}
        """Committees that credits cross to and from, by id."""
        self.markets: dict[bytes, Market] = {}
        """By capability; see `prices.py`."""
        self.bidders: dict[bytes, int] = {}
        """Until when (agreed time) each bidder has used its allowance up; see `floods.py`."""
        self.variables: dict[bytes, Variable] = {}
        """By id, in the order they were opened; see `variables.py`."""
        self.facts: list[Fact] = []
        self._offering: dict[bytes, dict[bytes, Verification]] = {}
        self._fee: Move | None = None

    @property
    def agreeing_min(self) -> int:
        """t: identical results of distinct members that make a result."""
        return max(2, self.committee.f + 1)

    @property
    def semantics(self) -> int:
        """The version by which the next operation is executed."""
        return self.committee.semantics

    def set_committee(self, committee: Committee) -> None:
        """Begin an epoch."""
        if committee.semantics > self.semantics:
            self.switches.append((committee.epoch, committee.semantics))
        self.committee = committee
        self.epochs = [*self.epochs, committee][-EPOCHS_KEPT_MAX:]

    # --- credits -----------------------------------------------------------------------------

    def emit(self, fact: Fact) -> None:
        """Record a fact and move its credits; the first of an operation carries the fee."""
        if self._fee is not None:
            fact = msgspec.structs.replace(fact, moves=(self._fee, *fact.moves))
            self._fee = None
        self.stake.apply(fact)
        self.reputation.apply(fact)
        self.facts.append(fact)

    def start_operation(self, signer: bytes) -> None:
        fee = self.parameters.operation_fee
        self._fee = Move(signer, "free", COMMON, "treasury", fee) if fee else None

    def has_unpaid_fee(self) -> bool:
        return self._fee is not None

    def require_free(self, account: bytes, amount: int) -> None:
        """Raise Refused unless the account can spend `amount` beside the fee it still owes."""
        fee = self._fee.amount if self._fee and self._fee.source == account else 0
        if self.stake.get(account, "free") < amount + fee:
            raise Refused("insufficient_credits")

    def get_standing_bond(self, account: bytes) -> int:
        """What the account has bonded and does not take back."""
        return self.stake.get(account, "bonded") - self.unbondings.get_amount(account)

    # --- agents ------------------------------------------------------------------------------

    def set_offer(self, key: bytes, agent: Agent) -> None:
        """Put an agent's offer into the index, in place of its former one."""
        former = self.agents.get(key)
        for capability in former.capabilities if former else ():
            del self._offering[capability.id][key]
            if not self._offering[capability.id]:
                del self._offering[capability.id]
        self.agents[key] = agent
        for capability in agent.capabilities:
            agents = {**self._offering.get(capability.id, {}), key: capability.verification}
            self._offering[capability.id] = dict(sorted(agents.items()))

    def list_eligible(
        self, capability: bytes, requester: bytes, verification: Verification | None = "exact"
    ) -> list[bytes]:
        """Agents that may take part in a task, ascending: bonded, not banned, not its requester,
        and they offer the capability to be verified like this (None: in any way)."""
        return [
            key
            for key, offered in self._offering.get(capability, {}).items()
            if verification in (None, offered)
            and key != requester
            and not self.agents[key].banned
            and self.get_standing_bond(key) >= self.parameters.bond_min
        ]

    def list_workers(self, task: Task) -> list[bytes]:
        """Agents that may execute a task, ascending: eligible, with the bond that it needs."""
        eligible = self.list_eligible(task.capability, task.requester, task.terms.verification)
        return [key for key in eligible if self.get_standing_bond(key) >= task.bond_min]

    def is_offered_otherwise(self, capability: bytes, verification: Verification) -> bool:
        """True when somebody offers the capability, but to be verified in another way."""
        return any(kind != verification for kind in self._offering.get(capability, {}).values())

    def is_banned(self, key: bytes) -> bool:
        agent = self.agents.get(key)
        return agent is not None and agent.banned

    # --- stages of a task --------------------------------------------------------------------

    def add_task(self, task: Task) -> None:
        self.tasks[task.id] = task
        self.enqueue(task)

    def enqueue(self, task: Task) -> None:
        """Put a task at the end of its queue for the next auction."""
        self.leave_stage(task)
        task.stage = "queued"
        task.stage_deadline_ms = self.last_auction_ms(task)
        task.queued_ms = self.time_ms
        self.queue.setdefault(task.capability, {})[task.number] = task
        self.schedule(task, min(self.lone_auction_ms(task), task.stage_deadline_ms))

    def dequeue(self, task: Task) -> None:
        waiting = self.queue[task.capability]
        del waiting[task.number]
        if not waiting:
            del self.queue[task.capability]

    def lone_auction_ms(self, task: Task) -> int:
        """From here on a queued task makes do with a single bidder."""
        return task.queued_ms + self.parameters.bid_phase_ms

    def last_auction_ms(self, task: Task) -> int:
        """No agreement begins later than this, so each has its whole lease."""
        lease_ms = compute_lease_ms(self.parameters, task.terms)
        return task.deadline_ms - lease_ms - task.terms.grace_ms

    def enter_stage(self, task: Task, stage: Phase, parties: Iterable[bytes], time_ms: int) -> None:
        """Wait for the word of each party, for `time_ms` milliseconds of agreed time."""
        self.leave_stage(task)
        task.stage = stage
        task.stage_deadline_ms = self.time_ms + time_ms
        self.await_parties(task, parties)
        due_ms = task.stage_deadline_ms
        if stage in ("bid_commit", "bid_reveal"):
            self.auctions[task.number] = task
            due_ms = min(due_ms, self.last_auction_ms(task))
        self.schedule(task, due_ms)
        self.touch(task)

    def leave_stage(self, task: Task) -> None:
        """Forget whom the present stage waits for."""
        if task.stage == "queued" and task.number in self.queue.get(task.capability, ()):
            self.dequeue(task)
        self.forget_parties(task)
        self.auctions.pop(task.number, None)

    def set_overdue(self, task: Task) -> None:
        """The stage's deadline has passed: members are asked for inventories."""
        self.mark_overdue(task)
        due_ms = self.time_ms + self.parameters.inventory_phase_ms
        if task.stage in ("bid_commit", "bid_reveal"):
            due_ms = min(due_ms, self.last_auction_ms(task))
        self.schedule(task, due_ms)

    def remove_task(self, task: Task) -> None:
        self.leave_stage(task)
        del self.tasks[task.id]

    # --- time --------------------------------------------------------------------------------

    def next_due_ms(self) -> int | None:
        """When the agreed time next changes something; None when nothing is under way."""
        due = [proposal.deadline_ms for proposal in self.proposals.values()]
        others = (self.next_staged_ms(), self.unbondings.next_due_ms())
        return min([*due, *(due_ms for due_ms in others if due_ms is not None)], default=None)

    # --- duties ------------------------------------------------------------------------------

    def list_duties(self, me: bytes) -> list[Duty]:
        """What `me` should submit, in the order the tasks were opened."""
        duties = [
            _make_duty(task, kind, me)
            for task in self.list_waiting(me)
            for kind in _list_kinds(task)
        ]
        if self.committee.is_member(me):
            duties += [
                _make_duty(task, "inventory", me)
                for task in self.list_overdue()
                if isinstance(task, Task) and me not in task.inventories
            ]
        return duties

    def list_waiting(self, party: bytes) -> list[Task]:
        """Tasks that wait for the word of `party`, in the order they were opened."""
        return [task for task in self.list_todo(party) if isinstance(task, Task)]

    def restore_indexes(self, queued: Sequence[bytes]) -> None:
        """Rebuild everything that follows from tasks and agents; `queued` is the queues' order."""
        for key, agent in sorted(self.agents.items()):
            for capability in agent.capabilities:
                self._offering.setdefault(capability.id, {})[key] = capability.verification
        for id_ in queued:
            task = self.tasks[id_]
            self.queue.setdefault(task.capability, {})[task.number] = task
        self.restore_stages()
        for task in self.tasks.values():
            if task.stage in ("bid_commit", "bid_reveal"):
                self.auctions[task.number] = task
            if task.executor is not None:
                self.agents[task.executor].active += 1


def _list_kinds(task: Task) -> list[DutyKind]:
    """What the parties that a task waits for should do."""
    kind = _DUTIES[task.stage]
    if task.stage == "lease":
        return ["work", "beat"] if task.terms.heartbeat_ms else ["work"]
    return [_JUDGE_DUTIES.get(kind, kind) if task.verification == "judged" else kind]


def _make_duty(task: Task, kind: DutyKind, me: bytes) -> Duty:
    commitment = None
    if kind == "reveal_bid":
        commitment = task.bids[me].commitment
    elif kind in ("reveal_work", "deliver", "reveal_score"):
        commitment = task.works[me].commitment
    assert task.stage != "queued"
    done = task.works.get(task.executor) if task.executor is not None else None
    is_shown = task.verification != "exact" and done is not None
    return Duty(
        kind=kind,
        task=task.id,
        round=task.round,
        phase=task.stage,
        deadline_ms=task.stage_deadline_ms,
        capability=task.capability,
        input=task.input,
        input_bytes=task.input_bytes,
        budget=task.budget,
        deposit=task.deposit,
        commitment=commitment,
        output=(done.output or b"") if is_shown and done else b"",
        output_bytes=done.output_bytes if is_shown and done else 0,
        holders=task.holders,
        beat_ms=task.beat_ms,
    )


Part = tuple[bytes, Bucket, bytes, Bucket, int]
"""Source and its bucket, target and its bucket, credits."""


def compute_moves(*parts: Part) -> tuple[Move, ...]:
    """Moves for all parts that are more than nothing."""
    return tuple(Move(*part) for part in parts if part[-1])
