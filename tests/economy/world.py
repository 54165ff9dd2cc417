"""A small committee with names instead of keys, for scenarios and properties: real state, real
agents, and batches that a test composes by hand."""

import hashlib
from typing import Any

from crdt.facts import Fact, OfferedCapability, TaskTerms, Verification
from identity import cbor, keys, schema
from identity.errors import InvalidSchema
from protocols.agents.plan import Failure, Findings, Output, Planner
from protocols.agents.strategies import Cost, cost_plus
from protocols.committee import Committee
from protocols.economy.operations import (
    Body,
    Inventory,
    Offer,
    OpenTasks,
    Operation,
    Receipt,
    TaskSpec,
)
from protocols.economy.state import EconomyState, OrderedOperation
from protocols.genesis import Allotment, Genesis, Member, Parameters, compute_committee_id

START_MS = 1_700_000_000_000
BOND = 5_000
FREE = 100_000
CAPABILITY = hashlib.sha256(b"capability").digest()
OFFERED = OfferedCapability(CAPABILITY, "stats", "1")


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def check_receipt(data: bytes) -> tuple[bytes, Receipt]:
    """Receipts of the tests are [signer, [blobs]] without a signature."""
    match cbor.decode(data, size_max=8192):
        case [bytes(signer), [*blobs]]:
            return signer, Receipt(tuple(blobs))
    raise InvalidSchema("not a receipt")


def make_receipt(signer: bytes, *blobs: bytes) -> bytes:
    return cbor.encode([signer, list(blobs)])


class World:
    """`n` members m1.. (ascending keys, so m1 leads view 0) and the clients alice and bob.

    Verifiers are drawn, and ties broken, by digests that the network's id is part of: it does not
    depend on the genesis here, so that they stay what they are; `draw` gives others.
    """

    def __init__(
        self, n: int = 4, draw: int = 0, verification: Verification = "exact", **parameters: int
    ) -> None:
        self.offered = OfferedCapability(CAPABILITY, "stats", "1", verification)
        made = sorted(keys.PrivateKey(digest(f"m{i}")).public for i in range(n))
        self.keys = {f"m{i + 1}": key for i, key in enumerate(made)}
        self.members = tuple(self.keys)
        for client in ("alice", "bob"):
            self.keys[client] = keys.PrivateKey(digest(client)).public
        self.names = {key: name for name, key in self.keys.items()}
        self.genesis = Genesis(
            name="test",
            created_ms=START_MS,
            members=tuple(
                Member(keys.compute_peer_id(key), "/ip4/127.0.0.1/tcp/1", BOND, FREE)
                for key in made
            ),
            accounts=(
                Allotment(keys.compute_peer_id(self.keys["alice"]), FREE),
                Allotment(keys.compute_peer_id(self.keys["bob"]), 0),
            ),
            parameters=Parameters(**{"snapshot_ms_min": 0} | parameters),
        )
        network = digest(f"economy test {draw}")
        committee_id = compute_committee_id(network, "main")
        self.committee = Committee(network, committee_id, 0, self.genesis.get_member_keys())
        self.state = EconomyState(self.genesis, self.committee, check_receipt)
        self.time_ms = START_MS
        self.log: list[Fact] = list(self.state.genesis_facts())
        self.planners = {name: self._make_planner(name) for name in self.members}

    def _make_planner(self, name: str) -> Planner:
        cost = {CAPABILITY: Cost(base=100 + 10 * int(name[1:]))}
        return Planner(self.committee, self.keys[name], digest(name), cost_plus, cost)

    def sign(self, name: str, body: Body, nonce: int | None = None) -> OrderedOperation:
        """The next operation of an account; with several in one batch give the nonces."""
        key = self.keys[name]
        operation = Operation(self.state.next_nonce(key) if nonce is None else nonce, body)
        return OrderedOperation(
            hashlib.sha256(key + schema.encode(operation)).digest(), key, operation
        )

    def sign_all(self, pairs: list[tuple[str, Body]]) -> list[OrderedOperation]:
        """Operations of one batch, each account's in the order given."""
        ahead: dict[str, int] = {}
        signed = []
        for name, body in pairs:
            nonce = self.state.next_nonce(self.keys[name]) + ahead.get(name, 0)
            ahead[name] = ahead.get(name, 0) + 1
            signed.append(self.sign(name, body, nonce))
        return signed

    def run(self, *operations: OrderedOperation, wait_ms: int = 0) -> tuple[Fact, ...]:
        """Execute one batch, `wait_ms` of agreed time after the last."""
        self.time_ms += wait_ms
        position = self.state.position + 1
        seed = digest(f"batch {position}")
        facts = self.state.execute(position, self.time_ms, seed, operations)
        self.log += facts
        return facts

    def offer(self, *names: str) -> list[OrderedOperation]:
        return self.sign_all([(name, Offer((self.offered,))) for name in names])

    def open(
        self, requester: str, count: int = 1, budget: int = 1_000, **changes: Any
    ) -> OrderedOperation:
        """Open tasks whose inputs f+1 members hold; `holders` says how many really do. Further
        `changes` are terms; they are checked as members offer the capability unless they say."""
        holders = changes.pop("holders", self.committee.f + 1)
        duration_ms = changes.pop("duration_ms", 600_000)
        blobs = [digest(f"input {i}") for i in range(count)]
        pool = changes.pop("pool", 0)
        terms = TaskTerms(**{"verification": self.offered.verification} | changes)
        specs = tuple(
            TaskSpec(CAPABILITY, blob, 2_000, budget, duration_ms, terms) for blob in blobs
        )
        receipts = tuple(make_receipt(self.keys[name], *blobs) for name in self.members[:holders])
        return self.sign(requester, OpenTasks(specs, receipts, pool))

    def plan(self, says: dict[str, str], inventories: bool = True) -> list[tuple[str, Body]]:
        """What agents submit now; `says` maps a member to the output it finds ("fail": none)."""
        pairs: list[tuple[str, Body]] = []
        for name, output in says.items():
            outcomes = self.make_outcomes(output)
            findings = self.find(name, output)
            bodies = self.planners[name].plan_operations(self.state, outcomes, findings=findings)
            pairs += [
                (name, body) for body in bodies if inventories or not isinstance(body, Inventory)
            ]
        return pairs

    def make_outcomes(self, output: str) -> dict[bytes, Failure | Output]:
        """What an agent that finds `output` says of every task; "fail": none."""
        outcome = Failure("crashed") if output == "fail" else Output(digest(output), 7)
        return {task.task: outcome for task in self.state.tasks()}

    def find(self, name: str, word: str) -> Findings:
        """A number is a score, members hold what is delivered, and heartbeats come in time."""
        duties = self.state.duties(self.keys[name])
        score = int(word) if word.isdecimal() else Failure("crashed")
        holders = self.members[: self.committee.f + 1]
        blob = digest(word)
        receipts = tuple(make_receipt(self.keys[each], blob) for each in holders)
        return Findings(
            scores={(d.task, d.round): score for d in duties},
            receipts={d.task: receipts for d in duties},
            beats={
                d.task: 500_000
                for d in duties
                if d.kind == "beat" and self.time_ms >= (d.beat_ms + d.deadline_ms) // 2
            },
        )

    def play(self, says: dict[str, str], batches_max: int = 200) -> list[Fact]:
        """Let agents do their duties until there is nothing left to do at this time."""
        facts: list[Fact] = []
        for _ in range(batches_max):
            pairs = self.plan(says)
            if not pairs:
                return facts
            facts += self.run(*self.sign_all(pairs), wait_ms=10)
        raise AssertionError("the agents never come to an end")
