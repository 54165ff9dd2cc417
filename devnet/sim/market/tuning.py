"""Coordination variables in these worlds: who sponsors, holds and measures them, honestly."""

import hashlib
from typing import TYPE_CHECKING

import msgspec

from crdt.facts_market import VariableTerms
from protocols.auction.commit_reveal import compute_report_commitment
from protocols.economy.market_model import Variable
from protocols.economy.operations import AnyBody
from protocols.economy.operations_market import (
    CommitReport,
    OpenVariable,
    RevealReport,
    SetVariable,
)
from protocols.genesis import PPM

if TYPE_CHECKING:
    from devnet.sim.market.party import Party
    from devnet.sim.market.world import MarketWorld

POOL = 4_000
"""Credits of a pool, times the scale."""
REWARD_PPM = 250_000
DEPOSIT = 500
CAP = 1_500
RESERVE = 10
REPORT_FEE = 10
HIGH = 16
"""Values are 0 to this; one of them is right in each term."""
RIGHT_PPM, WRONG_PPM, NOISE_PPM = 900_000, 100_000, 10_000
"""How far the objective is reached with the right value and with another, and by how much honest
members' measurements of it differ at most."""
MET_PPM = 300_000
TERM_MS, BID_MS = 20_000, 4_000
"""A term outlasts two view changes, or a leader could keep its holder from setting the value."""


class Tuning(msgspec.Struct, frozen=True):
    """A requester sponsors a variable for some terms. A term that is met is worth twice its
    reward to it."""

    sponsor: str
    at_ms: int
    number: int
    rounds: int


def make_terms(tuning: Tuning, scale: int) -> VariableTerms:
    return VariableTerms(
        name=f"variable{tuning.number}",
        high=HIGH,
        initial=0,
        pool=POOL * scale,
        rounds=tuning.rounds,
        term_ms=TERM_MS,
        bid_ms=BID_MS,
        reveal_ms=BID_MS,
        reserve=RESERVE * scale,
        cap=CAP * scale,
        deposit=DEPOSIT * scale,
        changes_max=1,
        reward_ppm=REWARD_PPM,
        objective_min_ppm=MET_PPM,
        report_fee=REPORT_FEE * scale,
    )


def find_right_value(variable: bytes, round_: int) -> int:
    return hashlib.sha256(b"right value" + variable + bytes([round_])).digest()[0] % HIGH + 1


def compute_objective(variable: bytes, round_: int, value: int) -> int:
    """How far the objective is reached, in ppm."""
    return RIGHT_PPM if value == find_right_value(variable, round_) else WRONG_PPM


def measure(party: "Party", variable: Variable) -> int:
    """What an honest member reports: the objective, nearly."""
    seen = hashlib.sha256(party.secret + variable.id + bytes([variable.round])).digest()
    noise = int.from_bytes(seen[:4]) % (2 * NOISE_PPM + 1) - NOISE_PPM
    return compute_objective(variable.id, variable.round, variable.value) + noise


def compute_search_cost(party: "Party", variable: bytes) -> int:
    """What finding the right value costs a holder: 100 to 300, times the scale."""
    dice = hashlib.sha256(party.key + variable).digest()
    return party.scale * 100 + int.from_bytes(dice[:4]) % (200 * party.scale)


def appraise_right(party: "Party", variable: Variable) -> int:
    """What the right to set a variable is worth, with what an honest holder earns at least. A
    member holds none: the others might be too few to measure it."""
    if party.world.state.committee.is_member(party.key):
        return 0
    reward = variable.pool * variable.terms.reward_ppm // PPM
    return reward * (RIGHT_PPM - NOISE_PPM) // PPM - compute_search_cost(party, variable.id)


def open_variables(party: "Party", world: "MarketWorld") -> list[AnyBody]:
    """The variables whose time has come."""
    bodies: list[AnyBody] = []
    while party.tunings and party.tunings[0].at_ms + world.start_ms <= world.now_ms:
        bodies.append(OpenVariable(make_terms(party.tunings.pop(0), party.scale)))
    return bodies


def plan_terms(party: "Party", world: "MarketWorld") -> list[AnyBody]:
    """What a holder sets, and what a member reports."""
    said = {
        (type(op.body).__name__, op.body.variable)
        for op in party.pending
        if isinstance(op.body, SetVariable | CommitReport | RevealReport)
    }
    bodies: list[AnyBody] = []
    for variable in world.state.variables():
        body = _plan_one(party, world, variable)
        if body is not None and (type(body).__name__, variable.id) not in said:
            bodies.append(body)
    return bodies


def _plan_one(
    party: "Party", world: "MarketWorld", variable: Variable
) -> SetVariable | CommitReport | RevealReport | None:
    here = (variable.id, variable.round)
    mine = next((each for each in variable.reports if each.member == party.key), None)
    match variable.stage:
        case "term" if variable.holder == party.key and not variable.changes:
            value = party.tune(world, variable)
            return None if value is None else SetVariable(*here, value)
        case "report" if mine is None and party.key != variable.holder:
            if world.state.committee.is_member(party.key):
                return CommitReport(*here, _compute_seal(party, world, variable))
        case "report_reveal" if mine is not None and mine.objective_ppm is None:
            return RevealReport(
                *here, party.report(world, variable), _compute_salt(party, variable)
            )
    return None


def _compute_salt(party: "Party", variable: Variable) -> bytes:
    return hashlib.sha256(party.secret + variable.id + bytes([variable.round])).digest()


def _compute_seal(party: "Party", world: "MarketWorld", variable: Variable) -> bytes:
    place = world.committee
    return compute_report_commitment(
        place.network,
        place.id,
        variable.id,
        variable.round,
        party.key,
        party.report(world, variable),
        _compute_salt(party, variable),
    )
