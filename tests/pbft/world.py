"""Seats of one committee joined in memory: frames queue per pair and are moved on command."""

import hashlib
from collections import deque
from collections.abc import Iterable, Sequence

from crdt import log
from crdt.auctions import AuctionRow
from crdt.facts import Bucket, Charged, EpochBegan, Fact, encode_fact
from crdt.tasks import TaskRow
from identity import cbor, envelope, schema
from identity.envelope import Context, Statement
from identity.errors import InvalidSchema
from identity.keys import PrivateKey
from node.router import Router, Seat, decode_frame, encode_frame, pack_votes
from protocols.committee import Committee
from protocols.economy.operations import (
    OPERATION_KIND,
    STATEMENT_EPOCH,
    AnyBody,
    JoinCommittee,
    LeaveCommittee,
    Operation,
    Transfer,
)
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
from protocols.pbft.trail import Trail
from protocols.requests import parse_request
from protocols.state_tree import STATE_BYTES_MAX, digest_state
from protocols.step import (
    Executed,
    Persist,
    ServeBatches,
    ServeChunks,
    ServeOffer,
    Step,
    Transferred,
)
from tests.pbft.states import States

NETWORK = hashlib.sha256(b"test network").digest()
COMMITTEE = b"committee-of-16b"
CHECKPOINT_BATCHES = 10


def make_keys(count: int) -> list[PrivateKey]:
    keys = [PrivateKey(hashlib.sha256(b"member %d" % i).digest()) for i in range(count)]
    return sorted(keys, key=lambda key: key.public)


class NonceApplication:
    """A fake state machine that knows nonces and members: one Charged fact an operation."""

    def __init__(self, committee: Committee) -> None:
        self.position = 0
        self.head = bytes(32)
        self.nonces: dict[bytes, int] = {}
        self.time_ms = 0
        self.deadline_ms: int | None = None
        self.order: list[bytes] = []
        self.company = 0
        """How many operations come at once."""
        self.padding = 0
        """Bytes that make the state large."""
        self.committees = [committee]

    def get_committee(self) -> Committee:
        return self.committees[-1]

    def find_committee(self, epoch: int) -> Committee | None:
        return self.committees[epoch] if epoch < len(self.committees) else None

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

    def awaits_company(self, requests: Iterable[Request]) -> bool:
        return len(list(requests)) < self.company

    def execute(
        self, seq: int, time_ms: int, digest: bytes, requests: Sequence[Request]
    ) -> Outcome:
        assert seq == self.position + 1
        self.position = seq
        self.time_ms = max(self.time_ms, time_ms)
        if self.deadline_ms is not None and self.deadline_ms <= self.time_ms:
            self.deadline_ms = None
        facts: list[Fact] = []
        members = set(self.committees[-1].members)
        for request in requests:
            if request.operation.nonce == self.get_next_nonce(request.signer):
                self.nonces[request.signer] = request.operation.nonce
                self.order.append(request.digest)
                facts.append(Charged(operation=request.digest))
                if isinstance(request.operation.body, JoinCommittee):
                    members.add(request.signer)
                elif isinstance(request.operation.body, LeaveCommittee):
                    members.discard(request.signer)
        if members != set(self.committees[-1].members):
            facts.append(self.begin_epoch(tuple(sorted(members))))
        items = [encode_fact(fact) for fact in facts]
        entry = log.append(COMMITTEE, seq, self.head, self.time_ms, items)
        self.head = entry.header.hash()
        return Outcome(entry, tuple(facts))

    def begin_epoch(self, members: tuple[bytes, ...]) -> EpochBegan:
        epoch = len(self.committees)
        self.committees.append(Committee(NETWORK, COMMITTEE, epoch, members, self.position))
        return EpochBegan(epoch=epoch, members=members, joined=(), left=(), expelled=(), moves=())

    def dump_state(self) -> bytes:
        nonces = [[account, nonce] for account, nonce in sorted(self.nonces.items())]
        epochs = [[each.start, list(each.members)] for each in self.committees]
        return cbor.encode([self.position, self.time_ms, nonces, epochs, bytes(self.padding)])

    def compute_state_digest(self) -> bytes:
        return digest_state(self.dump_state())

    def load_state(self, data: bytes, position: int, head: bytes) -> None:
        match cbor.decode(data, size_max=STATE_BYTES_MAX):
            case [int(found), int(time_ms), [*nonces], [*epochs], bytes(padding)] if (
                found == position
            ):
                self.position, self.time_ms, self.head = position, time_ms, head
                self.nonces = dict(nonces)
                self.padding = len(padding)
                self.committees = [
                    Committee(NETWORK, COMMITTEE, epoch, tuple(members), start)
                    for epoch, (start, members) in enumerate(epochs)
                ]
            case _:
                raise InvalidSchema("not a state of this position")

    def list_balances(self) -> tuple[tuple[bytes, Bucket, int], ...]:
        return ()

    def list_auctions(self) -> tuple[AuctionRow, ...]:
        return ()

    def list_tasks(self) -> tuple[TaskRow, ...]:
        return ()


def load_all(operations: Sequence[bytes], committee: Committee) -> list[Request]:
    return [parse_request(data, committee)[0] for data in operations]


class Node:
    """One peer with its durable rows and its ledger; a restart keeps only those."""

    def __init__(self, world: "World", key: PrivateKey) -> None:
        self.world, self.key = world, key
        self.rows: dict[tuple[int, str, int], Persist] = {}
        self.ledger: list[Executed] = []
        self.states = States()
        self.certificates: dict[int, bytes] = {}
        self.certified = 0
        self.is_durable_at_once = True
        self.crashes_at: str | None = None
        """The kind of row after whose sync the process ends."""
        self.start()

    def start(self) -> None:
        world = self.world
        self.application = NonceApplication(world.committee)
        self.application.padding = world.padding
        rows = [*self.rows.values(), *self.states.load(self.application)]
        trail = Trail(CHECKPOINT_BATCHES, self.ledger[-1].seq if self.ledger else 0)
        for done in self.ledger:
            if done.seq <= self.application.position:
                continue
            requests = load_all(done.operations, world.committee)
            self.application.execute(done.seq, done.time_ms, done.digest, requests)
            trail.note(self.application)
        core = Core(
            self.application.get_committee(),
            self.key,
            self.application,
            lambda statement: statement.check(NETWORK),
            checkpoint_batches=CHECKPOINT_BATCHES,
        )
        core.checkpoints.recall(trail.passed)
        self.seat = Seat(core)
        self.router = Router([self.seat])
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

    @property
    def core(self) -> Core:
        return self.seat.core

    def drive(self, step: Step) -> None:
        self.world.note(self, step)
        for row in step.persist:
            self.rows[row.epoch, row.kind, row.seq] = row
            for known in [known for known in self.rows if is_history(known, row)]:
                del self.rows[known]
            if row.kind == self.crashes_at:
                self.crashes_at = None
                self.crash()
                return
        for event in step.get_history():
            if isinstance(event, Executed):
                self.ledger.append(event)
            else:
                self.states.keep(event)
        for _, data in step.votes:
            self._note_signed(data)
        for certified in step.certified:
            epoch = certified.certificate.context.epoch
            committee = self.application.find_committee(epoch)
            assert committee is not None
            certified.certificate.check(committee.members, committee.q)
            self.certified = max(self.certified, certified.position)
            self.certificates[certified.position] = certified.certificate.encode()
        for send in [*step.sends, *pack_votes(step)]:
            for to in [send.to] if send.to else self.world.others(self):
                self.world.queues[self.key.public, to].append(encode_frame(send.message))
        for serve in step.serve:
            if isinstance(serve, ServeBatches):
                self.world.serve(self, serve.to, serve.start)
            else:
                self.world.serve_state(self, serve)
        reached = [executed.seq for executed in step.executed]
        reached += [s.position for s in step.states if isinstance(s, Transferred)]
        if reached and self.is_durable_at_once:
            self.drive(self.seat.on_durable(max(reached), self.world.now_ms))
        self.world.evidence += step.evidence
        self.world.faults += step.faults

    def _note_signed(self, data: bytes) -> None:
        """No key ever signs two digests for one slot, whatever it has forgotten."""
        statement = envelope.parse(data, size_max=2_048)
        kind = VOTE_TYPES[statement.kind]
        vote = schema.decode(statement.payload, kind, size_max=2_048)
        if isinstance(vote, Prepare | Commit):
            digests = self.world.signed.setdefault(
                (self.key.public, statement.kind, statement.epoch, vote.view, vote.seq), set()
            )
            digests.add(vote.digest)
            assert len(digests) == 1


def is_history(key: tuple[int, str, int], row: Persist) -> bool:
    """What a row lets the vote log delete."""
    epoch, kind, seq = key
    if row.kind == "epoch":
        return epoch < row.epoch
    return (
        row.kind == "stable"
        and (epoch, kind, seq) != (row.epoch, "stable", row.seq)
        and kind not in ("view", "epoch")
        and epoch == row.epoch
        and seq <= row.seq
    )


class World:
    """The first `n` of the nodes are members; `spare` others only follow."""

    def __init__(self, n: int, spare: int = 0, *, padding: int = 0) -> None:
        self.padding = padding
        self.keys = make_keys(n + spare)
        members = tuple(key.public for key in self.keys)
        self.committee = Committee(NETWORK, COMMITTEE, 0, members[:n])
        self.now_ms = 1_000_000
        self.queues: dict[tuple[bytes, bytes], deque[bytes]] = {
            (a, b): deque() for a in members for b in members if a != b
        }
        self.cut: set[tuple[bytes, bytes]] = set()
        self.evidence: list[object] = []
        self.signed: dict[tuple[bytes, str, int, int, int], set[bytes]] = {}
        self.faults: list[object] = []
        self.nodes = [Node(self, key) for key in self.keys]
        self.client = PrivateKey(hashlib.sha256(b"client").digest())
        self.nonce = 0

    def note(self, node: Node, step: Step) -> None:
        """Called with every step before it is driven."""

    def others(self, node: Node) -> list[bytes]:
        return [key for key in node.core.committee.members if key != node.key.public]

    def get(self, key: bytes) -> Node:
        return next(node for node in self.nodes if node.key.public == key)

    def submit_body(self, index: int, body: AnyBody, nonce: int = 1) -> None:
        """An operation of one of the nodes, sent to all of them."""
        place = Context(NETWORK, COMMITTEE, STATEMENT_EPOCH, OPERATION_KIND)
        statement = envelope.sign(self.keys[index], place, schema.encode(Operation(nonce, body)))
        frame = encode_frame(Submit(committee=COMMITTEE, operations=(statement.data,)))
        for node in self.nodes:
            if node.is_up:
                self.deliver(self.client.public, node, frame)

    def make_operation(self, nonce: int | None = None) -> Statement:
        if nonce is None:
            self.nonce += 1
            nonce = self.nonce
        place = Context(NETWORK, COMMITTEE, STATEMENT_EPOCH, OPERATION_KIND)
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
            CommittedBatch(
                b.seq, b.time_ms, b.operations, b.proof, node.certificates.get(b.seq, b"")
            )
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
                if not self.queues[source, target]:
                    continue  # a crash took what was under way
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
