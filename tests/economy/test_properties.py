"""Properties of the economy under random batches: sense and nonsense, at any time."""

from collections import Counter
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crdt.facts import (
    Accepted,
    Awarded,
    Settled,
    Slashed,
    TaskEnded,
    TaskOpened,
    Unbonded,
    Verification,
    compute_transit_account,
)
from crdt.reputation import ReputationView
from crdt.stake import StakeView
from identity.schema import U63_MAX
from protocols.economy.operations import (
    BidCommitment,
    BidOpening,
    Bond,
    CommitBids,
    CommitWork,
    ConsentCommittee,
    FormCommittee,
    Held,
    Inventory,
    Offer,
    RevealBids,
    RevealWork,
    Transfer,
    Unbond,
    WorkCommitment,
    WorkOpening,
)
from protocols.economy.operations_tasks import (
    AcceptWork,
    Beat,
    CancelTask,
    Heartbeat,
    RevealScores,
    ScoreOpening,
)
from protocols.economy.state import EconomyState
from protocols.economy.unbondings import UNBONDINGS_PER_ACCOUNT_MAX
from protocols.genesis import PPM
from tests.economy.world import World, check_receipt, digest

PHASES = (
    *("bid_commit", "bid_reveal", "lease", "work_commit", "work_reveal"),
    *("extra_commit", "extra_reveal"),
    *("delivery", "acceptance"),
)


class Checker:
    """A world with a twin that is dumped and loaded before each batch; both must agree."""

    def __init__(self, n: int, lies: list[str], verification: Verification = "exact") -> None:
        self.world = World(
            n,
            verification=verification,
            awards_active_max=2,
            snapshot_settlements=3,
            unbonding_ms=30_000,
            member_bond_min=2_000,
        )
        members = self.world.members
        # The cheapest agents lie, so they win.
        self.liars, self.honest = members[: len(lies)], members[len(lies) :]
        self.says = dict(zip(self.liars, lies, strict=True))
        # What honest agents say of a result that they judge is a score; it is as good an output.
        word = "right" if verification == "exact" else "70"
        self.says |= dict.fromkeys(self.honest, word)
        self.twin = EconomyState.load(
            self.world.state.dump(), self.world.genesis, self.world.committee, check_receipt
        )
        self.run(self.world.offer(*members), 0)

    def run(self, operations: Any, wait_ms: int) -> None:
        world = self.world
        data = self.twin.dump()
        self.twin = EconomyState.load(data, world.genesis, world.committee, check_receipt)
        facts = world.run(*operations, wait_ms=wait_ms)
        seed = digest(f"batch {world.state.position}")
        assert facts == self.twin.execute(
            world.state.position, world.time_ms, seed, tuple(operations)
        )
        assert world.state.dump() == self.twin.dump()
        self.check()

    def check(self) -> None:
        state, books = self.world.state, self.world.state._books
        assert state.stake.is_conserved()
        assert all(value > 0 for value in state.stake.balances().values())
        locked: Counter[bytes] = Counter()
        escrow: Counter[bytes] = Counter()
        active: Counter[bytes] = Counter()
        for task in books.tasks.values():
            escrow[task.requester] += task.escrow
            for bidder, bid in task.bids.items():
                locked[bidder] += task.deposit if bid.commitment is not None else 0
            if task.executor is not None:
                locked[task.executor] += task.deposit
                active[task.executor] += 1
        for pool in books.pools.values():
            escrow[pool.requester] += pool.amount
            assert pool.open == sum(task.pool == pool.id for task in books.tasks.values()) > 0
        transit: Counter[bytes] = Counter()
        for proposal in state.proposals():
            assert set(proposal.consented) < set(proposal.members)
            transit.update(dict.fromkeys(proposal.consented, proposal.bond + proposal.free))
        for formed in state.formed():
            share = len(formed.members) * (formed.bond + formed.free)
            pot = compute_transit_account(formed.committee)
            assert state.stake.get(pot, "transit") == share
        for key in self.world.keys.values():
            assert state.stake.get(key, "transit") == transit[key]
            assert state.stake.get(key, "locked") == locked[key]
            assert state.stake.get(key, "escrow") == escrow[key]
        for key, agent in books.agents.items():
            assert agent.active == active[key] <= state.parameters.awards_active_max
        due_ms = state.next_deadline_ms()
        assert due_ms is None or due_ms > state.time_ms
        waits = books.tasks or books.proposals or list(books.unbondings)
        assert (due_ms is None) == (not waits)
        for unbonding in books.unbondings:
            bonded = state.stake.get(unbonding.account, "bonded")
            leaving = state.unbondings(unbonding.account)
            assert sum(each.amount for each in leaving) <= bonded
            assert len(leaving) <= UNBONDINGS_PER_ACCOUNT_MAX
        for agent_key, agent in books.agents.items():
            if agent.active and not agent.banned:
                assert state.stake.get(agent_key, "bonded") >= state.parameters.bond_min

    def finish(self, awake: tuple[str, ...]) -> None:
        """With honest members awake every task ends, and nothing is left behind."""
        says = {name: self.says[name] for name in awake}
        for _ in range(400):
            if not self.world.state._books.tasks:
                break
            pairs = self.world.plan(says)
            due_ms = self.world.state.next_deadline_ms()
            assert due_ms is not None
            wait_ms = 10 if pairs else due_ms - self.world.time_ms
            self.run(self.world.sign_all(pairs), wait_ms)
        totals = self.world.state.stake.totals()
        assert not self.world.state._books.tasks
        assert totals["locked"] == totals["escrow"] == 0

    def check_log(self) -> None:
        """What anybody can see from the log alone."""
        log, world = self.world.log, self.world
        stake, reputation = StakeView(), ReputationView()
        for fact in log:
            stake.apply(fact)
            reputation.apply(fact)
        assert stake.balances() == world.state.stake.balances()
        assert reputation.scores() == world.state.reputation.scores()
        offences = Counter(fact.offence for fact in log if isinstance(fact, Slashed))
        assert not offences or max(offences.values()) == 1
        liars = {world.keys[name] for name in self.liars}
        assert {fact.offender for fact in log if isinstance(fact, Slashed)} <= liars
        for fact in log:
            taken = any(m.source_bucket == "bonded" for m in fact.moves)
            assert not taken or isinstance(fact, Slashed | Unbonded)
            if isinstance(fact, Accepted) and world.offered.verification == "exact":
                assert fact.output == digest("right")
            if isinstance(fact, Settled):
                assert fact.grade != "byzantine" or fact.executor in liars
        opened = Counter(fact.task for fact in log if isinstance(fact, TaskOpened))
        ended = Counter(fact.task for fact in log if isinstance(fact, TaskEnded))
        assert opened == ended
        awards = Counter((f.task, f.round) for f in log if isinstance(f, Awarded))
        grades = Counter((f.task, f.round) for f in log if isinstance(f, Settled))
        assert grades <= awards
        assert not awards or max(awards.values()) == 1


def bodies(world: World) -> st.SearchStrategy[Any]:
    """Operations without much sense, on tasks that are there."""
    tasks = [task.task for task in world.state.tasks()] or [digest("none")]
    task, round_ = st.sampled_from(tasks), st.integers(0, 3)
    key, amount = st.sampled_from(list(world.keys.values())), st.integers(1, 2_000)
    proposed = [proposal.committee for proposal in world.state.proposals()] or [bytes(16)]
    members = st.lists(key, min_size=3, max_size=5).map(tuple)
    some, salt = st.sampled_from([digest("right"), digest("wrong")]), st.just(digest("salt"))
    maybe = st.one_of(st.none(), some)
    failure = st.one_of(st.none(), st.just("crashed"))
    return st.one_of(
        st.builds(FormCommittee, st.sampled_from("ab"), members, amount, amount, amount),
        st.builds(ConsentCommittee, st.sampled_from(proposed)),
        st.builds(ConsentCommittee, st.sampled_from(proposed)),
        st.builds(Bond, amount),
        st.builds(Unbond, amount),
        st.builds(Transfer, key, st.one_of(amount, st.just(U63_MAX))),
        st.builds(Offer, st.sampled_from([(), *({a.capabilities for a in _agents(world)})])),
        st.builds(BidCommitment, task, round_, maybe).map(lambda item: CommitBids((item, item))),
        st.builds(BidOpening, task, round_, amount, salt).map(lambda item: RevealBids((item,))),
        st.builds(WorkCommitment, task, round_, maybe, failure).map(lambda i: CommitWork((i,))),
        st.builds(WorkOpening, task, round_, some, st.just(7), salt).map(
            lambda item: RevealWork((item,))
        ),
        st.builds(Beat, task, round_, st.integers(0, PPM)).map(lambda item: Heartbeat((item,))),
        st.builds(AcceptWork, task, round_, st.integers(0, PPM)),
        st.builds(CancelTask, task),
        st.builds(ScoreOpening, task, round_, st.integers(0, 100), salt).map(
            lambda item: RevealScores((item,))
        ),
        st.builds(Held, task, round_, st.sampled_from(PHASES), st.tuples(key, key)).map(
            lambda item: Inventory((item,))
        ),
    )


def _agents(world: World) -> list[Any]:
    agents = (world.state.get_agent(world.keys[name]) for name in world.members)
    return [agent for agent in agents if agent is not None]


KINDS = ("open", "act", "act", "act", "wait", "nonsense", "back", "form", "consent", "answer")


def form(data: st.DataObject, checker: Checker, kind: str) -> None:
    """Somebody proposes a committee, or those that one names consent to it, but for one maybe."""
    world, names = checker.world, list(checker.world.keys)
    if kind == "form":
        named = data.draw(st.lists(st.sampled_from(names[:5]), min_size=4, unique=True))
        members = tuple(world.keys[name] for name in named)
        duration_ms = data.draw(st.sampled_from([1, 20_000, 600_000]))
        name = data.draw(st.sampled_from("abc"))
        body = FormCommittee(name, members, 1_000, data.draw(st.integers(0, 40_000)), duration_ms)
        checker.run(world.sign_all([(data.draw(st.sampled_from(names)), body)]), 0)
        return
    for proposal in list(world.state.proposals()):
        absent = data.draw(st.sampled_from([None, *proposal.members]))
        consent = ConsentCommittee(proposal.committee)
        willing = [world.names[key] for key in proposal.members if key != absent]
        checker.run(world.sign_all([(name, consent) for name in willing]), 10)


def draw_terms(data: st.DataObject, world: World) -> dict[str, Any]:
    """Terms of tasks, a pool too, most of them within bounds."""
    small = st.sampled_from([0, 0, 5_000, 20_000])
    terms: dict[str, Any] = {
        "lease_ms": data.draw(small),
        "grace_ms": data.draw(small),
        "heartbeat_ms": data.draw(small),
        "accept_ms": data.draw(small),
        "panel": data.draw(st.sampled_from([1, 2, 3])),
        "mechanism": data.draw(st.sampled_from(["vickrey", "first_price"])),
        "bonus_ppm": data.draw(st.sampled_from([None, 0, PPM])),
        "pool": data.draw(st.sampled_from([0, 0, 1, 100])),
    }
    if world.offered.verification == "exact":
        terms["or_judged"] = data.draw(st.booleans())
    return terms


def answer(data: st.DataObject, checker: Checker) -> None:
    """Requesters accept, reject or cancel what they can."""
    pairs: list[tuple[str, Any]] = []
    for task in checker.world.state.tasks():
        name = checker.world.names[task.requester]
        if task.stage == "acceptance":
            paid_ppm = data.draw(st.sampled_from([0, 1, 333_333, PPM]))
            pairs.append((name, AcceptWork(task.task, task.round, paid_ppm)))
        elif data.draw(st.booleans()):
            pairs.append((name, CancelTask(task.task)))
    checker.run(checker.world.sign_all(pairs), data.draw(st.integers(0, 5_000)))


def one_step(data: st.DataObject, checker: Checker) -> None:
    world = checker.world
    kind = data.draw(st.sampled_from(KINDS))
    if kind == "open":
        name = data.draw(st.sampled_from(["alice", "bob", checker.honest[0]]))
        budget = data.draw(st.sampled_from([1_000, 3_000, 10_000, 90, 1, 200_000, U63_MAX]))
        count = data.draw(st.integers(1, 6))
        duration_ms = data.draw(st.sampled_from([23_000, 60_000, 600_000]))
        terms = draw_terms(data, world)
        operation = world.open(name, count, budget, duration_ms=duration_ms, **terms)
        checker.run([operation], data.draw(st.integers(0, 100)))
    elif kind == "act":
        asleep = data.draw(st.sets(st.sampled_from(world.members), max_size=2))
        says = {name: word for name, word in checker.says.items() if name not in asleep}
        for _ in range(data.draw(st.integers(1, 8))):
            checker.run(world.sign_all(world.plan(says)), data.draw(st.integers(0, 100)))
    elif kind == "wait":
        checker.run([], data.draw(st.sampled_from([1, 4_000, 15_000, 20_000, 100_000])))
    elif kind == "answer":
        answer(data, checker)
    elif kind in ("form", "consent"):
        form(data, checker, kind)
    elif kind == "back":
        checker.run(world.offer(*checker.honest), 0)
    else:
        names = st.sampled_from([*checker.liars, "alice", "bob"])
        pairs = data.draw(st.lists(st.tuples(names, bodies(world)), max_size=4))
        operations = world.sign_all(pairs)
        if operations and data.draw(st.booleans()):
            operations.append(operations[0])
        checker.run(operations, data.draw(st.integers(0, 5_000)))


@pytest.mark.full
@pytest.mark.timeout(600)
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], database=None)
@given(st.data())
def test_many_sequences_of_batches_break_no_rule(data: st.DataObject) -> None:
    check_sequence(data)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], database=None)
@given(st.data())
def test_no_sequence_of_batches_breaks_the_rules(data: st.DataObject) -> None:
    check_sequence(data)


def check_sequence(data: st.DataObject) -> None:
    n = data.draw(st.sampled_from([4, 7]))
    lies = st.sampled_from(["wrong", "wrong", "other", "fail"])
    mode = data.draw(st.sampled_from(get_args(Verification)))
    checker = Checker(n, data.draw(st.lists(lies, max_size=(n - 1) // 3)), mode)
    for _ in range(data.draw(st.integers(1, 25))):
        one_step(data, checker)
    everybody = data.draw(st.booleans())
    checker.finish(checker.world.members if everybody else checker.honest)
    checker.check_log()
