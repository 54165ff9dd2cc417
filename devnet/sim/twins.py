"""Twins (Bano et al., 2020): every Byzantine member is two honest processes of one key.

A scenario fixes for each of its rounds who can talk to whom, and for each of its first views who
leads. A round lasts `ROUND_MS`, a little longer than the view timer, which is shortened for these
worlds, so a round that commits nothing ends in a view change. After the last round everything is
healed: then a batch must be committed, and every invariant of safety has held all along.
docs/simulator.md explains the file format.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, Any

import msgspec

from devnet.invariants import Violation
from devnet.sim.byzantine import Sender
from devnet.sim.foundation import make_foundation
from devnet.sim.member import Member
from devnet.sim.memo import Memory, patched, shortcuts
from devnet.sim.plan import LOST_KINDS, Byzantine, LostKind, Plan
from devnet.sim.run import map_in_processes
from devnet.sim.world import World
from identity.errors import EconodeError
from protocols.committee import Committee, compute_faults
from protocols.pbft import core, view_change

SIZES = (4, 4, 4, 5, 6, 7, 10)
"""Committees of generated scenarios, when no size is asked for."""
ROUNDS_MAX = 7
GROUPS_MAX = 4
APART_SHARE = 0.3
"""Scenarios in which one process knows more than the others."""
LOST_ALL_ALONG: tuple[LostKind, ...] = ("head", "view_change")
PIPELINES_SHARE = 0.25
USUAL_SHARE = 0.7
"""Rounds that follow the usual order of a scenario of that kind."""
ROUND_MS = 1_000
TIMEOUT_MS = 500
"""The view timer of these worlds, in place of the product's."""
HEALED_MS_MAX = 200_000
STEP_MS = 500
CHUNK_SCENARIOS = 20
FILE_BYTES_MAX = 256 * 1024 * 1024
OPERATION_PAUSE_MS = 400
TWIN_ID = 100

Index = Annotated[int, msgspec.Meta(ge=0, le=30)]
Process = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,2}'?$")]
"""A member's index, with an apostrophe for its twin."""


class InvalidScenario(EconodeError):
    """A scenario file that cannot be run; the message says where and why."""


class Lost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of message that some processes do not hear in a round."""

    kind: LostKind
    processes: Annotated[tuple[Process, ...], msgspec.Meta(max_length=64)]


class Round(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The leader of the view of this number, and the groups that processes are cut into during
    the round; a process that stands in no group hears nobody."""

    leader: Index
    groups: Annotated[tuple[tuple[Process, ...], ...], msgspec.Meta(max_length=64)]
    lost: Annotated[tuple[Lost, ...], msgspec.Meta(max_length=16)] = ()


class Scenario(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """`seed` decides the delays, everything else stands here."""

    seed: Annotated[int, msgspec.Meta(ge=0)]
    n: Annotated[int, msgspec.Meta(ge=1, le=31)]
    pipelines: bool = False
    """Whether a primary proposes again while something is in flight."""
    twins: Annotated[tuple[Index, ...], msgspec.Meta(max_length=10)]
    rounds: Annotated[tuple[Round, ...], msgspec.Meta(max_length=64)]

    def check(self) -> None:
        """Raise InvalidScenario unless the members exist and at most f have twins."""
        if len(set(self.twins)) > compute_faults(self.n):
            limit = compute_faults(self.n)
            raise InvalidScenario(f"{len(self.twins)} twins, at most {limit} of {self.n} members")
        named = {*self.twins, *(r.leader for r in self.rounds)}
        groups = [group for r in self.rounds for group in r.groups]
        groups += [lost.processes for r in self.rounds for lost in r.lost]
        named |= {int(p.rstrip("'")) for group in groups for p in group}
        if named and max(named) >= self.n:
            raise InvalidScenario(f"member {max(named)} of {self.n}: they count from 0")


class ScenarioFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `econode sim twins --write` writes and `--read` reads."""

    scenarios: tuple[Scenario, ...]
    format: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1


class ScenarioResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one scenario; `commits` counts batches after healing."""

    scenario: Scenario
    violations: tuple[str, ...]
    commits: int
    view_changes: int
    sim_ms: int
    trace_hash: str


class TwinsReport(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `econode sim twins`."""

    scenarios: int
    violations: int
    commits_min: int
    commits: int
    view_changes: int
    sim_seconds: float
    bound_p_95: float
    """0 failures in N scenarios: less than this, at 95 % (3/N)."""
    failures: tuple[ScenarioResult, ...]


FAILURES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class LedCommittee(Committee):
    """A committee whose first views have the leaders of a scenario."""

    leaders: tuple[int, ...] = ()

    def get_primary(self, view: int) -> bytes:
        if view < len(self.leaders):
            return self.members[self.leaders[view]]
        return self.members[view % self.n]


class _GroupSender(Sender):
    """Lets a process hear the group that it is in, in the present round."""

    def __init__(self, world: "TwinsWorld", member: Member) -> None:
        super().__init__(world, member)
        self._groups = world

    def hears(self, source: Member) -> bool:
        return self._groups.are_linked(source, self._member)


class TwinsWorld(World):
    """A world of one scenario: no other faults."""

    def __init__(
        self, scenario: Scenario, memory: Memory | None, lines: list[str] | None = None
    ) -> None:
        self._groups = [
            {_get_id(process): place for place, group in enumerate(r.groups) for process in group}
            for r in scenario.rounds
        ]
        self._rounds = scenario.rounds
        plan = Plan(
            seed=scenario.seed,
            n=scenario.n,
            safety_ms=ROUND_MS * len(scenario.rounds),
            operation_pause_ms=OPERATION_PAUSE_MS,
            byzantine=tuple(Byzantine(node, "twins") for node in scenario.twins),
        )
        usual = make_foundation(scenario.n).committee
        leaders = tuple(r.leader for r in scenario.rounds)
        committee = LedCommittee(usual.network, usual.id, usual.epoch, usual.members, 0, leaders)
        super().__init__(plan, memory, lines, committee)
        for member in self.members:
            member.sender = _GroupSender(self, member)

    def _begin_round(self, place: int) -> None:
        """What is lost in this round, in place of what was lost in the one before."""
        self.deafness.clear()
        for lost in self._rounds[place].lost:
            self.deafness.add(lost.kind, [_get_id(process) for process in lost.processes], 1)

    def are_linked(self, source: Member, target: Member) -> bool:
        """Whether what `source` sends now reaches `target`."""
        place = self.now_ms // ROUND_MS
        if self.is_healed or place >= len(self._groups):
            return True
        groups = self._groups[place]
        return source.id in groups and groups[source.id] == groups.get(target.id)

    def run(self) -> None:
        """The rounds, then everything healed until everybody has a new batch."""
        for member in self.members:
            member.start()
        for client in self.clients:
            client.start()
        for place in range(len(self._rounds)):
            self.at(place * ROUND_MS, self._begin_round, place)
        end_ms = self.plan.safety_ms
        self.run_until(end_ms)
        self.heal()
        while not self.judge.violations and not self._is_done():
            end_ms += STEP_MS
            if end_ms > self.plan.safety_ms + HEALED_MS_MAX:
                detail = f"nothing new in {HEALED_MS_MAX // 1000} s of a healed network"
                self.judge.violations.append(Violation("L1 a commit once healed", "all", detail))
                return
            self.run_until(end_ms)
        self.judge.finish(needs_rest=False)

    def _is_done(self) -> bool:
        reached = [m.core.executed for m in self.members if m.is_honest and m.is_up]
        return min(reached) > self.judge.healed_at


def make_scenario(number: int, n: int | None = None) -> Scenario:
    """The scenario of a number; the same on every machine."""
    random = Random(number)
    size = n if n is not None else random.choice(SIZES)
    f = compute_faults(size)
    twins = tuple(sorted(random.sample(range(size), random.randint(min(1, f), f))))
    processes = [str(i) for i in range(size)] + [f"{i}'" for i in twins]
    pipelines = random.random() < PIPELINES_SHARE
    if random.random() < APART_SHARE:
        rounds = _tell_apart(random, size, twins, processes)
        return Scenario(seed=number, n=size, twins=twins, rounds=rounds, pipelines=pipelines)
    # Leaders are mostly the twins: two honest leaders that contradict each other.
    leaders = [*range(size), *(twins * size)]
    all_along = _lose(random, processes, LOST_ALL_ALONG) if random.random() < 0.3 else ()
    rounds = tuple(
        Round(
            random.choice(leaders),
            _cut(random, processes),
            all_along + (_lose(random, processes, LOST_KINDS) if random.random() < 0.4 else ()),
        )
        for _ in range(random.randint(1, ROUNDS_MAX))
    )
    return Scenario(seed=number, n=size, twins=twins, rounds=rounds, pipelines=pipelines)


def _tell_apart(
    random: Random, n: int, twins: tuple[int, ...], processes: list[str]
) -> tuple[Round, ...]:
    """One honest process knows more than the others in some rounds and is cut off in others, so
    that a view change has to choose between the certificates of several views."""
    ahead = str(random.choice([index for index in range(n) if index not in twins]))
    others = tuple(process for process in processes if process != ahead)
    everybody = (*others, ahead)
    no_heads = Lost("head", everybody)
    together, apart = (everybody,), (others, (ahead,))
    no_change = Lost("view_change", everybody)
    usual = (
        (together, (no_heads, Lost("prepare", others), no_change)),
        (apart, (no_heads,)),
        (together, (no_heads, Lost("commit", everybody))),
    )
    unusual = (
        *usual,
        (together, (no_heads, Lost("commit", others), no_change)),
        (together, (no_heads, Lost("odd_prepare", everybody))),
        (apart, (no_heads, Lost("commit", others))),
        (together, (no_heads,)),
    )
    rounds: list[Round] = []
    for place in range(random.randint(2, ROUNDS_MAX)):
        is_usual = random.random() < USUAL_SHARE
        groups, lost = usual[place % len(usual)] if is_usual else random.choice(unusual)
        rounds.append(Round(random.randrange(n), groups, lost))
    return tuple(rounds)


def _cut(random: Random, processes: list[str]) -> tuple[tuple[str, ...], ...]:
    count = random.choice((1, 2, 2, 2, 3, GROUPS_MAX))
    groups: list[list[str]] = [[] for _ in range(count)]
    for process in processes:
        random.choice(groups).append(process)
    return tuple(tuple(group) for group in groups if group)


def _lose(random: Random, processes: list[str], kinds: Sequence[LostKind]) -> tuple[Lost, ...]:
    kind = random.choice(kinds)
    if random.random() < 0.5:
        return (Lost(kind, tuple(processes)),)
    return (Lost(kind, tuple(process for process in processes if random.random() < 0.5)),)


def run_scenario(scenario: Scenario, lines: list[str] | None = None) -> ScenarioResult:
    scenario.check()
    changed: list[tuple[Any, str, Any]] = [(view_change, "TIMEOUT_MS", TIMEOUT_MS)]
    if scenario.pipelines:
        changed.append((core, "PIPELINE_EARLY_OPERATIONS", 1))
    with shortcuts() as memory, patched(changed):
        world = TwinsWorld(scenario, memory, lines)
        world.run()
    judge = world.judge
    return ScenarioResult(
        scenario=scenario,
        violations=tuple(str(violation) for violation in judge.violations),
        commits=judge.count_healed(),
        view_changes=judge.view_changes,
        sim_ms=world.now_ms,
        trace_hash=world.compute_trace_hash().hex(),
    )


def run_scenarios(
    scenarios: Iterator[Scenario], jobs: int, on_done: Callable[[ScenarioResult], None]
) -> TwinsReport:
    """Run scenarios on `jobs` processes; `on_done` hears of each, in order."""
    count = commits = view_changes = sim_ms = failed = 0
    commits_min: int | None = None
    failures: list[ScenarioResult] = []
    for chunk in map_in_processes(_run_chunk, _split(scenarios), jobs):
        for result in chunk:
            on_done(result)
            count, sim_ms = count + 1, sim_ms + result.sim_ms
            commits += result.commits
            view_changes += result.view_changes
            least = result.commits if commits_min is None else commits_min
            commits_min = min(least, result.commits)
            if result.violations:
                failed += 1
                failures = [*failures, result][:FAILURES_SHOWN]
    return TwinsReport(
        scenarios=count,
        violations=failed,
        commits_min=commits_min or 0,
        commits=commits,
        view_changes=view_changes,
        sim_seconds=sim_ms / 1000,
        bound_p_95=1.0 if failed else round(min(1.0, 3 / max(1, count)), 6),
        failures=tuple(failures),
    )


def _run_chunk(scenarios: list[Scenario]) -> list[ScenarioResult]:
    return [run_scenario(scenario) for scenario in scenarios]


def _split(scenarios: Iterator[Scenario]) -> Iterator[list[Scenario]]:
    chunk: list[Scenario] = []
    for scenario in scenarios:
        chunk.append(scenario)
        if len(chunk) == CHUNK_SCENARIOS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def load_scenarios(text: bytes) -> tuple[Scenario, ...]:
    """The scenarios of a file. Raises InvalidScenario."""
    if len(text) > FILE_BYTES_MAX:
        raise InvalidScenario(f"larger than {FILE_BYTES_MAX} bytes")
    try:
        scenarios = msgspec.json.decode(text, type=ScenarioFile).scenarios
    except (msgspec.DecodeError, ValueError) as error:
        raise InvalidScenario(str(error)) from None
    for place, scenario in enumerate(scenarios):
        try:
            scenario.check()
        except InvalidScenario as error:
            raise InvalidScenario(f"scenario {place}: {error}") from None
    return scenarios


def dump_scenarios(scenarios: tuple[Scenario, ...]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(ScenarioFile(scenarios))) + b"\n"


def _get_id(process: str) -> int:
    return int(process.rstrip("'")) + (TWIN_ID if process.endswith("'") else 0)
