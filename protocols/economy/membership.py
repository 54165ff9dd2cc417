"""Who the members are: joining, leaving, and the end of an epoch.

A change, of the members or of the semantics (`upgrades.py`), takes effect at the end of its batch,
which ends the epoch: `EpochBegan` is its last fact and names who orders from the next position on.
Members decide on that batch under the rules of the ending epoch, and the next one begins only when
a quorum of them has signed the log up to it, so two epochs never order at once. A slashed member
leaves without being asked: f' >= f - 1 holds for n' = n - 1, and one faulty member is gone.
"""

from crdt.facts import EpochBegan, MemberJoined, MemberLeft
from protocols.committee import Committee
from protocols.economy import upgrades
from protocols.economy.books import Books, compute_moves
from protocols.economy.model import Announced, OrderedOperation, Refused
from protocols.economy.operations import JoinCommittee
from protocols.economy.semantics import FIRST
from protocols.genesis import MEMBERS_MAX

BYZANTINE_MEMBERS_MIN = 4
"""The least committee that survives a faulty member: nobody leaves below it by own will."""


def join(books: Books, ordered: OrderedOperation, body: JoinCommittee) -> None:
    """Make the signer a member from the next epoch on. Raises Refused."""
    signer, rules = ordered.signer, books.parameters
    if books.is_banned(signer):
        raise Refused("banned")
    if books.committee.is_member(signer) or signer in books.joining:
        raise Refused("already_member")
    if books.committee.n + len(books.joining) >= MEMBERS_MAX:
        raise Refused("committee_full")
    if body.semantics < books.semantics:
        raise Refused("semantics_missing")
    if books.get_standing_bond(signer) + body.bond < rules.member_bond_min:
        raise Refused("bond_too_small")
    _require_room(books)
    books.require_free(signer, body.bond)
    books.joining.add(signer)
    if body.semantics > FIRST:
        books.announced[signer] = Announced(signer, body.semantics, "")
    moves = compute_moves((signer, "free", signer, "bonded", body.bond))
    books.emit(MemberJoined(account=signer, bond=body.bond, moves=moves))


def leave(books: Books, ordered: OrderedOperation) -> None:
    """Make the signer a member no longer, from the next epoch on. Raises Refused."""
    signer, n = ordered.signer, books.committee.n - len(books.leaving)
    if not books.committee.is_member(signer) or signer in books.leaving:
        raise Refused("not_a_member")
    if n == 1 or n == BYZANTINE_MEMBERS_MIN:
        raise Refused("members_needed")
    _require_room(books)
    books.leaving.add(signer)
    books.emit(MemberLeft(account=signer))


def end_batch(books: Books) -> None:
    """Begin the next epoch if this batch changed who the members are, or the semantics."""
    if not (books.joining or books.leaving or books.has_offender or books.consents):
        return
    former = books.committee
    wanted = set(former.members).union(books.joining) - books.leaving
    expelled = _expel(books, wanted)
    members = tuple(sorted(wanted))
    semantics = upgrades.find_due(books, members)
    if (members, semantics) != (former.members, former.semantics):
        place = (former.network, former.id, former.epoch + 1, members, books.position)
        committee = Committee(*place, semantics=semantics)
        books.set_committee(committee)
        upgrades.forget_passed(books)
        joined = tuple(sorted(wanted.difference(former.members)))
        left = tuple(sorted(books.leaving - expelled))
        books.emit(
            EpochBegan(
                epoch=committee.epoch,
                members=committee.members,
                joined=joined,
                left=left,
                expelled=tuple(sorted(expelled)),
                moves=(),
                semantics=committee.semantics,
            )
        )
    books.joining, books.leaving, books.has_offender = set(), set(), False


def find_committee(books: Books, epoch: int) -> Committee | None:
    """The committee of an epoch that is remembered."""
    return next((known for known in books.epochs if known.epoch == epoch), None)


def _require_room(books: Books) -> None:
    if len(books.joining) + len(books.leaving) >= books.parameters.epoch_changes_max:
        raise Refused("epoch_full")


def _expel(books: Books, wanted: set[bytes]) -> set[bytes]:
    """Take banned members out of `wanted`, but never the last one."""
    expelled = set()
    for key in sorted(wanted):
        if books.is_banned(key) and len(wanted) > 1:
            wanted.remove(key)
            expelled.add(key)
    return expelled
