"""A fifth of the agents are one attacker's, and what it does with them besides honest work.

Its agents fill 40 slots, two in each capability, however many they are: so it has the same two
bids in every auction, and what differs between attacks is reputation alone. Its raters ask for
tasks: further accounts, or the agents themselves. Each epoch begins with tasks of honest
requesters, for which everybody bids its cost; then comes the attack.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from crdt.facts import Fact
from crdt.reputation import ReputationView
from devnet.experiments.population import (
    CAPABILITIES,
    CREATED_MS,
    Fails,
    Phase,
    Population,
    Price,
    draw,
    make_key,
)
from identity.errors import EconodeError
from protocols.economy.model import TaskView

Attack = Literal["none", "wash", "slander", "whitewash"]

FOUNDERS = 4
HONEST = 156
SLOTS = 2 * len(CAPABILITIES)
"""Places of the attacker's agents, so that they are a fifth of 200 when each has one."""
BOND_UNIT = 1_000
HONEST_BONDS_MAX = 5
"""An honest agent bonds one to so many times the least bond."""
BUDGET = 1_000
COST_MIN, COST_MAX = 500, 1_000
TASKS = 20
"""Honest tasks of an epoch, as many as make a snapshot."""
HONEST_FAILURES = 0.03
WASH_BUDGET = 9
"""The dearest task whose verifiers' fee rounds to nothing, and cheaper than any honest cost."""
WASHES = 1
"""Wash tasks for each slot and epoch."""
POISONED = 2
"""Every so manieth slot asks for a task that nobody can do, in turn from epoch to epoch."""
EPOCH_MS = 60_000
WAVE = 20
"""Tasks of an attack at once: as many as make a snapshot, after which allowances begin anew."""
CARELESS = 0.5
"""Share of a whitewasher's work that fails."""
REPLACED_MAX = 400
"""Fresh identities that a whitewasher may use up in a run."""


class TooLong(EconodeError):
    """A run that would need more fresh identities than were funded."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the attacker does. Each agent has the least bond for each slot it fills."""

    name: str
    attack: Attack
    agents: int = SLOTS
    raters: int = 0
    """Further accounts that ask for the attack's tasks; without any the agents do so."""
    rater_bond: int = 0
    """In credits, for all raters together, beside the agents' own bonds."""
    snapshot_ms_min: int = EPOCH_MS
    """The genesis parameter; 0 lets an attack have as many snapshots as it pays settlements for."""
    failures: float = 0.2
    """Share of its honest work that fails."""


class Town:
    """One population under one scenario, epoch by epoch."""

    def __init__(self, scenario: Scenario, seed: int, *, honest: int = HONEST) -> None:
        self.scenario, self.seed = scenario, seed
        names = [f"honest {i}" for i in range(honest)]
        spare = REPLACED_MAX if scenario.attack == "whitewash" else 0
        sybils = [f"sybil {i}" for i in range(scenario.agents + spare)]
        raters = [f"rater {i}" for i in range(scenario.raters)]
        self.population = Population(
            seed, FOUNDERS, [*names, *sybils, *raters], scenario.snapshot_ms_min
        )
        self.honest = [make_key(name) for name in names]
        self.raters = [make_key(name) for name in raters]
        self._fresh = [make_key(name) for name in sybils]
        self.attackers = frozenset((*self._fresh, *self.raters))
        self._epoch = 0
        self.bonded = 0
        """Credits that the attacker bonded until now, for identities it gave up too."""
        self._begin()

    @property
    def founders(self) -> list[bytes]:
        return self.population.founders

    @property
    def reputation(self) -> ReputationView:
        return self.population.state.reputation

    @property
    def sybils(self) -> list[bytes]:
        """The agents that are in use now."""
        return list(dict.fromkeys(self.slots))

    def _begin(self) -> None:
        random = self.population.random
        bonds = [random.randint(1, HONEST_BONDS_MAX) * BOND_UNIT for _ in self.honest]
        self.population.add(
            {
                key: (bond, [CAPABILITIES[i % len(CAPABILITIES)]])
                for i, (key, bond) in enumerate(zip(self.honest, bonds, strict=True))
            }
        )
        count = self.scenario.agents
        fresh, self._fresh = self._fresh[:count], self._fresh[count:]
        self.slots = [fresh[slot * count // SLOTS] for slot in range(SLOTS)]
        self._bond(fresh)
        each = self.scenario.rater_bond // max(1, self.scenario.raters)
        if each:
            self.population.bond(dict.fromkeys(self.raters, each))
            self.bonded += each * len(self.raters)

    def _bond(self, keys: list[bytes]) -> None:
        """Let agents that stand in the slots take part."""
        offers = {}
        for key in keys:
            mine = [slot for slot, owner in enumerate(self.slots) if owner == key]
            offered = [CAPABILITIES[slot % len(CAPABILITIES)] for slot in mine]
            offers[key] = (BOND_UNIT * len(mine), offered)
        self.population.add(offers)
        self.bonded += sum(bond for bond, _ in offers.values())

    # --- an epoch ----------------------------------------------------------------------------

    def work(self) -> Phase:
        """The tasks of honest requesters; everybody bids what it costs."""
        random, requesters = self.population.random, [*self.founders, *self.honest]
        wanted = [
            (random.choice(requesters), random.randrange(len(CAPABILITIES))) for _ in range(TASKS)
        ]
        opened = self.population.open(wanted, BUDGET)
        return self.population.play(opened, self._ask_cost, self._fails)

    def attack(self) -> Phase:
        """What the attacker does in an epoch beside working."""
        actions: dict[Attack, Callable[[], Phase]] = {
            "none": Phase,
            "wash": self._wash,
            "slander": self._slander,
            "whitewash": Phase,
        }
        return actions[self.scenario.attack]()

    def _ask(self, budget: int, slots: Sequence[int], price: Price, fails: Fails) -> Phase:
        """Let a rater ask for a task in each slot's capability, a wave at a time."""
        total = Phase()
        for at in range(0, len(slots), WAVE):
            wanted = [
                (self._get_rater(slot), slot % len(CAPABILITIES)) for slot in slots[at : at + WAVE]
            ]
            wave = self.population.play(self.population.open(wanted, budget), price, fails)
            total.facts += wave.facts
            total.ratings += wave.ratings
        return total

    def end_epoch(self, worked: Phase) -> Sequence[Fact]:
        """Time passes; then a whitewasher gives up each agent that was rated badly."""
        self._epoch += 1
        facts = self.population.wait(CREATED_MS + self._epoch * EPOCH_MS)
        if self.scenario.attack == "whitewash":
            self._whitewash(worked)
        return facts

    def _whitewash(self, worked: Phase) -> None:
        bad = {rating.subject for rating in worked.ratings if not rating.value}
        spoilt = [key for key in self.sybils if key in bad]
        if len(spoilt) > len(self._fresh):
            raise TooLong("no fresh identities are left")
        if spoilt:
            fresh, self._fresh = self._fresh[: len(spoilt)], self._fresh[len(spoilt) :]
            exchange = dict(zip(spoilt, fresh, strict=True))
            self.population.remove(spoilt)
            self.slots = [exchange.get(key, key) for key in self.slots]
            self._bond(fresh)

    def _ask_cost(self, task: TaskView, key: bytes) -> int | None:
        if key in self.founders:
            return None
        return COST_MIN + int((COST_MAX - COST_MIN) * self._draw(b"cost", task, key))

    def _draw(self, what: bytes, task: TaskView, key: bytes) -> float:
        """The same in all scenarios of a seed, so that an attack differs from its control in
        nothing by chance: it depends on who asks for which capability in which epoch."""
        epoch = self._epoch.to_bytes(4)
        return draw(self.seed, what, epoch, task.requester, task.capability, key)

    def _fails(self, task: TaskView, key: bytes) -> bool:
        if key in self.founders:
            return False
        share = self.scenario.failures if key in self.attackers else HONEST_FAILURES
        return self._draw(b"fails", task, key) < share

    def _wash(self) -> Phase:
        """The raters ask the agents for work that costs next to nothing."""
        slots = [slot for slot in range(SLOTS) for _ in range(WASHES)]
        return self._ask(WASH_BUDGET, slots, self._ask_least, lambda task, key: False)

    def _get_rater(self, slot: int) -> bytes:
        """Who asks for the task that is meant for a slot: the other agent of its capability."""
        if self.raters:
            return self.raters[slot % len(self.raters)]
        return self.slots[(slot + len(CAPABILITIES)) % SLOTS]

    def _ask_least(self, task: TaskView, key: bytes) -> int | None:
        """The least price from the attacker's agents, a pass from everybody else."""
        return 1 if key in self.attackers else None

    def _slander(self) -> Phase:
        """Tasks whose input makes every run fail; the attacker's own agents pass."""
        slots = range(self._epoch % POISONED, SLOTS, POISONED)
        return self._ask(BUDGET, slots, self._ask_honest_cost, lambda task, key: True)

    def _ask_honest_cost(self, task: TaskView, key: bytes) -> int | None:
        return None if key in self.attackers else self._ask_cost(task, key)


RINGS = (2, SLOTS)
"""Into how many agents one bond is split."""
BONDS = (0, 10, 40)
"""What the raters of an attack have bonded, in least bonds."""


def list_scenarios() -> tuple[Scenario, ...]:
    """Controls without an attack, then each attack."""
    return (
        *(Scenario(f"control-{agents}", "none", agents) for agents in RINGS),
        Scenario("control-careless", "none", failures=CARELESS),
        *(Scenario(f"ring-{agents}", "wash", agents) for agents in RINGS),
        *(Scenario(f"wash-{bond}", "wash", SLOTS, 1, bond * BOND_UNIT) for bond in BONDS),
        *(Scenario(f"slander-{bond}", "slander", SLOTS, 1, bond * BOND_UNIT) for bond in BONDS),
        Scenario("whitewash", "whitewash", failures=CARELESS),
        Scenario("hasty-slander-0", "slander", SLOTS, 1, snapshot_ms_min=0),
    )


def get_control(scenario: Scenario) -> str:
    """The name of the scenario that differs from this one in the attack alone."""
    if scenario.attack == "whitewash":
        return "control-careless"
    return f"control-{scenario.agents}"
