"""The switch of a committee's semantics: announced, consented to, and begun with an epoch.

Each member announces what its program executes; a quorum of members consents to one version by an
operation each. The batch of the last consent ends the epoch, and everything after it is executed by
the new version. It never goes back, and nothing switches unless a quorum of the next epoch's
members has announced the version: the others could not execute what follows.
"""

from crdt.facts import SemanticsAnnounced, UpgradeConsented
from protocols.committee import compute_quorum
from protocols.economy.books import Books
from protocols.economy.model import Announced, OrderedOperation, Refused
from protocols.economy.operations_upgrades import AnnounceSemantics, ConsentUpgrade
from protocols.economy.semantics import FIRST


def announce(books: Books, ordered: OrderedOperation, body: AnnounceSemantics) -> None:
    """Record what a member's program executes. Raises Refused."""
    signer = ordered.signer
    _require_member(books, signer)
    if body.semantics < books.semantics:
        raise Refused("semantics_passed")
    told = Announced(signer, body.semantics, body.program)
    if books.announced.get(signer) == told:
        raise Refused("already_announced")
    books.announced[signer] = told
    if books.consents.get(signer, FIRST) > body.semantics:
        del books.consents[signer]
    books.emit(SemanticsAnnounced(account=signer, semantics=body.semantics, program=body.program))


def consent(books: Books, ordered: OrderedOperation, body: ConsentUpgrade) -> None:
    """Record a member's consent; `find_due` says when there are enough. Raises Refused."""
    signer, version = ordered.signer, body.semantics
    _require_member(books, signer)
    if version <= books.semantics:
        raise Refused("semantics_passed")
    if get_announced(books, signer) < version:
        raise Refused("not_announced")
    if count_supporting(books, books.committee.members, version) < books.committee.q:
        raise Refused("too_few_announced")
    if books.consents.get(signer) == version:
        raise Refused("already_consented")
    books.consents[signer] = version
    books.emit(UpgradeConsented(account=signer, semantics=version))


def get_announced(books: Books, member: bytes) -> int:
    """The newest version that a member's program executes, as far as it said so."""
    told = books.announced.get(member)
    return FIRST if told is None else told.semantics


def count_supporting(books: Books, members: tuple[bytes, ...], version: int) -> int:
    return sum(get_announced(books, member) >= version for member in members)


def find_due(books: Books, members: tuple[bytes, ...]) -> int:
    """The version of an epoch that begins now with `members`."""
    quorum = books.committee.q
    for version in sorted(set(books.consents.values()), reverse=True):
        consenting = [
            member
            for member, wanted in books.consents.items()
            if wanted == version and not books.is_banned(member)
        ]
        supporting = count_supporting(books, members, version)
        if len(consenting) >= quorum and supporting >= compute_quorum(len(members)):
            return version
    return books.semantics


def forget_passed(books: Books) -> None:
    """As an epoch begins: what was said by former members, and consents that are met, are over."""
    now = books.committee
    books.announced = {k: told for k, told in books.announced.items() if now.is_member(k)}
    books.consents = {
        member: version
        for member, version in books.consents.items()
        if now.is_member(member) and version > books.semantics
    }


def _require_member(books: Books, signer: bytes) -> None:
    if not books.committee.is_member(signer):
        raise Refused("not_a_member")
