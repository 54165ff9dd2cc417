"""An hour's work in agreed time: heartbeats and progress, a killed executor, another auction, the
requester's word."""

from crdt.facts import Awarded, Progressed, Settled, WorkAnswered
from protocols.economy.operations_tasks import AcceptWork
from tests.economy.world import World

HOUR_MS = 3_600_000
BEAT_MS = 60_000
STEP_MS = BEAT_MS // 2


class Hour(World):
    """Agents whose work takes an hour; each beats at half of the interval while it is awake."""

    def __init__(self) -> None:
        super().__init__(verification="accepted")
        self.asleep: set[str] = set()
        self.run(*self.offer(*self.members))
        self.run(
            self.open(
                "alice",
                duration_ms=6 * HOUR_MS,
                lease_ms=2 * HOUR_MS,
                heartbeat_ms=BEAT_MS,
                accept_ms=HOUR_MS,
            )
        )

    def step(self) -> None:
        """Everybody acts until nothing is left to say, then half an interval goes by."""
        while True:
            pairs = []
            for name in self.members:
                if name in self.asleep:
                    continue
                outcomes, findings = self.work(name)
                planner = self.planners[name]
                bodies = planner.plan_operations(self.state, outcomes, findings=findings)
                pairs += [(name, body) for body in bodies]
            if not pairs:
                break
            self.run(*self.sign_all(pairs))
        self.run(wait_ms=STEP_MS)

    def work(self, name):
        """What is done by now: the output after an hour, until then a progress."""
        outcomes, findings = {}, self.find(name, "right")
        for task in self.state.tasks():
            if task.executor != self.keys[name] or not task.lease_ms:
                continue
            spent_ms = self.time_ms - (task.lease_ms - 2 * HOUR_MS)
            if spent_ms >= HOUR_MS:
                outcomes = self.make_outcomes("right")
            for id_ in findings.beats:
                findings.beats[id_] = min(999_999, spent_ms * 1_000_000 // HOUR_MS)
        return outcomes, findings

    def of(self, kind):
        return [fact for fact in self.log if isinstance(fact, kind)]


def test_one_hour_with_heartbeats_a_killed_executor_and_another_auction():
    world = Hour()
    while not world.of(Awarded):
        world.step()
    first = world.names[world.of(Awarded)[0].winner]
    for _ in range(60):  # half an hour
        world.step()
    assert len(world.of(Awarded)) == 1
    progress = [fact.progress_ppm for fact in world.of(Progressed)]
    assert len(progress) >= 55
    assert progress == sorted(progress)
    assert 450_000 < progress[-1] <= 520_000
    world.asleep.add(first)
    killed_ms = world.time_ms
    while len(world.of(Awarded)) < 2:
        world.step()
    assert world.time_ms - killed_ms <= 4 * BEAT_MS  # not at the end of the lease
    (poor,) = world.of(Settled)
    assert (poor.grade, world.names[poor.executor]) == ("poor", first)
    second = world.names[world.of(Awarded)[1].winner]
    assert second != first
    (task,) = world.state.tasks()
    assert task.progress_ppm == 0  # another executor begins anew
    for _ in range(125):
        world.step()
    (task,) = world.state.tasks()
    assert task.stage == "acceptance"
    world.run(world.sign("alice", AcceptWork(task.task, task.round, 1_000_000)))
    assert world.of(WorkAnswered)[0].silent is False
    assert [fact.grade for fact in world.of(Settled)] == ["poor", "excellent"]
    assert not list(world.state.tasks())
    totals = world.state.stake.totals()
    assert totals["escrow"] == totals["locked"] == 0
    assert world.state.stake.is_conserved()


def test_the_silence_of_an_hour_pays():
    world = Hour()
    for _ in range(125):
        world.step()
    (task,) = world.state.tasks()
    assert task.stage == "acceptance"
    for _ in range(123):
        world.step()
    (answer,) = world.of(WorkAnswered)
    assert (answer.silent, answer.paid_ppm) == (True, 1_000_000)
    assert [fact.grade for fact in world.of(Settled)] == ["satisfactory"]
