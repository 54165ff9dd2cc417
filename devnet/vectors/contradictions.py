"""Vectors of fork proofs and evidence: what convicts somebody, and what does not."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from crdt import log
from crdt.heads import ForkProof
from devnet.vectors.draft import Draft, make_file
from devnet.vectors.form import Layer, VectorFile
from devnet.vectors.places import (
    CLIENT,
    COMMITTEE,
    EPOCH,
    MEMBERS,
    OTHER_COMMITTEE,
    OTHER_NETWORK,
    STRANGER,
    Seal,
    digest,
)
from devnet.vectors.proofs import KNOWN, certify, list_spellings, prove
from identity import cbor, schema
from identity.keys import PrivateKey
from protocols.messages import Commit, Prepare


def make_files() -> Iterator[VectorFile]:
    about = "Fork proofs: two proven heads of one author at one position."
    yield make_file("fork-proof", "fork", about, KNOWN, _list_forks())
    about = "Evidence: two statements, or two certificates, that contradict each other."
    yield make_file("evidence", "evidence", about, KNOWN, _list_evidence())


def _heads(position: int = 7) -> tuple[bytes, bytes]:
    """Two contradicting heads of a peer."""
    one, other = (
        log.append(CLIENT.public, position, digest("before"), 0, [item]) for item in (b"1", b"2")
    )
    return prove(one), prove(other)


def _certified_heads(**changes: Any) -> tuple[bytes, bytes]:
    one, other = (schema.encode(log.Head(COMMITTEE, 41, digest(text))) for text in ("one", "other"))
    return (
        certify(MEMBERS[:3], one, **changes).encode(),
        certify(MEMBERS[1:], other, **changes).encode(),
    )


def _list_forks() -> Iterator[Draft]:
    def draft(
        flag: str, comment: str, author: bytes, pair: Sequence[bytes], layer: Layer | None = None
    ) -> Draft:
        value = [author, list(pair)]
        data = cbor.encode(value)
        return Draft(flag, comment, data, layer, value, data)

    me, (one, other) = CLIENT.public, sorted(_heads())
    ours = sorted(_certified_heads())
    yield draft("Valid", "of a peer", me, (one, other))
    yield draft("Valid", "of a committee", COMMITTEE, ours)
    yield draft("Valid", "at position 0", me, ForkProof.make(me, 0, *_heads(0)).proofs)
    yield draft("SameTwice", "one head twice", me, (one, one), "cose")
    yield draft("SameTwice", "one certificate twice", COMMITTEE, (ours[0], ours[0]), "cose")
    same = sorted((certify(MEMBERS[:3]).encode(), certify(MEMBERS[1:]).encode()))
    yield draft("NoContradiction", "two certificates of one head", COMMITTEE, same, "cose")
    apart = sorted((_heads(7)[0], _heads(8)[1]))
    yield draft("WrongPosition", "heads at two positions", me, apart, "cose")
    yield draft("UnorderedSigners", "the proofs in descending order", me, (other, one), "cose")
    yield draft("WrongSubject", "another author", STRANGER.public, (one, other), "cose")
    yield draft(
        "WrongSubject", "a committee, with a peer's heads", COMMITTEE, (one, other), "semantics"
    )
    yield draft("WrongSubject", "a committee that is not known", OTHER_COMMITTEE, ours, "semantics")
    entry = log.append(me, 7, digest("before"), 0, [b"3"])
    for flag, words, proof in (
        ("WrongNetwork", "one head of another network", prove(entry, network=OTHER_NETWORK)),
        ("SwappedSigner", "one head signed by another", prove(entry, STRANGER)),
        (
            "BadSignatureInside",
            "one head with zeros for its signature",
            prove(entry, signature=bytes(64)),
        ),
    ):
        yield draft(flag, words, me, sorted((one, proof)), "cose")
    few = sorted(
        (
            ours[0],
            certify(MEMBERS[:2], schema.encode(log.Head(COMMITTEE, 41, digest("x")))).encode(),
        )
    )
    yield draft("TooFewSigners", "one certificate of two", COMMITTEE, few, "semantics")
    epochs = sorted((ours[0], _certified_heads(epoch=EPOCH + 1)[1]))
    yield draft("WrongEpoch", "one certificate of another epoch", COMMITTEE, epochs, "semantics")
    for words, value in (
        ("one proof alone", [me, [one]]),
        ("a map", {"author": me}),
        ("an author of 20 bytes", [bytes(20), [one, other]]),
    ):
        data = cbor.encode(value)
        yield Draft("OtherForm", words, data, "cose", value, data)
    yield from list_spellings([me, [one, other]])


def _vote(kind: str, payload: Any, key: PrivateKey = MEMBERS[1], **changes: Any) -> bytes:
    seal = Seal(key, schema.encode(payload), kind, epoch=EPOCH)
    return replace(seal, **changes).encode()


BATCHES = digest("batch one"), digest("batch other")
PREPARES = tuple(_vote("prepare", Prepare(1, 50, each)) for each in BATCHES)
COMMITS = tuple(_vote("commit", Commit(1, 50, each, 5)) for each in BATCHES)


def _draft_evidence(
    flag: str,
    comment: str,
    kind: Any,
    subject: bytes,
    pair: Sequence[bytes],
    layer: Layer | None = None,
) -> Draft:
    value = {"kind": kind, "subject": subject, "first": pair[0], "second": pair[1]}
    data = cbor.encode(value)
    return Draft(flag, comment, data, layer, value, data)


def _list_evidence() -> Iterator[Draft]:
    one, other = BATCHES
    yield _draft_evidence("Valid", "two prepares", "votes", COMMITTEE, PREPARES)
    yield _draft_evidence("Valid", "two commits", "votes", COMMITTEE, COMMITS)
    yield _draft_evidence("Valid", "two heads of a peer's log", "log", CLIENT.public, _heads())
    yield _draft_evidence("Valid", "two certificates", "committee", COMMITTEE, _certified_heads())
    yield _draft_evidence(
        "SameTwice", "one prepare twice", "votes", COMMITTEE, (PREPARES[0],) * 2, "schema"
    )
    yield _draft_evidence(
        "SameTwice", "one head twice", "log", CLIENT.public, (_heads()[0],) * 2, "schema"
    )
    yield _draft_evidence(
        "SameTwice",
        "one certificate twice",
        "committee",
        COMMITTEE,
        (_certified_heads()[0],) * 2,
        "schema",
    )
    for words, second in (
        ("two commits that differ in their clocks", _vote("commit", Commit(1, 50, one, 6))),
        ("commits of two positions", _vote("commit", Commit(1, 51, other, 5))),
        ("commits of two views", _vote("commit", Commit(2, 50, other, 5))),
        ("a commit and a prepare", PREPARES[1]),
    ):
        yield _draft_evidence(
            "NoContradiction", words, "votes", COMMITTEE, (COMMITS[0], second), "schema"
        )
    again = certify(MEMBERS[1:]).encode()
    yield _draft_evidence(
        "NoContradiction",
        "two certificates of one head",
        "committee",
        COMMITTEE,
        (certify(MEMBERS[:3]).encode(), again),
        "schema",
    )
    yield from _misplace_evidence()
    yield from _misname_evidence()


def _misplace_evidence() -> Iterator[Draft]:
    """Votes of two signers, of strangers, of other places."""
    one, other = BATCHES
    theirs = _vote("prepare", Prepare(1, 50, other), MEMBERS[2])
    yield _draft_evidence(
        "SwappedSigner",
        "prepares of two members",
        "votes",
        COMMITTEE,
        (PREPARES[0], theirs),
        "schema",
    )
    strange = [_vote("prepare", Prepare(1, 50, each), STRANGER) for each in (one, other)]
    yield _draft_evidence(
        "NotAMember", "two prepares of a stranger", "votes", COMMITTEE, strange, "schema"
    )
    moved = _vote("prepare", Prepare(1, 50, other), epoch=EPOCH + 1)
    yield _draft_evidence(
        "WrongEpoch", "prepares of two epochs", "votes", COMMITTEE, (PREPARES[0], moved), "schema"
    )
    both = [_vote("prepare", Prepare(1, 50, each), epoch=EPOCH + 1) for each in (one, other)]
    yield _draft_evidence(
        "WrongEpoch",
        "of an epoch whose members are not known",
        "votes",
        COMMITTEE,
        both,
        "semantics",
    )
    elsewhere = [
        _vote("prepare", Prepare(1, 50, each), committee=OTHER_COMMITTEE) for each in (one, other)
    ]
    yield _draft_evidence(
        "WrongCommittee", "prepares of another committee", "votes", COMMITTEE, elsewhere, "schema"
    )
    abroad = [
        _vote("prepare", Prepare(1, 50, each), network=OTHER_NETWORK) for each in (one, other)
    ]
    yield _draft_evidence(
        "WrongNetwork", "prepares of another network", "votes", COMMITTEE, abroad, "cose"
    )
    zeros = _vote("prepare", Prepare(1, 50, other), signature=bytes(64))
    yield _draft_evidence(
        "BadSignatureInside",
        "one signature of zeros",
        "votes",
        COMMITTEE,
        (PREPARES[0], zeros),
        "cose",
    )


def _misname_evidence() -> Iterator[Draft]:
    """Evidence of another kind, or against somebody else, than its statements are."""
    yield _draft_evidence(
        "WrongSubject", "a peer, for two prepares", "votes", CLIENT.public, PREPARES, "schema"
    )
    yield _draft_evidence(
        "WrongSubject", "another peer, for two heads", "log", STRANGER.public, _heads(), "schema"
    )
    yield _draft_evidence(
        "WrongType", "two heads of a peer as votes", "votes", COMMITTEE, _heads(), "schema"
    )
    yield _draft_evidence(
        "WrongType", "two prepares as a log", "log", CLIENT.public, PREPARES, "schema"
    )
    yield _draft_evidence(
        "UnknownType", "a kind that nobody knows", "gossip", COMMITTEE, PREPARES, "schema"
    )
    yield _draft_evidence(
        "WrongPosition",
        "heads at two positions",
        "log",
        CLIENT.public,
        (_heads()[0], _heads(8)[1]),
        "schema",
    )
    value = {"kind": "votes", "subject": COMMITTEE, "first": PREPARES[0], "second": PREPARES[1]}
    yield from list_spellings(value)
