"""Formation of further committees, ordered by a standing one.

Any account proposes members and terms. Each member consents by an operation of its own, which puts
its share in transit. With the last consent the committee is formed, and everybody derives its
genesis from that fact; at the deadline before, the proposal lapses and the shares go back.
What a formed committee mints is what stays in transit here, so no credit is in two places; both
know each other's members from then on, and credits cross between them (`borders.py`).
"""

import hashlib

import msgspec

from crdt.facts import (
    CommitteeConsented,
    CommitteeFormed,
    CommitteeLapsed,
    CommitteeProposed,
    Fact,
    Founded,
    compute_transit_account,
    encode_fact,
)
from identity.keys import compute_peer_id
from identity.schema import Amount
from protocols.committee import Committee
from protocols.economy.books import Books, compute_moves
from protocols.economy.model import Border, BorderEpoch, Formed, OrderedOperation, Proposal, Refused
from protocols.economy.operations import ConsentCommittee, FormCommittee
from protocols.genesis import (
    MAIN_COMMITTEE,
    Founding,
    Member,
    Parameters,
    compute_formed_id,
)

FORMED_MEMBERS_MIN = 4
"""Fewer members survive no fault (f = 0), and the credits of others would depend on each."""
PROPOSALS_MAX = 64
PROPOSALS_PER_ACCOUNT_MAX = 4
COMMITTEES_MAX = 256
"""Committees that one committee forms; its state keeps each."""
FORMATION_MS_MAX = 30 * 24 * 3_600_000


class FormedGenesis(Founding, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The genesis of a formed committee; `origin` is the first fact of its log, `border` what it
    knows of its parent, `supply` all credits of the network."""

    origin: Founded
    border: Border
    supply: Amount

    def compute_supply(self) -> int:
        return self.supply


def propose(books: Books, ordered: OrderedOperation, body: FormCommittee) -> None:
    """Take up a proposal. Raises Refused."""
    _check_room(books, ordered.signer)
    _check_terms(books, body)
    place = books.committee
    id_ = compute_formed_id(place.network, place.id, ordered.digest)
    proposal = Proposal(
        committee=id_,
        proposer=ordered.signer,
        name=body.name,
        members=tuple(sorted(body.members)),
        bond=body.bond,
        free=body.free,
        deadline_ms=books.time_ms + body.duration_ms,
    )
    books.proposals[id_] = proposal
    books.emit(
        CommitteeProposed(
            committee=id_,
            account=ordered.signer,
            name=proposal.name,
            members=proposal.members,
            bond=proposal.bond,
            free=proposal.free,
            deadline_ms=proposal.deadline_ms,
        )
    )


def consent(books: Books, ordered: OrderedOperation, body: ConsentCommittee) -> None:
    """Put a member's share in transit; the last one forms the committee. Raises Refused."""
    signer, proposal = ordered.signer, books.proposals.get(body.committee)
    if proposal is None:
        raise Refused("unknown_proposal")
    if signer not in proposal.members:
        raise Refused("not_named")
    if signer in proposal.consented:
        raise Refused("already_consented")
    if books.is_banned(signer):
        raise Refused("banned")
    share = proposal.bond + proposal.free
    books.require_free(signer, share)
    proposal = msgspec.structs.replace(proposal, consented=(*proposal.consented, signer))
    books.proposals[proposal.committee] = proposal
    moves = compute_moves((signer, "free", signer, "transit", share))
    books.emit(CommitteeConsented(committee=proposal.committee, account=signer, moves=moves))
    if len(proposal.consented) == len(proposal.members):
        _form(books, proposal)


def lapse_due(books: Books) -> None:
    """End the proposals whose time is over, in the order of their deadlines."""
    due = [p for p in books.proposals.values() if p.deadline_ms <= books.time_ms]
    for proposal in sorted(due, key=lambda p: (p.deadline_ms, p.committee)):
        del books.proposals[proposal.committee]
        share = proposal.bond + proposal.free
        moves = compute_moves(
            *((key, "transit", key, "free", share) for key in sorted(proposal.consented))
        )
        books.emit(CommitteeLapsed(committee=proposal.committee, name=proposal.name, moves=moves))


def make_formed_fact(formed: Formed) -> CommitteeFormed:
    """The fact as it stands in the parent's log."""
    pot = compute_transit_account(formed.committee)
    return CommitteeFormed(
        committee=formed.committee,
        name=formed.name,
        members=formed.members,
        bond=formed.bond,
        free=formed.free,
        created_ms=formed.created_ms,
        epoch=formed.epoch,
        start=formed.start,
        orderers=formed.orderers,
        supply=formed.supply,
        moves=compute_moves(
            *((key, "transit", pot, "transit", formed.bond + formed.free) for key in formed.members)
        ),
    )


def derive_founding(
    parent: Committee, position: int, fact: CommitteeFormed, parameters: Parameters
) -> tuple[FormedGenesis, Committee]:
    """The genesis and the first epoch of the committee that `fact`, in the parent's entry at
    `position`, formed. `parameters` are the network's."""
    genesis = FormedGenesis(
        name=fact.name,
        created_ms=fact.created_ms,
        members=tuple(Member(compute_peer_id(k), "", fact.bond, fact.free) for k in fact.members),
        parameters=parameters,
        origin=Founded(parent=parent.id, position=position, fact=_hash_fact(fact)),
        border=Border(
            committee=parent.id,
            is_parent=True,
            epochs=(BorderEpoch(fact.epoch, fact.start, fact.orderers, fact.created_ms),),
            time_ms=fact.created_ms,
        ),
        supply=fact.supply,
    )
    return genesis, Committee(parent.network, fact.committee, 0, fact.members)


def _hash_fact(fact: Fact) -> bytes:
    return hashlib.sha256(encode_fact(fact)).digest()


def _form(books: Books, proposal: Proposal) -> None:
    del books.proposals[proposal.committee]
    formed = Formed(
        committee=proposal.committee,
        name=proposal.name,
        members=proposal.members,
        bond=proposal.bond,
        free=proposal.free,
        created_ms=books.time_ms,
        epoch=books.committee.epoch,
        start=books.committee.start,
        orderers=books.committee.members,
        supply=books.supply,
        position=books.position,
    )
    books.borders[formed.committee] = Border(
        committee=formed.committee,
        is_parent=False,
        epochs=(BorderEpoch(0, 0, formed.members, formed.created_ms),),
        time_ms=formed.created_ms,
    )
    books.formed[formed.committee] = formed
    books.emit(make_formed_fact(formed))


def _check_room(books: Books, proposer: bytes) -> None:
    own = sum(proposal.proposer == proposer for proposal in books.proposals.values())
    if len(books.proposals) >= PROPOSALS_MAX or own >= PROPOSALS_PER_ACCOUNT_MAX:
        raise Refused("too_many_proposals")
    if len(books.formed) + len(books.proposals) >= COMMITTEES_MAX:
        raise Refused("too_many_committees")


def _check_terms(books: Books, body: FormCommittee) -> None:
    taken = {proposal.name for proposal in books.proposals.values()}
    taken.update(formed.name for formed in books.formed.values())
    if body.name == MAIN_COMMITTEE or body.name in taken:
        raise Refused("name_taken")
    if len(set(body.members)) < len(body.members):
        raise Refused("duplicate_member")
    if len(body.members) < FORMED_MEMBERS_MIN:
        raise Refused("too_few_members")
    if not all(books.stake.has(key) for key in body.members):
        raise Refused("unknown_member")
    if any(books.is_banned(key) for key in body.members):
        raise Refused("banned_member")
    rules = books.parameters
    if body.bond < rules.bond_min or body.free < rules.operation_fee:
        raise Refused("share_too_small")
    if body.duration_ms > FORMATION_MS_MAX:
        raise Refused("formation_too_long")
