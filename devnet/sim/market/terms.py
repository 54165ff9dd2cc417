"""Judges coordination variables: who holds a term, what was reported, what a pool pays."""

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crdt.facts import COMMON, Fact
from crdt.facts_market import (
    ReportCommitted,
    ReportRevealed,
    ReportsAsked,
    ReportsClosed,
    TermBegan,
    TermEnded,
    VariableClosed,
    VariableOpened,
    VariableSet,
    VariableTerms,
)
from devnet.sim.market.fold import MILLION, Breach, LogFold, list_flows
from devnet.sim.market.leaders import SKEW_MS
from devnet.sim.market.sales import Sales
from identity import cbor
from protocols.economy.operations_market import CommitReport, RevealReport

if TYPE_CHECKING:
    from devnet.sim.market.world import MarketWorld

GRACE_MS = 12_000
"""What is heard so long before the deadline of the reports is ordered, whoever leads first: their
phases are closed by no inventories, but are longer than two view changes."""


@dataclass
class Term:
    """What the log says of a variable under way."""

    sponsor: bytes
    terms: VariableTerms
    pool: int
    round: int = 1
    value: int = 0
    holder: bytes | None = None
    reward_max: int = 0
    changes: int = 0
    deadline_ms: int = 0
    sealed: dict[bytes, bytes] = field(default_factory=dict)
    opened: dict[bytes, int] = field(default_factory=dict)


class Terms:
    """The part of the referee that looks at variables. Its methods raise Breach."""

    def __init__(self, world: "MarketWorld", fold: LogFold, sales: Sales) -> None:
        self.world, self.fold, self.sales = world, fold, sales
        self.open: dict[bytes, Term] = {}
        self.gains: dict[bytes, int] = {}
        """What terms were worth to their sponsors."""
        self._notes: dict[tuple[bytes, int, bytes], list[tuple[int, bytes]]] = {}
        self._heard: dict[tuple[str, bytes, int, bytes], int] = {}

    def hear(self, signer: bytes, body: object, heard_ms: int) -> None:
        if isinstance(body, CommitReport | RevealReport):
            kind = "seal" if isinstance(body, CommitReport) else "open"
            self._heard.setdefault((kind, body.variable, body.round, signer), heard_ms)

    def take_openings(self, signer: bytes, body: object) -> None:
        if isinstance(body, RevealReport):
            note = (body.objective_ppm, body.salt)
            self._notes.setdefault((body.variable, body.round, signer), []).append(note)

    def check(self, fact: Fact) -> None:
        match fact:
            case VariableOpened():
                self.open[fact.variable] = Term(
                    fact.sponsor, fact.terms, fact.terms.pool, value=fact.terms.initial
                )
                self._expect(fact, {(fact.sponsor, "escrow"): fact.terms.pool})
                self._sell(fact.variable)
            case TermBegan():
                self._check_began(fact)
            case VariableSet():
                self._check_set(fact)
            case ReportsAsked():
                self._get(fact).deadline_ms = fact.deadline_ms
            case ReportCommitted():
                term = self._get(fact)
                if fact.member in term.sealed or not self._may_report(term, fact.member):
                    raise Breach("A2 recomputed", "a report that was not asked for")
                term.sealed[fact.member] = fact.commitment
            case ReportsClosed():
                term = self._get(fact)
                self._check_heard(fact.variable, "seal", term, term.sealed)
                term.deadline_ms = fact.deadline_ms
            case ReportRevealed():
                self._check_opened(fact)
            case TermEnded():
                self._check_ended(fact)
            case VariableClosed():
                term = self.open.pop(fact.variable)
                if (term.round, fact.value) != (term.terms.rounds + 1, term.value):
                    raise Breach("A2 recomputed", "a variable ends early, or with another value")
                self._expect(fact, {(term.sponsor, "escrow"): -term.pool})

    def _expect(self, fact: Fact, escrow: dict[tuple[bytes, str], int]) -> None:
        """Escrow changes as it should, and what is lost there is free again, or the reverse."""
        flows = list_flows(fact.moves)
        got = {place: amount for place, amount in flows.items() if place[1] == "escrow"}
        if got != {place: amount for place, amount in escrow.items() if amount}:
            raise Breach("A5 escrow ends once", f"{type(fact).__name__} {sorted(got.values())}")

    def _sell(self, variable: bytes) -> None:
        content = ["econode/variable-right", variable, self.open[variable].round]
        self.sales.rights.add(hashlib.sha256(cbor.encode(content)).digest())

    def _get(self, fact: Fact) -> Term:
        variable: bytes = getattr(fact, "variable", b"")
        term = self.open[variable]
        if getattr(fact, "round", 0) != term.round:
            raise Breach("A2 recomputed", "a fact of another term")
        return term

    def _may_report(self, term: Term, member: bytes) -> bool:
        fold = self.fold
        return member in fold.members and member != term.holder and member not in fold.banned

    # --- terms ---------------------------------------------------------------------------------

    def _check_began(self, fact: TermBegan) -> None:
        term = self._get(fact)
        content = ["econode/variable-right", fact.variable, fact.round]
        won = self.sales.won.pop(hashlib.sha256(cbor.encode(content)).digest())
        winner, price = won or (None, 0)
        if winner is not None and (
            winner in self.fold.banned or self.fold.balances[winner, "free"] < term.terms.deposit
        ):
            winner = None
        reward_max = term.pool * term.terms.reward_ppm // MILLION if winner else 0
        if (fact.holder, fact.price, fact.reward_max) != (winner, price, reward_max):
            raise Breach("A2 recomputed", "another holder, price or reward")
        due = {(term.sponsor, "escrow"): price, (term.sponsor, "free"): -price}
        if winner is not None:
            due[winner, "free"] = due.get((winner, "free"), 0) - term.terms.deposit
            due[winner, "locked"] = term.terms.deposit
        self._check_flows(fact, due)
        term.pool += price
        term.holder, term.reward_max, term.changes = winner, reward_max, 0
        term.deadline_ms = fact.deadline_ms
        term.sealed, term.opened = {}, {}
        if winner is None:
            self._go_on(fact.variable, term)

    def _go_on(self, variable: bytes, term: Term) -> None:
        term.round += 1
        if term.round <= term.terms.rounds:
            self._sell(variable)

    def _check_flows(self, fact: Fact, due: dict[tuple[bytes, str], int]) -> None:
        if list_flows(fact.moves) != {place: amount for place, amount in due.items() if amount}:
            raise Breach("A5 deposits end once", f"{type(fact).__name__} moves what is not due")

    def _check_set(self, fact: VariableSet) -> None:
        term = self._get(fact)
        terms = term.terms
        term.changes += 1
        is_in_domain = terms.low <= fact.value <= terms.high and not (
            (fact.value - terms.low) % terms.step
        )
        if fact.holder != term.holder or term.changes > terms.changes_max or not is_in_domain:
            raise Breach("A2 recomputed", "set by another, too often, or out of bounds")
        term.value = fact.value

    def _check_opened(self, fact: ReportRevealed) -> None:
        term, place = self._get(fact), self.world.committee
        for objective_ppm, salt in self._notes.get((fact.variable, fact.round, fact.member), ()):
            who = [place.network, place.id, fact.variable, fact.round, fact.member]
            seal = hashlib.sha256(
                cbor.encode(["econode/report", *who, objective_ppm, salt])
            ).digest()
            if objective_ppm == fact.objective_ppm and seal == term.sealed.get(fact.member):
                term.opened[fact.member] = fact.objective_ppm
                return
        raise Breach("A4 sealed before opened", f"{fact.member.hex()[:8]} opens another report")

    def _check_heard(
        self, variable: bytes, kind: str, term: Term, there: dict[bytes, bytes] | dict[bytes, int]
    ) -> None:
        for (said, id_, round_, member), heard_ms in self._heard.items():
            is_missing = (said, id_, round_) == (kind, variable, term.round) and member not in there
            if is_missing and heard_ms <= term.deadline_ms - GRACE_MS - SKEW_MS:
                name = self.world.by_key[member].name
                raise Breach("A1 timely words count", f"report of {name} is missing")

    def _check_ended(self, fact: TermEnded) -> None:
        term = self._get(fact)
        terms, holder = term.terms, term.holder
        if holder is None or (fact.holder, fact.value) != (holder, term.value):
            raise Breach("A2 recomputed", "the term of somebody else ends")
        outcome, median, right = self._judge(fact.variable, term)
        reward = term.reward_max * (median or 0) // MILLION if outcome == "met" else 0
        share = {"missed": terms.missed_slash_ppm, "unset": terms.unset_slash_ppm}.get(outcome, 0)
        slashed = terms.deposit * share // MILLION
        got = (fact.outcome, fact.objective_ppm, fact.reporters, fact.reward, fact.slashed)
        if got != (outcome, median, right, reward, slashed):
            raise Breach("A2 recomputed", f"a term {got[0]}, {outcome} is right")
        fee = min(terms.report_fee, (term.pool - reward) // len(right)) if right else 0
        due = {(term.sponsor, "escrow"): -reward - fee * len(right)}
        for member in right:
            due[member, "free"] = due.get((member, "free"), 0) + fee
        due[holder, "locked"] = -terms.deposit
        due[holder, "free"] = due.get((holder, "free"), 0) + reward + terms.deposit - slashed
        due[COMMON, "burned"] = slashed
        self._check_flows(fact, due)
        self._check_honour(holder, outcome, term)
        if outcome == "met":
            gained = self.gains.get(term.sponsor, 0)
            self.gains[term.sponsor] = gained + 2 * term.reward_max
        term.pool -= reward + fee * len(right)
        self._go_on(fact.variable, term)

    def _judge(self, variable: bytes, term: Term) -> tuple[str, int | None, tuple[bytes, ...]]:
        """Outcome, median, who was near it."""
        if not term.changes:
            return "unset", None, ()
        needed = 2 * self.fold.faults + 1
        if len(term.sealed) < needed:
            self._check_heard(variable, "seal", term, term.sealed)
            return "unmeasured", None, ()
        self._check_heard(variable, "open", term, term.opened)
        said = {key: ppm for key, ppm in term.opened.items() if self._may_report(term, key)}
        if len(said) < needed:
            return "unmeasured", None, ()
        median = sorted(said.values())[(len(said) - 1) // 2]
        near = [key for key, ppm in said.items() if abs(ppm - median) <= term.terms.tolerance_ppm]
        is_met = median >= term.terms.objective_min_ppm
        return "met" if is_met else "missed", median, tuple(sorted(near))

    def _check_honour(self, holder: bytes, outcome: str, term: Term) -> None:
        party = self.world.by_key[holder]
        if party.is_honest and outcome in ("missed", "unset"):
            raise Breach("C5 nobody honest is slashed", f"{party.name} holds a term {outcome}")
