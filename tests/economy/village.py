"""Two committees that credits cross between: real states, logs, signatures and proofs."""

import hashlib
from collections.abc import Sequence

from crdt import log
from crdt.facts import CommitteeFormed, EpochBegan, Exported, Fact, encode_fact
from crdt.heads import get_head
from identity import envelope, keys, schema
from identity.certificate import Certificate
from identity.keys import PrivateKey
from protocols.committee import Committee
from protocols.economy.committees import derive_founding
from protocols.economy.operations import (
    Body,
    ConsentCommittee,
    Crossing,
    FormCommittee,
    Import,
    Operation,
)
from protocols.economy.state import EconomyState, OrderedOperation
from protocols.genesis import (
    Allotment,
    Founding,
    Genesis,
    Member,
    Parameters,
    compute_formed_id,
)
from protocols.light import Bundle, EpochEnd, ProvenEntry, encode_bundle, prove_items
from tests.economy.world import START_MS, check_receipt, digest

BOND, FREE, SHARE = 20_000, 100_000, 3_000
PRIVATE = {
    key.public: key
    for key in (PrivateKey(digest(name)) for name in ("a", "b", "c", "d", "e", "alice", "bob"))
}
MEMBERS = tuple(sorted(PrivateKey(digest(name)).public for name in "abcd"))
SPARE, ALICE, BOB = (PrivateKey(digest(name)).public for name in ("e", "alice", "bob"))


class Place:
    """One committee: its state, its log, and the epoch that ordered each entry."""

    def __init__(self, founding: Founding, committee: Committee) -> None:
        self.founding = founding
        self.first = committee
        self.state = EconomyState(founding, committee, check_receipt)
        self.facts: list[tuple[Fact, ...]] = []
        self.entries: list[log.Entry] = []
        self.epochs: list[Committee] = []
        self.time_ms = founding.created_ms
        self._append(committee, self.state.genesis_facts())

    @property
    def id(self) -> bytes:
        return self.first.id

    def run(self, *pairs: tuple[bytes, Body], wait_ms: int = 0) -> tuple[Fact, ...]:
        """Order one batch of these operations. The state is dumped and loaded before."""
        committee, data = self.state.committee, self.state.dump()
        self.state = EconomyState.load(data, self.founding, self.first, check_receipt)
        assert self.state.dump() == data
        ahead: dict[bytes, int] = {}
        ordered = []
        for signer, body in pairs:
            nonce = self.state.next_nonce(signer) + ahead.get(signer, 0)
            ahead[signer] = ahead.get(signer, 0) + 1
            operation = Operation(nonce, body)
            id_ = hashlib.sha256(self.id + signer + schema.encode(operation)).digest()
            ordered.append(OrderedOperation(id_, signer, operation))
        self.time_ms += wait_ms
        position = self.state.position + 1
        facts = self.state.execute(position, self.time_ms, digest(f"batch {position}"), ordered)
        self._append(committee, facts)
        assert self.state.stake.is_conserved()
        assert all(value > 0 for value in self.state.stake.balances().values())
        return facts

    def _append(self, committee: Committee, facts: Sequence[Fact]) -> None:
        previous = self.entries[-1].header.hash() if self.entries else log.GENESIS_PREVIOUS
        items = [encode_fact(fact) for fact in facts]
        entry = log.append(self.id, len(self.entries), previous, self.state.time_ms, items)
        self.facts.append(tuple(facts))
        self.entries.append(entry)
        self.epochs.append(committee)

    # --- proofs ------------------------------------------------------------------------------

    def certify(self, header: log.Header, signers: Sequence[bytes] | None = None) -> bytes:
        """The certificate of q members, or of `signers`, of the epoch at the header's position."""
        committee = self.epochs[min(header.position, len(self.epochs) - 1)]
        context = envelope.Context(committee.network, self.id, committee.epoch, log.HEAD_KIND)
        payload = schema.encode(get_head(header))
        chosen = committee.members[: committee.q] if signers is None else signers
        signatures = {
            key: envelope.sign(PRIVATE[key], context, payload).signature for key in chosen
        }
        return Certificate.collect(context, payload, signatures).encode()

    def prove(
        self, position: int, chosen: Sequence[int] = (), *, certified: int | None = None
    ) -> Bundle:
        """A light proof of some facts at a position, certified there or later."""
        certified = position if certified is None else certified
        ends = [
            EpochEnd(self._prove_items(at, [len(facts) - 1]), self.certify(self.entries[at].header))
            for at, facts in enumerate(self.facts[:certified])
            if facts and isinstance(facts[-1], EpochBegan)
        ]
        return Bundle(
            network=self.first.network,
            committee=self.id,
            epochs=tuple(ends),
            entry=self._prove_items(position, chosen),
            headers=tuple(entry.header for entry in self.entries[position + 1 : certified + 1]),
            certificate=self.certify(self.entries[certified].header),
        )

    def _prove_items(self, position: int, chosen: Sequence[int]) -> ProvenEntry:
        entry = self.entries[position]
        return prove_items(entry.header, entry.items, chosen)

    def list_exports(self, target: bytes) -> list[tuple[int, int, Exported]]:
        """Position, index and fact of each transfer to the committee `target`, in order."""
        return [
            (position, index, fact)
            for position, facts in enumerate(self.facts)
            for index, fact in enumerate(facts)
            if isinstance(fact, Exported) and fact.committee == target
        ]

    def make_import(
        self,
        target: bytes,
        first: int = 1,
        last: int | None = None,
        *,
        certified: int | None = None,
    ) -> Import:
        """The operation that carries the transfers `first` to `last` to the committee `target`."""
        exports = self.list_exports(target)[first - 1 : last]
        position, index, _ = exports[-1]
        proof = encode_bundle(self.prove(position, [index], certified=certified))
        return Import(proof, tuple(make_crossing(fact) for _, _, fact in exports))


def make_crossing(fact: Exported) -> Crossing:
    return Crossing(fact.number, fact.operation, fact.account, fact.to, fact.amount)


def make_main(**parameters: int) -> Place:
    genesis = Genesis(
        name="village",
        created_ms=START_MS,
        members=tuple(Member(keys.compute_peer_id(key), "", BOND, FREE) for key in MEMBERS),
        accounts=tuple(Allotment(keys.compute_peer_id(key), FREE) for key in (SPARE, ALICE)),
        parameters=Parameters(**parameters),
    )
    return Place(genesis, genesis.make_committee())


def form(parent: Place, name: str = "work", members: Sequence[bytes] = MEMBERS) -> Place:
    """The committee of these members, formed by `parent`, each with a share of bond and free."""
    body = FormCommittee(name, tuple(members), SHARE, SHARE, 60_000)
    nonce = parent.state.next_nonce(ALICE)
    operation = hashlib.sha256(parent.id + ALICE + schema.encode(Operation(nonce, body))).digest()
    parent.run((ALICE, body))
    id_ = compute_formed_id(parent.first.network, parent.id, operation)
    facts = parent.run(*((key, ConsentCommittee(id_)) for key in members))
    formed = facts[-1]
    assert isinstance(formed, CommitteeFormed)
    position, rules = parent.state.position, parent.state.parameters
    return Place(*derive_founding(parent.state.committee, position, formed, rules))
