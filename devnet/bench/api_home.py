"""A node's home with thousands of settled tasks in its ledger, made by the product's own code.

Four members, whose keys are all here, order, execute, prove and certify every batch as they would
over a network; only the network is left out. A real node process then starts on the home.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import trio
import trio_asyncio

from crdt import log
from crdt.facts import OfferedCapability
from devnet.manifest import choose_ports
from identity import envelope
from identity.certificate import Certificate
from identity.envelope import Context
from identity.keys import PrivateKey, compute_peer_id
from identity.schema import encode
from node.config_file import render_config
from node.files import write_atomic
from node.home import Home
from node.ledger import Ledger
from node.ledger_rows import ExecutedBatch, make_genesis_batch
from node.ledger_verify import make_chain
from protocols.auction.commit_reveal import compute_bid_commitment, compute_work_commitment
from protocols.economy.operations import (
    OPERATION_KIND,
    RECEIPT_KIND,
    AnyBody,
    BidCommitment,
    BidOpening,
    CommitBids,
    CommitWork,
    Offer,
    OpenTasks,
    Operation,
    Receipt,
    RevealBids,
    RevealWork,
    TaskSpec,
    WorkCommitment,
    WorkOpening,
)
from protocols.genesis import Allotment, Genesis, Member
from protocols.messages import (
    CHECKPOINT_KIND,
    COMMIT_KIND,
    Checkpoint,
    Commit,
    compute_batch_digest,
)
from protocols.requests import parse_request
from protocols.state_tree import digest_state
from protocols.step import Snapshot

MEMBERS = 4
TASKS_AT_ONCE = 32
"""Four members with room for eight each."""
CAPABILITY = OfferedCapability(hashlib.sha256(b"bench api").digest(), "work", "1")
BLOB = hashlib.sha256(b"bench blob").digest()
SALT = bytes(32)
BOND, FREE = 1_000_000, 1_000_000_000
ROUNDS_MAX = 64
"""Batches in which the tasks of one pass are settled."""


class Ledgers:
    """The committee in one process. Batches come out ready for the ledger."""

    def __init__(self) -> None:
        keys = sorted((PrivateKey.generate() for _ in range(MEMBERS)), key=lambda key: key.public)
        self.keys, self.owner = keys, PrivateKey.generate()
        self.address = f"/ip4/127.0.0.1/tcp/{choose_ports(1)[0]}"
        members = tuple(
            Member(compute_peer_id(key.public), self.address if key is keys[0] else "", BOND, FREE)
            for key in keys
        )
        allotted = (Allotment(compute_peer_id(self.owner.public), FREE),)
        self.genesis = Genesis("bench", time.time_ns() // 1_000_000, members, accounts=allotted)
        self.committee = self.genesis.make_committee()
        self.chain = make_chain(self.genesis, self.committee)
        self._nonces: dict[bytes, int] = {}

    def make_batches(self, tasks: int) -> Iterator[ExecutedBatch]:
        """All batches that open `tasks` tasks or a few more, and settle each."""
        yield make_genesis_batch(self.committee.network, self.chain.genesis_entry)
        yield self._order([(key, Offer((CAPABILITY,))) for key in self.keys])
        for _ in range(-(-tasks // TASKS_AT_ONCE)):
            yield from self._settle()

    def _settle(self) -> Iterator[ExecutedBatch]:
        place = Context(self.committee.network, self.committee.id, 0, RECEIPT_KIND)
        receipts = tuple(
            envelope.sign(key, place, encode(Receipt((BLOB,)))).data
            for key in self.keys[: self.committee.f + 1]
        )
        spec = TaskSpec(CAPABILITY.id, BLOB, 100, 1_000, 600_000)
        yield self._order([(self.owner, OpenTasks((spec,) * TASKS_AT_ONCE, receipts))])
        for _ in range(ROUNDS_MAX):
            said = [(key, body) for i, key in enumerate(self.keys) for body in self._answer(key, i)]
            if not said:
                break
            yield self._order(said)
        if next(self.chain.state.tasks(), None) is not None:
            raise AssertionError("a task of the bench did not end")

    def _answer(self, key: PrivateKey, number: int) -> Iterator[AnyBody]:
        """Whatever an honest agent says now, in as few operations as there are kinds."""
        who, price = (self.committee.network, self.committee.id), 100 + 10 * number
        bids, opens, works, shows = [], [], [], []
        for duty in self.chain.state.duties(key.public):
            place = (duty.task, duty.round)  # type: ignore[union-attr]
            match duty.kind:
                case "bid":
                    seal = compute_bid_commitment(*who, *place, key.public, price, SALT)
                    bids.append(BidCommitment(*place, seal))
                case "reveal_bid":
                    opens.append(BidOpening(*place, price, SALT))
                case "work":
                    seal = compute_work_commitment(*who, *place, key.public, BLOB, 10, SALT)
                    works.append(WorkCommitment(*place, seal, None))
                case "reveal_work":
                    shows.append(WorkOpening(*place, BLOB, 10, SALT))
        if bids:
            yield CommitBids(tuple(bids))
        if opens:
            yield RevealBids(tuple(opens))
        if works:
            yield CommitWork(tuple(works))
        if shows:
            yield RevealWork(tuple(shows))

    def _order(self, said: Sequence[tuple[PrivateKey, AnyBody]]) -> ExecutedBatch:
        """The batch of these operations, ordered, executed and proven."""
        position, time_ms = self.chain.get_position() + 1, self.chain.get_time_ms() + 1
        operations = tuple(self._sign(key, body) for key, body in said)
        requests = [parse_request(data, self.committee)[0] for data in operations]
        digest = compute_batch_digest(time_ms, [request.digest for request in requests])
        place = Context(self.committee.network, self.committee.id, 0, COMMIT_KIND)
        commit = encode(Commit(0, position, digest, time_ms))
        signers = self.keys[: self.committee.q]
        proof = tuple(envelope.sign(key, place, commit).data for key in signers)
        entry = self.chain.execute(position, time_ms, digest, requests).entry
        return ExecutedBatch(self.committee.id, position, digest, time_ms, operations, proof, entry)

    def _sign(self, key: PrivateKey, body: AnyBody) -> bytes:
        self._nonces[key.public] = self._nonces.get(key.public, 0) + 1
        place = Context(self.committee.network, self.committee.id, 0, OPERATION_KIND)
        return envelope.sign(key, place, encode(Operation(self._nonces[key.public], body))).data

    def certify(self, entry: log.Entry) -> bytes:
        """The quorum's certificate of an entry."""
        header = entry.header
        payload = encode(log.Head(header.author, header.position, header.hash()))
        return self._collect(log.HEAD_KIND, payload)

    def make_snapshot(self) -> Snapshot:
        """The state of now, certified."""
        state, position = self.chain.dump_state(), self.chain.get_position()
        payload = encode(Checkpoint(position, self.chain.get_head(), digest_state(state)))
        certificate = self._collect(CHECKPOINT_KIND, payload)
        return Snapshot(self.committee.id, position, certificate, state)

    def _collect(self, kind: str, payload: bytes) -> bytes:
        place = Context(self.committee.network, self.committee.id, 0, kind)
        signatures = {
            key.public: envelope.sign(key, place, payload).signature
            for key in self.keys[: self.committee.q]
        }
        return Certificate.collect(place, payload, signatures).encode()


def make_home(folder: Path, tasks: int, progress: Callable[[str], None]) -> Home:
    """A home in `folder` of the first member, with `tasks` settled tasks in its ledger."""
    made, home = Ledgers(), Home(folder / "home")
    home.make_folder()
    home.write_key(made.keys[0], None)
    home.write_token()
    home.write_genesis(made.genesis)
    values = {("network", "listen"): (made.address,), ("api", "requests_per_s"): 100_000}
    write_atomic(home.config_path, render_config(values).encode())
    trio.run(_write, home.ledger_path, made, tasks, progress)
    return home


async def _write(path: Path, made: Ledgers, tasks: int, progress: Callable[[str], None]) -> None:
    every, network = made.genesis.parameters.checkpoint_batches, made.committee.network
    async with trio_asyncio.open_loop(), Ledger.open(path, network) as ledger:
        for batch in made.make_batches(tasks):
            await ledger.append_wait(batch)
            if batch.position:
                ledger.put_certificate(batch.committee, batch.position, made.certify(batch.entry))
                if batch.position % every == 0:
                    await ledger.keep_state(made.make_snapshot())
            if batch.position % 500 == 0:
                progress(f"{batch.position} batches written")
