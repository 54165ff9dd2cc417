"""A small committee with real keys on the product's chain: batches whose steps become vectors."""

from collections.abc import Iterable, Sequence
from functools import partial

from crdt.facts import Fact, OfferedCapability
from crdt.facts_tasks import TaskTerms
from devnet.vectors.cases import StepCase
from devnet.vectors.places import CLIENT, CREATED_MS, MEMBERS, Seal, digest, make_key
from identity import keys, schema
from identity.keys import PrivateKey
from protocols.agents.plan import Failure, Findings, Output, Planner
from protocols.agents.strategies import Cost, cost_plus
from protocols.economy.chain import Chain
from protocols.economy.operations import (
    OPERATION_KIND,
    RECEIPT_KIND,
    Body,
    Offer,
    OpenTasks,
    Operation,
    Receipt,
    TaskSpec,
)
from protocols.economy.receipts import check_receipt
from protocols.genesis import Allotment, Genesis, Member, Parameters
from protocols.messages import compute_batch_digest
from protocols.pbft.pool import Request
from protocols.requests import parse_request

CAPABILITY = digest("econode/vectors capability")
OFFERED = OfferedCapability(CAPABILITY, "stats", "1")
SERVICE = digest("econode/vectors service")
SERVED = OfferedCapability(SERVICE, "drawings", "1", "accepted")
"""Nobody runs it again: the requester says what a result is worth."""
OUTPUT_BYTES = 7
BATCH_MS = 10
FAIL = "fail"
BATCHES_MAX = 200


class Village:
    """Members m1 to m4, the client alice and bob, who is outside."""

    def __init__(self, **parameters: int) -> None:
        self.keys = {f"m{n}": key for n, key in enumerate(MEMBERS, 1)}
        self.keys |= {"alice": CLIENT, "bob": make_key("bob")}
        self.members = tuple(f"m{n}" for n in range(1, len(MEMBERS) + 1))
        self.genesis = Genesis(
            name="vectors-village",
            created_ms=CREATED_MS,
            members=tuple(
                Member(self._peer(name), "/ip4/192.0.2.1/tcp/4710", 20_000, 100_000)
                for name in self.members
            ),
            accounts=tuple(Allotment(self._peer(name), 100_000) for name in ("alice", "bob")),
            parameters=Parameters(**{"snapshot_ms_min": 0, "snapshot_settlements": 1} | parameters),
        )
        self.committee = self.genesis.make_committee()
        self.chain = Chain(self.genesis, self.committee, partial(check_receipt, self.committee))
        self.time_ms = CREATED_MS
        self.steps: list[tuple[StepCase, tuple[Fact, ...]]] = []
        costs = {CAPABILITY: Cost(base=100), SERVICE: Cost(base=100)}
        self._planners = {
            name: Planner(self.committee, self.keys[name].public, digest(name), cost_plus, costs)
            for name in self.members
        }

    def _peer(self, name: str) -> str:
        return keys.compute_peer_id(self.keys[name].public)

    def sign(self, name: str, body: Body, ahead: int = 0) -> bytes:
        """The statement of an account's next operation."""
        key = self.keys[name]
        nonce = self.chain.get_next_nonce(key.public) + ahead
        return self.seal(key, OPERATION_KIND, schema.encode(Operation(nonce, body)))  # type: ignore[arg-type]

    def seal(self, key: PrivateKey, kind: str, payload: bytes) -> bytes:
        place = self.committee
        return Seal(key, payload, kind, place.network, place.id).encode()

    def sign_all(self, pairs: Iterable[tuple[str, Body]]) -> list[bytes]:
        ahead: dict[str, int] = {}
        signed = []
        for name, body in pairs:
            signed.append(self.sign(name, body, ahead.get(name, 0)))
            ahead[name] = ahead.get(name, 0) + 1
        return signed

    def run(self, operations: Sequence[bytes], wait_ms: int = BATCH_MS) -> tuple[Fact, ...]:
        """Execute one batch and keep it as a step."""
        self.time_ms += wait_ms
        chain = self.chain
        state, position, head = chain.dump_state(), chain.get_position(), chain.get_head()
        requests = [self._load(data) for data in operations]
        digest_ = compute_batch_digest(self.time_ms, [request.digest for request in requests])
        outcome = chain.execute(position + 1, self.time_ms, digest_, requests)
        step = StepCase(
            genesis=schema.encode(self.genesis),
            state=state,
            position=position,
            head=head,
            time_ms=self.time_ms,
            operations=tuple(operations),
            entry=outcome.entry,
            state_digest=chain.compute_state_digest(),
        )
        self.steps.append((step, outcome.facts))
        return outcome.facts

    def _load(self, data: bytes) -> Request:
        request, _ = parse_request(data, self.committee)
        return request

    def act(self, *pairs: tuple[str, Body], wait_ms: int = BATCH_MS) -> tuple[Fact, ...]:
        return self.run(self.sign_all(pairs), wait_ms)

    def offer(self, *names: str) -> None:
        self.act(*((name, Offer((OFFERED, SERVED))) for name in names or self.members))

    def open_task(
        self, budget: int = 1_000, duration_ms: int = 600_000, capability: bytes = CAPABILITY
    ) -> None:
        blob = digest("econode/vectors input")
        terms = TaskTerms(verification="exact" if capability == CAPABILITY else "accepted")
        spec = TaskSpec(capability, blob, 2_000, budget, duration_ms, terms)
        self.act(("alice", OpenTasks((spec,), self._sign_receipts(blob))))

    def _sign_receipts(self, blob: bytes) -> tuple[bytes, ...]:
        """That two of four members hold it."""
        payload = schema.encode(Receipt((blob,)))
        return tuple(self.seal(self.keys[name], RECEIPT_KIND, payload) for name in self.members[:2])

    def play(self, says: dict[str, str], until: str = "") -> None:
        """Let the agents do their duties until there is nothing left to do at this time, or until
        a fact of kind `until`; `says` maps each to the output that it finds."""
        for _ in range(BATCHES_MAX):
            pairs = [pair for name, said in says.items() for pair in self._plan(name, said)]
            if not pairs or (until and until in list_tags(self.act(*pairs))):
                return
            if not until:
                self.act(*pairs)
        raise AssertionError("the agents never come to an end")

    def _plan(self, name: str, said: str) -> list[tuple[str, Body]]:
        outcome = Failure("crashed") if said == FAIL else Output(digest(said), OUTPUT_BYTES)
        state = self.chain.state
        outcomes = {task.task: outcome for task in state.tasks()}
        receipts = dict.fromkeys(outcomes, self._sign_receipts(digest(said)))
        planner, findings = self._planners[name], Findings(receipts=receipts)
        planned = planner.plan_operations(state, outcomes, findings=findings)
        return [(name, body) for body in planned]


def list_tags(facts: Iterable[Fact]) -> list[str]:
    return [str(fact.__struct_config__.tag) for fact in facts]
