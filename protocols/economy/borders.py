"""Credits that cross to another committee and back, by certificate.

A committee has a border to the one that formed it and to each that it formed. `Export` moves free
credits into transit, in an account that stands for the other committee, and numbers the transfer.
`Import` credits it there: it carries the transfers that come next, in order, and a light proof of
the last one's `exported`. Each transfer's link is a hash over it and the link before, so that one
proof covers all that are carried, and a counter makes each count once; no set of ids is kept.

Whom a proof must be signed by is ordered, too. Each side begins with the other's members from the
fact that formed the younger one, and every import follows the epochs that its proof shows. Nothing
older than `unbonding_ms` is believed: former members may have their bonds back.

A committee never pays out more than went into it, whatever it is shown: a parent takes what comes
back from what is in transit to that child, a child mints what its parent sends up to the supply of
the network. What only a quorum of liars can have signed freezes the border for good, both ways.
"""

import hashlib

import msgspec

from crdt.facts import (
    COMMON,
    BorderFrozen,
    BorderRenewed,
    Exported,
    FreezeReason,
    Imported,
    compute_transit_account,
)
from crdt.heads import ForkProof, Prover, Voters, check_fork
from identity import cbor
from identity.errors import InvalidBytes
from protocols import light
from protocols.committee import Committee, make_epochs
from protocols.economy.accounts import check_new_account
from protocols.economy.books import Books, compute_moves
from protocols.economy.committees import FORMED_MEMBERS_MIN
from protocols.economy.model import Border, BorderEpoch, OrderedOperation, Refused
from protocols.economy.operations import (
    IMPORT_EPOCHS_MAX,
    AccuseCommittee,
    Crossing,
    Export,
    Import,
)

EPOCHS_MAX = 4
"""Epochs of another committee that are kept, so that contradictions in them are still proven."""


class _Contradiction(Exception):
    """What a proof shows cannot come from a committee with a quorum of honest members."""

    def __init__(self, reason: FreezeReason) -> None:
        super().__init__(reason)
        self.reason: FreezeReason = reason


def compute_link(
    network: bytes, source: bytes, target: bytes, previous: bytes, crossing: Crossing
) -> bytes:
    """The link of a transfer from committee `source` to `target` that follows link `previous`."""
    transfer = list(msgspec.structs.astuple(crossing))
    content = ["econode/crossing", network, source, target, previous, transfer]
    return hashlib.sha256(cbor.encode(content)).digest()


def export(books: Books, ordered: OrderedOperation, body: Export) -> None:
    """Send credits to another committee. Raises Refused."""
    signer, place = ordered.signer, books.committee
    border = _find_border(books, body.committee)
    if place.n < FORMED_MEMBERS_MIN:
        raise Refused("too_few_members")
    if not books.stake.has(body.to):
        check_new_account(body.to)
    books.require_free(signer, body.amount)
    crossing = Crossing(border.exported + 1, ordered.digest, signer, body.to, body.amount)
    previous = border.exported_link
    link = compute_link(place.network, place.id, border.committee, previous, crossing)
    _set(books, border, exported=crossing.number, exported_link=link)
    pot = compute_transit_account(border.committee)
    books.emit(
        Exported(
            committee=border.committee,
            number=crossing.number,
            operation=crossing.operation,
            account=signer,
            to=crossing.to,
            amount=crossing.amount,
            link=link,
            moves=compute_moves((signer, "free", pot, "transit", crossing.amount)),
        )
    )


def import_transfers(books: Books, ordered: OrderedOperation, body: Import) -> None:
    """Credit transfers from another committee, or renew what is known of its members. Raises
    Refused."""
    bundle = _decode(body.proof)
    border = _find_border(books, bundle.committee)
    for number, crossing in enumerate(body.crossings, border.imported + 1):
        if crossing.number != number:
            is_old = crossing.number <= border.imported
            raise Refused("already_imported" if is_old else "not_next")
        if not books.stake.has(crossing.to):
            check_new_account(crossing.to)
    proven = _verify(books, border, bundle)
    if not body.crossings:
        _renew(books, border, proven)
        return
    try:
        link = _check_transfers(books, border, body.crossings, proven)
        _check_cover(books, border, sum(crossing.amount for crossing in body.crossings))
    except _Contradiction as contradiction:
        _freeze(books, ordered, border, contradiction.reason)
        return
    _set_proven(books, border, proven, imported=body.crossings[-1].number, imported_link=link)
    for crossing in body.crossings:
        _credit(books, border.committee, crossing)


def accuse(books: Books, ordered: OrderedOperation, body: AccuseCommittee) -> None:
    """Freeze the border to a committee that certified two heads at one position. Raises
    Refused."""
    _freeze(books, ordered, check_accusation(books, body), "two_heads")


def check_accusation(books: Books, body: AccuseCommittee) -> Border:
    """The border that the accusation freezes. Raises Refused."""
    border = _find_border(books, body.committee)
    known = _list_voters(books, border)
    fork = ForkProof.make(border.committee, 0, body.first, body.second)
    try:
        check_fork(fork.encode(), Prover(books.committee.network, {border.committee: known}))
    except InvalidBytes:
        raise Refused("no_evidence") from None
    return border


def _find_border(books: Books, committee: bytes) -> Border:
    border = books.borders.get(committee)
    if border is None:
        raise Refused("unknown_committee")
    if border.frozen:
        raise Refused("frozen")
    return border


def _decode(proof: bytes) -> light.Bundle:
    try:
        bundle = light.decode_bundle(proof)
    except InvalidBytes:
        raise Refused("invalid_proof") from None
    if len(bundle.epochs) > IMPORT_EPOCHS_MAX or len(bundle.entry.facts) > 1:
        raise Refused("proof_too_long")
    return bundle


def _verify(books: Books, border: Border, bundle: light.Bundle) -> light.Proven:
    """What `bundle` proves of the other committee as it is known here. Raises Refused."""
    now = border.epochs[-1]
    anchor = light.Anchor(
        network=books.committee.network,
        committee=border.committee,
        epoch=now.epoch,
        start=now.start,
        members=now.members,
        time_ms=border.time_ms,
        unbonding_ms=books.parameters.unbonding_ms,
    )
    try:
        proven = light.verify_bundle(bundle, anchor, books.time_ms)
    except light.StaleAnchor:
        raise Refused("stale_border") from None
    except InvalidBytes:
        raise Refused("invalid_proof") from None
    if proven.n < FORMED_MEMBERS_MIN:
        raise Refused("too_few_members")
    if any(place.semantics > books.semantics for place, _ in proven.followed):
        # What those facts mean is settled here only once this committee has switched, too.
        raise Refused("newer_semantics")
    return proven


def _check_transfers(
    books: Books, border: Border, crossings: tuple[Crossing, ...], proven: light.Proven
) -> bytes:
    """The link of the last of `crossings`, which `proven` shows. Raises Refused, or
    _Contradiction when the proof itself denies a transfer that was imported before."""
    place, fact = books.committee, proven.facts[0] if proven.facts else None
    if not isinstance(fact, Exported) or fact.committee != place.id:
        raise Refused("invalid_proof")
    shown = Crossing(fact.number, fact.operation, fact.account, fact.to, fact.amount)
    if shown != crossings[-1]:
        raise Refused("invalid_proof")
    link = border.imported_link
    for crossing in crossings:
        link = compute_link(place.network, border.committee, place.id, link, crossing)
    if link == fact.link:
        return link
    if len(crossings) == 1:
        # All that was hashed is what was imported before and the fact that is proven.
        raise _Contradiction("two_transfers")
    raise Refused("invalid_proof")


def _check_cover(books: Books, border: Border, amount: int) -> None:
    """Raises _Contradiction when the other committee sends more than it can have."""
    cover = books.stake.get(compute_transit_account(border.committee), "transit")
    if border.is_parent:
        cover += books.supply - books.stake.get(COMMON, "minted")
    if amount > cover:
        raise _Contradiction("overdrawn")


def _credit(books: Books, source: bytes, crossing: Crossing) -> None:
    """Take the transfer from what is in transit to where it comes from, and mint the rest: that
    came from the parent and was never here."""
    pot = compute_transit_account(source)
    returned = min(crossing.amount, books.stake.get(pot, "transit"))
    moves = compute_moves(
        (pot, "transit", crossing.to, "free", returned),
        (COMMON, "minted", crossing.to, "free", crossing.amount - returned),
    )
    books.emit(
        Imported(
            committee=source,
            number=crossing.number,
            operation=crossing.operation,
            account=crossing.account,
            to=crossing.to,
            amount=crossing.amount,
            moves=moves,
        )
    )


def _renew(books: Books, border: Border, proven: light.Proven) -> None:
    """Take over newer members of the other committee, or the same as of a later time."""
    if proven.facts:
        raise Refused("invalid_proof")
    if not proven.followed and proven.anchor.time_ms <= border.time_ms:
        raise Refused("nothing_new")
    _set_proven(books, border, proven)
    anchor = proven.anchor
    books.emit(
        BorderRenewed(committee=border.committee, epoch=anchor.epoch, time_ms=anchor.time_ms)
    )


def _set_proven(books: Books, border: Border, proven: light.Proven, **changes: object) -> None:
    followed = tuple(
        BorderEpoch(place.epoch, place.start, place.members, time_ms)
        for place, time_ms in proven.followed
    )
    epochs = (*border.epochs, *followed)[-EPOCHS_MAX:]
    _set(books, border, epochs=epochs, time_ms=proven.anchor.time_ms, **changes)


def _set(books: Books, border: Border, **changes: object) -> None:
    books.borders[border.committee] = msgspec.structs.replace(border, **changes)


def _freeze(books: Books, ordered: OrderedOperation, border: Border, reason: FreezeReason) -> None:
    _set(books, border, frozen=True)
    books.emit(BorderFrozen(committee=border.committee, reason=reason, operation=ordered.digest))


def _list_voters(books: Books, border: Border) -> tuple[Voters, ...]:
    """Whose certificates still count as evidence: members that had no time to get their bonds
    back could not sign a contradiction without a risk. Raises Refused when there are none."""
    place = books.committee
    epochs = border.epochs
    voters = make_epochs(
        [Committee(place.network, border.committee, e.epoch, e.members, e.start) for e in epochs]
    )
    ends_ms = [*(later.since_ms for later in epochs[1:]), border.time_ms]
    oldest_ms = books.time_ms - books.parameters.unbonding_ms
    fresh = tuple(each for each, end_ms in zip(voters, ends_ms, strict=True) if end_ms >= oldest_ms)
    if not fresh:
        raise Refused("stale_border")
    return fresh
