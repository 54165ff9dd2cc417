"""From duties to operations: what an agent submits now, in as few operations as possible.

Nothing here is remembered. Salts are derived from the agent's secret, prices from its strategy, so
an agent that was restarted opens what it sealed before; a result that is lost is computed again.
"""

import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from crdt.facts import AnyPhase, OfferedCapability, Phase
from protocols.agents import inventories
from protocols.agents.strategies import Costs, SeededChance, Strategy, get_price, view_duty
from protocols.auction.commit_reveal import (
    compute_bid_commitment,
    compute_score_commitment,
    compute_work_commitment,
)
from protocols.committee import Committee
from protocols.economy.model import Duty
from protocols.economy.operations import (
    ITEMS_MAX,
    AnyBody,
    BidCommitment,
    BidOpening,
    CommitBids,
    CommitWork,
    Held,
    Inventory,
    Offer,
    Operation,
    RevealBids,
    RevealWork,
    WorkCommitment,
    WorkOpening,
)
from protocols.economy.operations_tasks import (
    AcceptWork,
    Beat,
    Heartbeat,
    RevealScores,
    ScoreOpening,
)
from protocols.economy.state import EconomyState

T = TypeVar("T")
Said = tuple[str, bytes, int]
"""Kind of duty, task, round: what a submitted item answers."""


@dataclass(frozen=True, slots=True)
class Output:
    """A result that the agent holds: SHA-256 and size of its bytes."""

    digest: bytes
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Failure:
    """The capability gave no result; `reason` is one word."""

    reason: str


Outcomes = Mapping[bytes, Output | Failure]
"""What the agent's runs gave, by task."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What else an agent knows that the committed state does not.

    `scores`: what it thinks of results that it judges, by task and round. `receipts`: statements
    of members that hold a result it delivers, by task. `beats`: agreements whose heartbeat is to
    be sent now, and how far the work is (ppm).
    """

    scores: Mapping[tuple[bytes, int], int | Failure] = field(default_factory=dict)
    receipts: Mapping[bytes, tuple[bytes, ...]] = field(default_factory=dict)
    beats: Mapping[bytes, int] = field(default_factory=dict)


NOTHING_ELSE = Findings()


@dataclass(frozen=True, slots=True)
class Planner:
    """An agent's means: who it is, its secret for salts, and how it bids."""

    committee: Committee
    me: bytes
    secret: bytes
    strategy: Strategy
    costs: Costs
    strategies: Mapping[bytes, Strategy] = field(default_factory=dict)
    """Of the capabilities, by id, that do not go by `strategy`."""

    def plan_operations(
        self,
        state: EconomyState,
        outcomes: Outcomes,
        pending: Sequence[Operation] = (),
        held: Iterable[tuple[bytes, Operation]] = (),
        findings: Findings = NOTHING_ELSE,
    ) -> list[AnyBody]:
        """What to submit now.

        `pending` are the own operations that were submitted and not executed yet: what they
        answer is not said twice. `held` are other signers' operations that this member has
        checked and that are not executed yet: its inventories are taken from them.
        Work without an outcome is left out: the caller runs it (`list_work`) and plans again.
        """
        said = set(_list_said(pending))
        duties = state.duties(self.me)
        open_ = [
            duty
            for duty in duties
            if (_SAID_AS.get(duty.kind, duty.kind), duty.task, duty.round) not in said
        ]
        reveals = _drop_none(self._open_bid(duty) for duty in open_)
        shows = _drop_none(self._open_work(duty, outcomes) for duty in open_)
        works = _drop_none(self._seal_work(duty, outcomes) for duty in open_)
        works += _drop_none(self._seal_score(duty, findings) for duty in open_)
        scores = _drop_none(self._open_score(duty, findings) for duty in open_)
        beats = _drop_none(_plan_beat(duty, outcomes, findings) for duty in open_)
        bids = self._seal_bids(state, duties, said)
        held = list(held)
        items = self._take_inventory(state, open_, held)
        items += self._take_auction_inventory(state, pending, held)
        return [
            *(RevealBids(part) for part in _split(reveals)),
            *(RevealWork(part) for part in _split(shows)),
            *(
                RevealWork((opening,), findings.receipts[opening.task])
                for opening in _drop_none(self._deliver(duty, outcomes, findings) for duty in open_)
            ),
            *(RevealScores(part) for part in _split(scores)),
            *(CommitWork(part) for part in _split(works)),
            *(Heartbeat(part) for part in _split(beats)),
            *(CommitBids(part) for part in _split(bids)),
            *(Inventory(part) for part in _split(items)),
        ]

    def derive_salt(self, task: bytes, round: int, kind: str) -> bytes:
        """HMAC-SHA256 of the place under the secret; `kind` is "bid", "work", "score" or "rng"."""
        place = task + round.to_bytes(2) + kind.encode()
        return hmac.digest(self.secret, place, "sha256")

    def _decide(self, duty: Duty) -> int | None:
        """The price of a bid, None to pass; the same whenever it is asked for."""
        cost = self.costs.get(duty.capability)
        if cost is None:
            return None
        strategy = self.strategies.get(duty.capability, self.strategy)
        rng = SeededChance(self.derive_salt(duty.task, duty.round, "rng"))
        return get_price(strategy.decide(view_duty(duty, cost), rng))

    def _seal_bids(
        self, state: EconomyState, duties: list[Duty], said: set[Said]
    ) -> list[BidCommitment]:
        """Seal what the free credits allow to deposit, and pass on the rest at once: silence
        would hold up everybody until the deadline."""
        fees = state.parameters.operation_fee * (len(duties) + 1)
        free = state.stake.get(self.me, "free") - fees
        bids = [duty for duty in duties if duty.kind == "bid"]
        free -= sum(duty.deposit for duty in bids if ("bid", duty.task, duty.round) in said)
        items = []
        for duty in bids:
            if ("bid", duty.task, duty.round) in said:
                continue
            price = self._decide(duty) if duty.deposit <= free else None
            commitment = None
            if price is not None:
                free -= duty.deposit
                commitment = self._compute_bid_seal(duty, price)
            items.append(BidCommitment(duty.task, duty.round, commitment))
        return items

    def _open_bid(self, duty: Duty) -> BidOpening | None:
        if duty.kind != "reveal_bid":
            return None
        price = self._decide(duty)
        if price is None or self._compute_bid_seal(duty, price) != duty.commitment:
            return None  # the agent's costs were changed meanwhile: opening would be refused
        return BidOpening(
            duty.task, duty.round, price, self.derive_salt(duty.task, duty.round, "bid")
        )

    def _compute_bid_seal(self, duty: Duty, price: int) -> bytes:
        salt = self.derive_salt(duty.task, duty.round, "bid")
        place = self.committee
        return compute_bid_commitment(
            place.network, place.id, duty.task, duty.round, self.me, price, salt
        )

    def _seal_work(self, duty: Duty, outcomes: Outcomes) -> WorkCommitment | None:
        outcome = outcomes.get(duty.task)
        if duty.kind != "work" or outcome is None:
            return None
        if isinstance(outcome, Failure):
            return WorkCommitment(duty.task, duty.round, None, outcome.reason)
        return WorkCommitment(duty.task, duty.round, self._compute_work_seal(duty, outcome), None)

    def _open_work(self, duty: Duty, outcomes: Outcomes) -> WorkOpening | None:
        outcome = outcomes.get(duty.task)
        if duty.kind != "reveal_work" or not isinstance(outcome, Output):
            return None
        if self._compute_work_seal(duty, outcome) != duty.commitment:
            return None
        salt = self.derive_salt(duty.task, duty.round, "work")
        return WorkOpening(duty.task, duty.round, outcome.digest, outcome.size_bytes, salt)

    def _deliver(self, duty: Duty, outcomes: Outcomes, findings: Findings) -> WorkOpening | None:
        outcome = outcomes.get(duty.task)
        if duty.kind != "deliver" or duty.task not in findings.receipts:
            return None
        if not isinstance(outcome, Output):
            return None
        if self._compute_work_seal(duty, outcome) != duty.commitment:
            return None
        salt = self.derive_salt(duty.task, duty.round, "work")
        return WorkOpening(duty.task, duty.round, outcome.digest, outcome.size_bytes, salt)

    def _seal_score(self, duty: Duty, findings: Findings) -> WorkCommitment | None:
        score = findings.scores.get((duty.task, duty.round))
        if duty.kind != "judge" or score is None:
            return None
        if isinstance(score, Failure):
            return WorkCommitment(duty.task, duty.round, None, score.reason)
        return WorkCommitment(duty.task, duty.round, self._compute_score_seal(duty, score), None)

    def _open_score(self, duty: Duty, findings: Findings) -> ScoreOpening | None:
        score = findings.scores.get((duty.task, duty.round))
        if duty.kind != "reveal_score" or not isinstance(score, int):
            return None
        if self._compute_score_seal(duty, score) != duty.commitment:
            return None  # judged again after a restart, and otherwise: opening would be refused
        salt = self.derive_salt(duty.task, duty.round, "score")
        return ScoreOpening(duty.task, duty.round, score, salt)

    def _compute_score_seal(self, duty: Duty, score: int) -> bytes:
        salt = self.derive_salt(duty.task, duty.round, "score")
        place = self.committee
        return compute_score_commitment(
            place.network, place.id, duty.task, duty.round, self.me, score, salt
        )

    def _compute_work_seal(self, duty: Duty, output: Output) -> bytes:
        salt = self.derive_salt(duty.task, duty.round, "work")
        place = self.committee
        return compute_work_commitment(
            place.network,
            place.id,
            duty.task,
            duty.round,
            self.me,
            output.digest,
            output.size_bytes,
            salt,
        )

    def _take_inventory(
        self, state: EconomyState, duties: list[Duty], held: Iterable[tuple[bytes, Operation]]
    ) -> list[Held]:
        asked = [duty for duty in duties if duty.kind == "inventory"]
        if not asked:
            return []
        speakers: dict[Said, list[bytes]] = {}
        for signer, operation in _list_executable(state, held):
            for said in _list_said((operation,)):
                speakers.setdefault(said, []).append(signer)
        items = []
        for duty in asked:
            task = state.get_task(duty.task)
            waiting = task.waiting if task else ()
            kinds = _ANSWERS[duty.phase]
            if task is not None and state.time_ms >= task.lease_ms + task.terms.grace_ms:
                kinds = tuple(kind for kind in kinds if kind != "beat")  # the work itself is due
            spoke = {
                signer
                for kind in kinds
                for signer in speakers.get((kind, duty.task, duty.round), ())
            }
            parties = sorted(spoke.intersection(waiting))
            items.append(Held(duty.task, duty.round, duty.phase, tuple(parties)))
        return items

    def _take_auction_inventory(
        self,
        state: EconomyState,
        pending: Sequence[Operation],
        held: Iterable[tuple[bytes, Operation]],
    ) -> list[Held]:
        said = _list_inventories(pending)
        return inventories.list_held(state, self.me, said, _list_executable(state, held))


def _list_inventories(pending: Iterable[Operation]) -> Iterator[tuple[bytes, AnyPhase]]:
    for operation in pending:
        if isinstance(operation.body, Inventory):
            yield from ((item.task, item.phase) for item in operation.body.held)


def plan_offer(
    state: EconomyState,
    me: bytes,
    capabilities: tuple[OfferedCapability, ...],
    pending: Sequence[Operation] = (),
) -> Offer | None:
    """The offer that makes `me` take part with these capabilities, unless it does already or
    cannot: after a pause an agent has to offer again."""
    agent = state.get_agent(me)
    if agent is not None:
        current = agent.capabilities == capabilities and not agent.paused
        if agent.banned or current:
            return None
    elif not capabilities:
        return None
    if any(isinstance(operation.body, Offer) for operation in pending):
        return None
    if state.get_standing_bond(me) < state.parameters.bond_min:
        return None
    return Offer(capabilities)


def list_work(state: EconomyState, me: bytes, outcomes: Outcomes) -> list[Duty]:
    """Duties for which the agent must run the capability, also again after a restart that lost
    the result."""
    return [
        duty
        for duty in state.duties(me)
        if duty.kind in ("work", "reveal_work", "deliver") and duty.task not in outcomes
    ]


def list_judging(state: EconomyState, me: bytes, findings: Findings) -> list[Duty]:
    """Duties for which the agent must score a result, also again after a restart that lost the
    score."""
    return [
        duty
        for duty in state.duties(me)
        if duty.kind in ("judge", "reveal_score") and (duty.task, duty.round) not in findings.scores
    ]


def _plan_beat(duty: Duty, outcomes: Outcomes, findings: Findings) -> Beat | None:
    """A sign of life, unless the result itself will be said at once."""
    if duty.kind != "beat" or duty.task not in findings.beats or duty.task in outcomes:
        return None
    return Beat(duty.task, duty.round, findings.beats[duty.task])


_SAID_AS: dict[str, str] = {"judge": "work", "deliver": "reveal_work"}
"""Duties whose answer is an operation of another kind."""
_ANSWERS: dict[Phase, tuple[str, ...]] = {
    "bid_commit": ("bid",),
    "bid_reveal": ("reveal_bid",),
    "lease": ("work", "beat"),
    "work_commit": ("work",),
    "extra_commit": ("work",),
    "work_reveal": ("reveal_work", "reveal_score"),
    "extra_reveal": ("reveal_work", "reveal_score"),
    "delivery": ("reveal_work",),
    "acceptance": ("accept",),
}


def _list_said(operations: Iterable[Operation]) -> Iterator[Said]:
    for operation in operations:
        match operation.body:
            case CommitBids(bids):
                yield from (("bid", item.task, item.round) for item in bids)
            case RevealBids(openings):
                yield from (("reveal_bid", item.task, item.round) for item in openings)
            case CommitWork(works):
                yield from (("work", item.task, item.round) for item in works)
            case Heartbeat(beats):
                yield from (("beat", item.task, item.round) for item in beats)
            case RevealScores(scores):
                yield from (("reveal_score", item.task, item.round) for item in scores)
            case AcceptWork(task, round_):
                yield "accept", task, round_
            case RevealWork(shows):
                yield from (("reveal_work", item.task, item.round) for item in shows)
            case Inventory(held):
                yield from (("inventory", item.task, item.round) for item in held)


def _list_executable(
    state: EconomyState, held: Iterable[tuple[bytes, Operation]]
) -> Iterator[tuple[bytes, Operation]]:
    """Operations whose nonces follow without a gap: whoever leaves a gap cannot claim that the
    leader left it out."""
    by_signer: dict[bytes, dict[int, Operation]] = {}
    for signer, operation in held:
        by_signer.setdefault(signer, {})[operation.nonce] = operation
    for signer, operations in sorted(by_signer.items()):
        nonce = state.next_nonce(signer)
        while nonce in operations:
            yield signer, operations[nonce]
            nonce += 1


def _drop_none(items: Iterable[T | None]) -> list[T]:
    return [item for item in items if item is not None]


def _split(items: Sequence[T]) -> Iterator[tuple[T, ...]]:
    for start in range(0, len(items), ITEMS_MAX):
        yield tuple(items[start : start + ITEMS_MAX])
