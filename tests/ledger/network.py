"""A real network of four members that orders transfers, for tests of the ledger."""

import hashlib

from crdt import log
from crdt.facts import OfferedCapability
from identity import envelope, keys
from identity.certificate import Certificate
from identity.envelope import Context
from identity.schema import encode
from node.ledger_rows import ExecutedBatch, make_genesis_batch
from node.ledger_verify import make_chain
from protocols.committee import Committee
from protocols.economy.operations import (
    OPERATION_KIND,
    RECEIPT_KIND,
    AnyBody,
    JoinCommittee,
    Offer,
    OpenTasks,
    Operation,
    Receipt,
    TaskSpec,
    Transfer,
)
from protocols.genesis import Founding, Genesis, Member
from protocols.messages import (
    CHECKPOINT_KIND,
    COMMIT_KIND,
    Checkpoint,
    Commit,
    compute_batch_digest,
)
from protocols.requests import parse_request
from protocols.state_tree import StateTree, cut, digest_state, hash_chunks
from protocols.step import ChunkFetched, Snapshot, TransferBegun, Transferred

CREATED_MS = 1_700_000_000_000
CAPABILITY = hashlib.sha256(b"capability").digest()
JOINERS = [keys.PrivateKey(hashlib.sha256(b"joiner%d" % i).digest()) for i in range(3)]
MEMBERS = [keys.PrivateKey(hashlib.sha256(b"member%d" % i).digest()) for i in range(4)]
KEYS = {key.public: key for key in (*MEMBERS, *JOINERS)}


def make_genesis(name: str = "test") -> Genesis:
    members = tuple(
        Member(keys.compute_peer_id(key.public), "/ip4/127.0.0.1/tcp/0", 1_000, 1_000_000)
        for key in MEMBERS
    )
    return Genesis(name, CREATED_MS, members)


class Network:
    """Makes the batches that the four members would have ordered and certified."""

    def __init__(self, formed: tuple[Founding, Committee] | None = None) -> None:
        """Of the founding committee, or of one that was formed."""
        self.genesis = make_genesis()
        self.id = self.genesis.compute_network_id()
        self.founding, self.committee = formed or (self.genesis, self.genesis.make_committee())
        self.chain = make_chain(self.founding, self.committee)
        self.epochs = {0: self.committee}
        """Who ordered each position."""
        self._nonces = dict.fromkeys((*KEYS, *self.committee.members), 0)

    def make_genesis_batch(self) -> ExecutedBatch:
        return make_genesis_batch(self.id, self.chain.genesis_entry)

    def make_batch(self, transfers: int = 3, amount: int = 7) -> ExecutedBatch:
        """A batch of transfers between the members."""
        bodies = [
            (MEMBERS[i % 4], Transfer(MEMBERS[(i + 1) % 4].public, amount))
            for i in range(transfers)
        ]
        return self.order(*bodies)

    def make_task_batches(self) -> list[ExecutedBatch]:
        """Two batches: every member offers a capability, then one opens two tasks."""
        offer = Offer((OfferedCapability(CAPABILITY, "count", "1"),))
        blob = hashlib.sha256(b"input").digest()
        place = Context(self.id, self.committee.id, 0, RECEIPT_KIND)
        receipts = tuple(
            envelope.sign(key, place, encode(Receipt((blob,)))).data for key in MEMBERS[:2]
        )
        spec = TaskSpec(CAPABILITY, blob, 5, 1_000, 60_000)
        return [
            self.order(*((key, offer) for key in MEMBERS)),
            self.order((MEMBERS[0], OpenTasks((spec, spec), receipts))),
        ]

    def make_epochs(self) -> list[ExecutedBatch]:
        """Batches through three changes of the members, with one more in each epoch."""
        batches = [
            self.order(*((MEMBERS[0], Transfer(key.public, 20_000)) for key in JOINERS)),
        ]
        for key in JOINERS:
            batches.append(self.order((key, JoinCommittee(10_000))))
            batches.append(self.make_batch(1))
        return batches

    def order(self, *bodies: tuple[keys.PrivateKey, AnyBody]) -> ExecutedBatch:
        """The batch of these operations, ordered, executed and proven."""
        position = self.chain.get_position() + 1
        time_ms = self.founding.created_ms + 1_000 * position
        operations = tuple(self._sign(key, body) for key, body in bodies)
        requests = [parse_request(data, self.committee)[0] for data in operations]
        digest = compute_batch_digest(time_ms, [request.digest for request in requests])
        committee = self.chain.get_committee()
        place = Context(self.id, committee.id, committee.epoch, COMMIT_KIND)
        commit = encode(Commit(0, position, digest, time_ms))
        signers = committee.members[: committee.q]
        proof = tuple(envelope.sign(KEYS[key], place, commit).data for key in signers)
        self.epochs[position] = committee
        entry = self.chain.execute(position, time_ms, digest, requests).entry
        return ExecutedBatch(self.committee.id, position, digest, time_ms, operations, proof, entry)

    def certify(self, entry: log.Entry) -> bytes:
        header = entry.header
        payload = encode(log.Head(header.author, header.position, header.hash()))
        committee = self.epochs[header.position]
        place = Context(self.id, committee.id, committee.epoch, log.HEAD_KIND)
        signatures = {
            key: envelope.sign(KEYS[key], place, payload).signature
            for key in committee.members[-committee.q :]
        }
        return Certificate.collect(place, payload, signatures).encode()

    def make_snapshot(self) -> Snapshot:
        """The certified state of now."""
        state, position = self.chain.dump_state(), self.chain.get_position()
        payload = encode(Checkpoint(position, self.chain.get_head(), digest_state(state)))
        place = Context(self.id, self.committee.id, 0, CHECKPOINT_KIND)
        signatures = {
            key.public: envelope.sign(key, place, payload).signature
            for key in MEMBERS[: self.committee.q]
        }
        certificate = Certificate.collect(place, payload, signatures).encode()
        return Snapshot(self.committee.id, position, certificate, state)

    def make_transfer(self) -> tuple[TransferBegun, list[ChunkFetched], Transferred]:
        """What a member that fetches the state of now hands to its ledger."""
        taken = self.make_snapshot()
        place, chunks = (taken.committee, taken.position), cut(taken.state)
        leaves = hash_chunks(chunks)
        root, size = StateTree(leaves).root, len(taken.state)
        return (
            TransferBegun(*place, taken.certificate, size, root),
            [ChunkFetched(*place, index, data) for index, data in enumerate(chunks)],
            Transferred(
                *(*place, taken.certificate, self.chain.get_head(), digest_state(taken.state)),
                *(size, root, leaves, self.chain.list_balances(), self.chain.list_tasks()),
                self.chain.list_auctions(),
            ),
        )

    def _sign(self, key: keys.PrivateKey, body: AnyBody) -> bytes:
        self._nonces[key.public] += 1
        place = Context(self.id, self.committee.id, 0, OPERATION_KIND)
        operation = Operation(self._nonces[key.public], body)
        return envelope.sign(key, place, encode(operation)).data
