"""A real network of four members that orders transfers, for tests of the ledger."""

import hashlib
from collections.abc import Sequence

from crdt import facts, log
from crdt.facts import COMMON, Fact, Move
from crdt.stake import StakeView, Unbalanced
from identity import cbor, envelope, keys
from identity.certificate import Certificate
from identity.envelope import Context
from identity.schema import encode
from node.ledger_rows import ExecutedBatch
from protocols.committee import Committee
from protocols.economy.operations import (
    OPERATION_BYTES_MAX,
    OPERATION_KIND,
    Operation,
    Transfer,
    decode_operation,
)
from protocols.genesis import MAIN_COMMITTEE, Genesis, Member, compute_committee_id

CREATED_MS = 1_700_000_000_000
COMMIT_KIND = "commit"
MEMBERS = [keys.PrivateKey(hashlib.sha256(b"member%d" % i).digest()) for i in range(4)]


def make_genesis(name: str = "test") -> Genesis:
    members = tuple(
        Member(keys.compute_peer_id(key.public), "/ip4/127.0.0.1/tcp/0", 1_000, 50_000)
        for key in MEMBERS
    )
    return Genesis(name, CREATED_MS, members)


class TransferMachine:
    """Transfers with a fee of 1: as small as a state machine that moves credits can be."""

    def __init__(self, genesis: Genesis) -> None:
        self.genesis = genesis
        self.stake = StakeView()

    def execute(
        self, position: int, time_ms: int, digest: bytes, operations: Sequence[bytes]
    ) -> list[Fact]:
        if position == 0:
            produced = [fact for member in self.genesis.members for fact in self._mint(member)]
        else:
            produced = [self._transfer(data) for data in operations]
        return produced

    def _mint(self, member: Member) -> list[Fact]:
        key = keys.parse_peer_id(member.peer)
        moves = (
            Move(COMMON, "minted", key, "bonded", member.bond),
            Move(COMMON, "minted", key, "free", member.free),
        )
        fact = facts.Minted(account=key, moves=moves)
        self.stake.apply(fact)
        return [fact]

    def _transfer(self, data: bytes) -> Fact:
        statement = envelope.parse(data, size_max=OPERATION_BYTES_MAX)
        body = decode_operation(statement.payload).body
        assert isinstance(body, Transfer)
        fee = Move(statement.signer, "free", COMMON, "treasury", 1)
        move = Move(statement.signer, "free", body.to, "free", body.amount)
        paid = facts.Paid(
            account=statement.signer, to=body.to, amount=body.amount, moves=(fee, move)
        )
        try:
            self.stake.apply(paid)
        except Unbalanced as error:
            operation = hashlib.sha256(data).digest()
            rejected = facts.Rejected(
                operation=operation,
                account=statement.signer,
                reason="balance",
                detail=str(error),
                moves=(fee,),
            )
            self.stake.apply(rejected)
            return rejected
        return paid


class Rules:
    """A stand-in for the consensus: what a digest and a COMMIT statement are."""

    def compute_batch_digest(
        self, position: int, time_ms: int, operations: Sequence[bytes]
    ) -> bytes:
        return hashlib.sha256(cbor.encode([position, time_ms, list(operations)])).digest()

    def is_commit(self, statement: envelope.Statement, position: int, digest: bytes) -> bool:
        return statement.kind == COMMIT_KIND and statement.payload == cbor.encode(
            [position, digest]
        )


class Network:
    """Makes the batches that the four members would have ordered and certified."""

    def __init__(self) -> None:
        self.genesis = make_genesis()
        self.id = self.genesis.compute_network_id()
        committee_id = compute_committee_id(self.id, MAIN_COMMITTEE)
        self.committee = Committee(self.id, committee_id, 0, self.genesis.get_member_keys())
        self.machine = TransferMachine(self.genesis)
        self._position = 0
        self._head = log.GENESIS_PREVIOUS
        self._nonce = 0

    def make_genesis_batch(self) -> ExecutedBatch:
        return self._make(0, CREATED_MS, self.id, (), ())

    def make_batch(self, transfers: int = 3, amount: int = 7) -> ExecutedBatch:
        position, time_ms = self._position, CREATED_MS + 1_000 * self._position
        operations = tuple(self._make_transfer(i, amount) for i in range(transfers))
        digest = Rules().compute_batch_digest(position, time_ms, operations)
        context = Context(self.id, self.committee.id, 0, COMMIT_KIND)
        payload = cbor.encode([position, digest])
        proof = tuple(
            envelope.sign(key, context, payload).data for key in MEMBERS[: self.committee.q]
        )
        return self._make(position, time_ms, digest, operations, proof)

    def certify(self, entry: log.Entry) -> bytes:
        header = entry.header
        head = log.Head(header.author, header.position, header.hash())
        context = Context(self.id, self.committee.id, 0, log.HEAD_KIND)
        signatures = {
            key.public: envelope.sign(key, context, encode(head)).signature
            for key in MEMBERS[1 : 1 + self.committee.q]
        }
        return Certificate.collect(context, encode(head), signatures).encode()

    def _make_transfer(self, index: int, amount: int) -> bytes:
        self._nonce += 1
        signer, to = MEMBERS[index % 4], MEMBERS[(index + 1) % 4].public
        context = Context(self.id, self.committee.id, 0, OPERATION_KIND)
        operation = Operation(self._nonce, Transfer(to, amount))
        return envelope.sign(signer, context, encode(operation)).data

    def _make(
        self,
        position: int,
        time_ms: int,
        digest: bytes,
        operations: tuple[bytes, ...],
        proof: tuple[bytes, ...],
    ) -> ExecutedBatch:
        produced = self.machine.execute(position, time_ms, digest, operations)
        items = [facts.encode_fact(fact) for fact in produced]
        entry = log.append(self.committee.id, position, self._head, time_ms, items)
        self._head, self._position = entry.header.hash(), position + 1
        return ExecutedBatch(self.committee.id, position, digest, time_ms, operations, proof, entry)
