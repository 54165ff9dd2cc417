"""Evidence that anyone can check from its bytes, and what is none."""

import hashlib

import pytest

from identity import envelope, schema
from identity.envelope import Context
from identity.errors import InvalidBytes
from identity.keys import PrivateKey
from protocols.messages import (
    COMMIT_KIND,
    NEW_VIEW_KIND,
    PREPARE_KIND,
    VIEW_CHANGE_KIND,
    VOTE_TYPES,
    Checkpoint,
    Commit,
    NewView,
    Prepare,
    PreparedProof,
    PrePrepare,
    ViewChange,
    Votes,
)
from protocols.pbft.evidence import check_equivocation
from tests.pbft.world import COMMITTEE, NETWORK, World, make_keys

KEYS = make_keys(4)
KINDS = {**VOTE_TYPES, VIEW_CHANGE_KIND: ViewChange, NEW_VIEW_KIND: NewView}
ONE, OTHER = (hashlib.sha256(text).digest() for text in (b"one", b"other"))


def sign(key: PrivateKey, kind: str, payload: object, *, network: bytes = NETWORK) -> bytes:
    place = Context(network, COMMITTEE, 0, kind)
    return envelope.sign(key, place, schema.encode(payload)).data


def make(kind: str, digest: bytes, *, seq: int = 5, clock_ms: int = 1) -> object:
    match KINDS[kind]:
        case cls if cls is ViewChange:
            return cls(seq, 0, digest, ())
        case cls if cls is NewView:
            return cls(seq, (digest,), ())
        case cls if cls in (PrePrepare, Prepare):
            return cls(0, seq, digest)
        case cls if cls is Commit:
            return cls(0, seq, digest, clock_ms)
        case cls if cls is Checkpoint:
            return cls(seq, digest, ONE)
        case cls:
            return cls(COMMITTEE, seq, digest)


@pytest.mark.parametrize("kind", KINDS)
def test_two_digests_in_one_slot_convict_their_signer_once(kind: str) -> None:
    committee = World(4).committee
    first, second = (sign(KEYS[1], kind, make(kind, digest)) for digest in (ONE, OTHER))
    offence = check_equivocation(committee, first, second)
    assert offence.offender == KEYS[1].public
    assert check_equivocation(committee, second, first) == offence
    for frivolous in (
        (first, first),
        (first, sign(KEYS[2], kind, make(kind, OTHER))),
        (first, sign(KEYS[1], kind, make(kind, OTHER, seq=6))),
        (first, sign(KEYS[1], kind, make(kind, OTHER), network=bytes(32))),
        (first, second[:-1] + bytes([second[-1] ^ 1])),
        (first, second.replace(KEYS[1].public, KEYS[2].public)),
        (first, b""),
    ):
        with pytest.raises(InvalidBytes):
            check_equivocation(committee, *frivolous)


def test_statements_too_large_for_an_operation_are_no_evidence() -> None:
    prepared = tuple(
        PreparedProof(view=0, seq=seq, digest=ONE, pre_prepare=bytes(900), prepares=())
        for seq in range(1, 60)
    )
    votes = [
        sign(KEYS[1], VIEW_CHANGE_KIND, ViewChange(1, 0, digest, prepared))
        for digest in (ONE, OTHER)
    ]
    with pytest.raises(InvalidBytes):
        check_equivocation(World(4).committee, *votes)


def test_two_clock_readings_are_no_offence() -> None:
    votes = [sign(KEYS[1], COMMIT_KIND, make(COMMIT_KIND, ONE, clock_ms=ms)) for ms in (1, 2)]
    with pytest.raises(InvalidBytes):
        check_equivocation(World(4).committee, *votes)


def test_a_stranger_can_offend_nobody() -> None:
    key = PrivateKey(bytes(32))
    votes = [sign(key, PREPARE_KIND, make(PREPARE_KIND, digest)) for digest in (ONE, OTHER)]
    with pytest.raises(InvalidBytes):
        check_equivocation(World(4).committee, *votes)


def test_a_member_that_hears_both_votes_has_the_evidence() -> None:
    world = World(4)
    world.settle()
    votes = [sign(KEYS[2], PREPARE_KIND, make(PREPARE_KIND, digest)) for digest in (ONE, OTHER)]
    for vote in votes:
        frame = schema.encode(Votes(committee=COMMITTEE, statements=(vote,)))
        world.deliver(KEYS[2].public, world.nodes[0], frame)
    (evidence,) = world.evidence
    found = check_equivocation(world.committee, evidence.first.data, evidence.second.data)
    assert found.offender == KEYS[2].public
