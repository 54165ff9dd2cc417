"""Commands of the text scenarios about prices, halts and variables, and how their facts are told.

trade PRICE [budget=1000]         a task from opening to settlement, awarded at about PRICE; tells
                                  what was awarded and what the market did
markets                           prices, halts, and what is due
variable NAME LABEL [choices=a,b TERM=VALUE ...]
set NAME VARIABLE VALUE           VALUE: a number
report NAME VARIABLE PPM          sealed
show_report NAME VARIABLE PPM [salt=TEXT]
variables                         those under way, and what is due
"""

from collections.abc import Callable
from typing import Any

from crdt.facts import (
    Awarded,
    Fact,
    MarketHalted,
    MarketReopened,
    PricePosted,
    TaskEnded,
    VariableOpened,
)
from crdt.facts_market import VariableTerms
from protocols.auction.commit_reveal import compute_report_commitment
from protocols.economy.market_model import Variable, compute_right_id
from protocols.economy.operations import Body
from protocols.economy.operations_market import (
    CommitReport,
    OpenVariable,
    RevealReport,
    SetVariable,
)
from tests.economy.world import World, digest

TOLD = (Awarded, PricePosted, MarketHalted, MarketReopened, TaskEnded)
PLAIN: dict[str, Any] = {
    "high": 100,
    "step": 10,
    "initial": 50,
    "pool": 10_000,
    "rounds": 1,
    "term_ms": 60_000,
    "bid_ms": 4_000,
    "reveal_ms": 4_000,
    "reserve": 10,
    "cap": 500,
    "deposit": 1_000,
}


def make_variable(name: str, **changes: Any) -> VariableTerms:
    """Terms that are in order, with `changes`."""
    plain = {"name": name} | PLAIN
    if "choices" in changes:
        plain |= {"high": 0, "step": 1, "initial": 0}
    return VariableTerms(**(plain | changes))


class MarketCommands:
    """The part of the runner that plays markets and variables."""

    world: World
    words: dict[bytes, str]
    tasks: dict[str, bytes]
    auctions: dict[str, bytes]
    variables: dict[str, bytes]

    submit: Callable[[str, Body], list[str]]
    command: Callable[[str], list[str]]
    tell_fact: Callable[[Fact], str]

    def do_trade(self, price: str, budget: str = "1000") -> list[str]:
        start = len(self.world.log)
        self.command(f"open alice budget={budget}")
        task = f"t{len(self.tasks)}"
        for name, said in zip(self.world.members, ("1", price), strict=False):
            self.command(f"bid {name} {task} {said}")
        for name in self.world.members[2:]:
            self.command(f"bid {name} {task} pass")
        for name, said in zip(self.world.members, ("1", price), strict=False):
            self.command(f"show_bid {name} {task} {said}")
        self.world.play(dict.fromkeys(self.world.members, "right"))
        return [self.tell_fact(f) for f in self.world.log[start:] if isinstance(f, TOLD)]

    def do_markets(self) -> list[str]:
        state, start_ms = self.world.state, self.world.genesis.created_ms
        due_ms = state.next_deadline_ms()
        lines = [f"due {None if due_ms is None else due_ms - start_ms}"]
        for market in state.markets():
            until_ms = market.halted_until_ms
            halted = "" if until_ms is None else f" halted until {until_ms - start_ms}"
            awards = sum(bucket.awards for bucket in market.buckets)
            lines.append(f"price {market.price} awards {awards}{halted}")
        return lines

    def do_variable(self, sponsor: str, name: str, **options: str) -> list[str]:
        changes: dict[str, Any] = {}
        for key, value in options.items():
            changes[key] = tuple(value.split(",")) if key == "choices" else int(value)
        return self.submit(sponsor, OpenVariable(make_variable(name, **changes)))

    def do_set(self, name: str, variable: str, value: str) -> list[str]:
        id_, round_ = self.find_variable(variable)
        return self.submit(name, SetVariable(id_, round_, int(value)))

    def do_report(self, name: str, variable: str, ppm: str) -> list[str]:
        id_, round_ = self.find_variable(variable)
        place, key = self.world.committee, self.world.keys[name]
        seal = compute_report_commitment(
            place.network, place.id, id_, round_, key, int(ppm), digest("salt")
        )
        return self.submit(name, CommitReport(id_, round_, seal))

    def do_show_report(self, name: str, variable: str, ppm: str, salt: str = "salt") -> list[str]:
        id_, round_ = self.find_variable(variable)
        return self.submit(name, RevealReport(id_, round_, int(ppm), digest(salt)))

    def do_variables(self) -> list[str]:
        state, start_ms = self.world.state, self.world.genesis.created_ms
        due_ms = state.next_deadline_ms()
        lines = [f"due {None if due_ms is None else due_ms - start_ms}"]
        for each in state.variables():
            holder = self.words[each.holder] if each.holder else "nobody"
            lines.append(
                f"{each.terms.name} round {each.round} {each.stage} value={each.value} "
                f"pool={each.pool} holder={holder}"
            )
        return lines

    def find_variable(self, name: str) -> tuple[bytes, int]:
        id_ = self.variables.get(name, digest(name))
        found: list[Variable] = [each for each in self.world.state.variables() if each.id == id_]
        return id_, found[0].round if found else 1

    def note_variable(self, fact: Fact) -> None:
        """Give a new variable its name."""
        if isinstance(fact, VariableOpened):
            self.variables[fact.terms.name] = fact.variable
            self.words[fact.variable] = fact.terms.name
            for round_ in range(1, fact.terms.rounds + 1):
                right = compute_right_id(fact.variable, round_)
                name = f"{fact.terms.name}-{round_}"
                self.words[right] = name
                self.auctions[name] = right
