"""Seats of one committee joined in memory: frames queue per pair and are moved on command."""

import hashlib
from collections import deque
from collections.abc import Sequence

from crdt import log
from crdt.facts import Charged, encode_fact
from identity import envelope, schema
from identity.envelope import Context, Statement
from identity.keys import PrivateKey
from node.router import Router, Seat, decode_frame, encode_frame, pack_votes
from protocols.committee import Committee
from protocols.economy.operations import OPERATION_KIND, Operation, Transfer
from protocols.messages import (
    VOTE_TYPES,
    Batches,
    Commit,
    CommittedBatch,
    CommitteeMessage,
    Prepare,
    Submit,
)
from protocols.pbft.application import Outcome
from protocols.pbft.core import Core
from protocols.pbft.pool import Request
from protocols.step import Executed, Persist, Step

NETWORK = hashlib.sha256(b"test network").digest()
COMMITTEE = b"committee-of-16b"
CHECKPOINT_BATCHES = 10


def make_keys(count: int) -> list[PrivateKey]:
    keys = [PrivateKey(hashlib.sha256(b"member %d" % i).digest()) for i in range(count)]
    return sorted(keys, key=lambda key: key.public)


class NonceApplication:
    """A fake state machine that knows nonces only: one Charged fact an operation."""

    def __init__(self) -> None:
        self.position = 0
        self.head = bytes(32)
        self.nonces: dict[bytes, int] = {}
        self.time_ms = 0
        self.deadline_ms: int | None = None
        self.order: list[bytes] = []

    def get_position(self) -> int:
        return self.position

    def get_head(self) -> bytes:
        return self.head

    def get_next_nonce(self, account: bytes) -> int:
        return self.nonces.get(account, 0) + 1

    def get_next_deadline_ms(self) -> int | None:
        return self.deadline_ms

    def get_time_ms(self) -> int:
        return self.time_ms

    def admit(self, signer: bytes, operation: Operation) -> str | None:
        return None if operation.nonce >= self.get_next_nonce(signer) else "old_nonce"

    def execute(
        self, seq: int, time_ms: int, digest: bytes, requests: Sequence[Request]
    ) -> Outcome:
        assert seq == self.position + 1
        self.position = seq
        self.time_ms = max(self.time_ms, time_ms)
        if self.deadline_ms is not None and self.deadline_ms <= self.time_ms:
            self.deadline_ms = None
        facts = []
        for request in requests:
            if request.operation.nonce == self.get_next_nonce(request.signer):
                self.nonces[request.signer] = request.operation.nonce
                self.order.append(request.digest)
                facts.append(Charged(operation=request.digest))
        items = [encode_fact(fact) for fact in facts]
        entry = log.append(COMMITTEE, seq, self.head, self.time_ms, items)
        self.head = entry.header.hash()
        return Outcome(entry, tuple(facts))

    def compute_state_digest(self) -> bytes:
        return hashlib.sha256(repr(sorted(self.nonces.items())).encode()).digest()


class Node:
    """One member with its durable rows and its ledger; `restart` keeps only those."""

    def __init__(self, world: "World", key: PrivateKey) -> None:
        self.world, self.key = world, key
        self.rows: dict[tuple[str, int], Persist] = {}
        self.ledger: list[Executed] = []
        self.certified = 0
        self.is_durable_at_once = True
        self.start()

    def start(self) -> None:
        world = self.world
        self.application = NonceApplication()
        core = Core(
            world.committee,
            self.key,
            self.application,
            lambda statement: statement.check(NETWORK),
            checkpoint_batches=CHECKPOINT_BATCHES,
        )
        self.seat = Seat(core)
        self.router = Router([self.seat])
        for done in self.ledger:
            requests = self.seat.load(done.operations)
            self.application.execute(done.seq, done.time_ms, done.digest, requests)
        core.next_seq = core.executed + 1
        self.is_up = True
        self.drive(self.seat.restore(list(self.rows.values()), world.now_ms))

    def crash(self) -> None:
        self.is_up = False
        for (source, target), queue in self.world.queues.items():
            if self.key.public in (source, target):
                queue.clear()

    def drive(self, step: Step) -> None:
        self.world.note(self, step)
        for row in step.persist:
            self.rows[row.kind, row.seq] = row
            if row.kind == "stable":
                for known in [
                    k
                    for k in self.rows
                    if k[1] <= row.seq and k[0] != "view" and k != ("stable", row.seq)
                ]:
                    del self.rows[known]
        self.ledger += step.executed
        for _, data in step.votes:
            self._note_signed(data)
        for certified in step.certified:
            certified.certificate.check(self.world.committee.members, self.world.committee.q)
            self.certified = certified.position
        for send in [*step.sends, *pack_votes(step)]:
            for to in [send.to] if send.to else self.world.others(self):
                self.world.queues[self.key.public, to].append(encode_frame(send.message))
        for serve in step.serve:
            self.world.serve(self, serve.to, serve.start)
        if step.executed and self.is_durable_at_once:
            self.drive(self.seat.on_durable(step.executed[-1].seq, self.world.now_ms))
        self.world.evidence += step.evidence
        self.world.faults += step.faults

    def _note_signed(self, data: bytes) -> None:
        """No key ever signs two digests for one slot, whatever it has forgotten."""
        statement = envelope.parse(data, size_max=2_048)
        kind = VOTE_TYPES[statement.kind]
        vote = schema.decode(statement.payload, kind, size_max=2_048)
        if isinstance(vote, Prepare | Commit):
            digests = self.world.signed.setdefault(
                (self.key.public, statement.kind, vote.view, vote.seq), set()
            )
            digests.add(vote.digest)
            assert len(digests) == 1


class World:
    def __init__(self, n: int) -> None:
        self.keys = make_keys(n)
        self.committee = Committee(NETWORK, COMMITTEE, 0, tuple(k.public for k in self.keys))
        self.now_ms = 1_000_000
        members = self.committee.members
        self.queues: dict[tuple[bytes, bytes], deque[bytes]] = {
            (a, b): deque() for a in members for b in members if a != b
        }
        self.cut: set[tuple[bytes, bytes]] = set()
        self.evidence: list[object] = []
        self.signed: dict[tuple[bytes, str, int, int], set[bytes]] = {}
        self.faults: list[object] = []
        self.nodes = [Node(self, key) for key in self.keys]
        self.client = PrivateKey(hashlib.sha256(b"client").digest())
        self.nonce = 0

    def note(self, node: Node, step: Step) -> None:
        """Called with every step before it is driven."""

    def others(self, node: Node) -> list[bytes]:
        return [key for key in self.committee.members if key != node.key.public]

    def get(self, key: bytes) -> Node:
        return self.nodes[self.committee.members.index(key)]

    def make_operation(self, nonce: int | None = None) -> Statement:
        if nonce is None:
            self.nonce += 1
            nonce = self.nonce
        place = Context(NETWORK, COMMITTEE, 0, OPERATION_KIND)
        body = Transfer(to=self.keys[0].public, amount=1)
        return envelope.sign(self.client, place, schema.encode(Operation(nonce, body)))

    def submit(self, *, to: Sequence[int] | None = None, nonce: int | None = None) -> None:
        frame = encode_frame(
            Submit(committee=COMMITTEE, operations=(self.make_operation(nonce).data,))
        )
        for index in range(len(self.nodes)) if to is None else to:
            if self.nodes[index].is_up:
                self.deliver(self.client.public, self.nodes[index], frame)

    def deliver(self, peer: bytes, node: Node, frame: bytes) -> None:
        message = decode_frame(frame)
        assert isinstance(message, CommitteeMessage)
        node.drive(node.router.handle(peer, message, self.now_ms))

    def serve(self, node: Node, to: bytes, start: int) -> None:
        batches = tuple(
            CommittedBatch(b.seq, b.time_ms, b.operations, b.proof)
            for b in node.ledger
            if b.seq >= start
        )[:8]
        answer = Batches(committee=COMMITTEE, batches=batches)
        self.queues[node.key.public, to].append(encode_frame(answer))

    def settle(self, moves_max: int = 200_000) -> None:
        """Deliver until nothing is under way."""
        for _ in range(moves_max):
            ready = [pair for pair, queue in self.queues.items() if queue]
            if not ready:
                return
            for source, target in ready:
                frame = self.queues[source, target].popleft()
                node = self.get(target)
                if node.is_up and (source, target) not in self.cut:
                    self.deliver(source, node, frame)
        raise AssertionError("never settles")

    def tick(self, elapsed_ms: int) -> None:
        """Let time pass, in steps that timers notice, delivering everything in between."""
        end = self.now_ms + elapsed_ms
        while self.now_ms < end:
            self.now_ms = min(end, self.now_ms + 100)
            for node in self.nodes:
                if node.is_up:
                    node.drive(node.seat.on_timer(self.now_ms))
            self.settle()
