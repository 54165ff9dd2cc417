"""Seats of one committee joined in memory: frames queue per pair and are moved on command."""

import hashlib
from collections import deque
from collections.abc import Sequence

from crdt import log
from crdt.facts import Bucket, Charged, encode_fact
from crdt.tasks import TaskRow
from identity import cbor, envelope, schema
from identity.certificate import Certificate
from identity.envelope import Context, Statement
from identity.errors import InvalidSchema
from identity.keys import PrivateKey
from node.router import Router, Seat, decode_frame, encode_frame, pack_votes
from protocols.committee import Committee
from protocols.economy.operations import OPERATION_KIND, Operation, Transfer
from protocols.messages import (
    VOTE_TYPES,
    Batches,
    Checkpoint,
    Commit,
    CommittedBatch,
    CommitteeMessage,
    GiveState,
    Hop,
    OfferState,
    Prepare,
    Submit,
)
from protocols.pbft.application import Outcome
from protocols.pbft.core import Core
from protocols.pbft.pool import Request
from protocols.state_tree import STATE_BYTES_MAX, StateTree, cut, digest_state, hash_chunks
from protocols.step import (
    ChunkFetched,
    Executed,
    Persist,
    ServeBatches,
    ServeChunks,
    ServeOffer,
    Snapshot,
    Step,
    TransferBegun,
    Transferred,
)

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
        self.padding = 0
        """Bytes that make the state large."""

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

    def dump_state(self) -> bytes:
        nonces = [[account, nonce] for account, nonce in sorted(self.nonces.items())]
        return cbor.encode([self.position, self.time_ms, nonces, bytes(self.padding)])

    def load_state(self, data: bytes, position: int, head: bytes) -> None:
        match cbor.decode(data, size_max=STATE_BYTES_MAX):
            case [int(found), int(time_ms), [*nonces], bytes(padding)] if found == position:
                self.position, self.time_ms, self.head = position, time_ms, head
                self.nonces = dict(nonces)
                self.padding = len(padding)
            case _:
                raise InvalidSchema("not a state of this position")

    def list_balances(self) -> tuple[tuple[bytes, Bucket, int], ...]:
        return ()

    def list_tasks(self) -> tuple[TaskRow, ...]:
        return ()


class States:
    """The states that one node keeps: its snapshots, and the one that it fetches."""

    def __init__(self) -> None:
        self.snapshots: dict[int, Snapshot] = {}
        self.coming: TransferBegun | None = None
        self.chunks: dict[int, bytes] = {}

    def keep(self, event: Snapshot | TransferBegun | ChunkFetched | Transferred) -> None:
        match event:
            case Snapshot():
                self.snapshots[event.position] = event
                for old in sorted(self.snapshots)[:-2]:
                    del self.snapshots[old]
            case TransferBegun():
                self.coming, self.chunks = event, {}
            case ChunkFetched():
                assert self.coming is not None
                assert self.coming.position == event.position
                self.chunks[event.chunk] = event.data
            case Transferred():
                state = b"".join(data for _, data in sorted(self.chunks.items()))
                assert len(state) == event.size
                place = (event.committee, event.position, event.certificate)
                self.snapshots[event.position] = Snapshot(*place, state)
                self.coming, self.chunks = None, {}

    def load(self, application: NonceApplication) -> list[Persist]:
        """Begin from the newest; the row of its stable checkpoint."""
        if not self.snapshots:
            return []
        newest = self.snapshots[max(self.snapshots)]
        certificate = Certificate.decode(newest.certificate, NETWORK, size_max=1 << 16)
        checkpoint = schema.decode(certificate.payload, Checkpoint, size_max=1 << 10)
        assert checkpoint.state == digest_state(newest.state)
        application.load_state(newest.state, newest.position, checkpoint.head)
        return [Persist(COMMITTEE, "stable", 0, newest.position, newest.certificate)]

    def answer(self, serve: ServeOffer | ServeChunks) -> list[Hop]:
        if isinstance(serve, ServeOffer):
            newest = max(self.snapshots, default=0)
            if newest <= serve.after:
                return []
            state = self.snapshots[newest].state
            root = StateTree(hash_chunks(cut(state))).root
            certificate = self.snapshots[newest].certificate
            return [
                OfferState(committee=COMMITTEE, certificate=certificate, size=len(state), root=root)
            ]
        held = self.snapshots.get(serve.position)
        chunks = cut(held.state) if held is not None else []
        tree = StateTree(hash_chunks(chunks))
        return [
            GiveState(
                committee=COMMITTEE,
                position=serve.position,
                chunk=index,
                data=chunks[index] if index < len(chunks) else b"",
                path=tree.get_path(index) if index < len(chunks) else (),
            )
            for index in serve.chunks
        ]


class Node:
    """One member with its durable rows and its ledger; `restart` keeps only those."""

    def __init__(self, world: "World", key: PrivateKey) -> None:
        self.world, self.key = world, key
        self.rows: dict[tuple[str, int], Persist] = {}
        self.ledger: list[Executed] = []
        self.states = States()
        self.certified = 0
        self.start()

    def start(self) -> None:
        world = self.world
        self.application = NonceApplication()
        self.application.padding = world.padding
        core = Core(
            world.committee,
            self.key,
            self.application,
            lambda statement: statement.check(NETWORK),
            checkpoint_batches=CHECKPOINT_BATCHES,
        )
        self.seat = Seat(core)
        self.router = Router([self.seat])
        rows = list(self.rows.values())
        rows += self.states.load(self.application)
        for done in self.ledger:
            if done.seq <= self.application.position:
                continue
            requests = self.seat.load(done.operations)
            self.application.execute(done.seq, done.time_ms, done.digest, requests)
        core.next_seq = core.executed + 1
        self.is_up = True
        if self.states.coming is not None:
            place = self.states.coming
            chunks = self.states.chunks
            self.seat.catch_up.transfer.resume(place.certificate, place.size, place.root, chunks)
        self.drive(self.seat.restore(rows, world.now_ms))

    def crash(self) -> None:
        self.is_up = False
        for (source, target), queue in self.world.queues.items():
            if self.key.public in (source, target):
                queue.clear()

    def drive(self, step: Step) -> None:
        for row in step.persist:
            self.rows[row.kind, row.seq] = row
            if row.kind == "stable":
                for known in [
                    k
                    for k in self.rows
                    if k[1] <= row.seq and k[0] != "view" and k != ("stable", row.seq)
                ]:
                    del self.rows[known]
        for event in step.get_history():
            if isinstance(event, Executed):
                self.ledger.append(event)
            else:
                self.states.keep(event)
        for _, data in step.votes:
            self._note_signed(data)
        for certified in step.certified:
            certified.certificate.check(self.world.committee.members, self.world.committee.q)
            self.certified = certified.position
        for send in [*step.sends, *pack_votes(step)]:
            for to in [send.to] if send.to else self.world.others(self):
                self.world.queues[self.key.public, to].append(encode_frame(send.message))
        for serve in step.serve:
            if isinstance(serve, ServeBatches):
                self.world.serve(self, serve.to, serve.start)
            else:
                self.world.serve_state(self, serve)
        reached = max([0, *(executed.seq for executed in step.executed)])
        reached = max([reached, *(s.position for s in step.states if isinstance(s, Transferred))])
        if reached:
            self.drive(self.seat.on_durable(reached, self.world.now_ms))
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
    def __init__(self, n: int, *, padding: int = 0) -> None:
        self.keys = make_keys(n)
        self.committee = Committee(NETWORK, COMMITTEE, 0, tuple(k.public for k in self.keys))
        self.now_ms = 1_000_000
        self.padding = padding
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
        batches = [
            CommittedBatch(b.seq, b.time_ms, b.operations, b.proof)
            for b in node.ledger
            if b.seq >= start
        ][:8]
        if batches and batches[0].seq != start:
            batches = []
        answer = Batches(committee=COMMITTEE, batches=tuple(batches))
        self.queues[node.key.public, to].append(encode_frame(answer))

    def serve_state(self, node: Node, serve: ServeOffer | ServeChunks) -> None:
        for answer in node.states.answer(serve):
            self.queues[node.key.public, serve.to].append(encode_frame(answer))

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
