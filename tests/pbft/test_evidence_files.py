"""Evidence as it is told and filed: each kind is checked from its bytes alone."""

import dataclasses
import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt import log
from crdt.heads import sign_head
from identity import envelope, schema
from identity.certificate import Certificate
from identity.envelope import Context
from identity.errors import InvalidBytes
from identity.keys import PrivateKey
from protocols import evidence
from protocols.committee import Committee
from protocols.evidence import Evidence, UnknownMembers
from protocols.messages import PREPARE_KIND, Prepare

NETWORK = hashlib.sha256(b"network").digest()
KEYS = sorted((PrivateKey(bytes([n]) * 32) for n in range(1, 5)), key=lambda key: key.public)
COMMITTEE = Committee(NETWORK, bytes(range(16)), 2, tuple(key.public for key in KEYS), 10)
ONE, OTHER = (hashlib.sha256(text).digest() for text in (b"one", b"other"))


def find(committee: bytes, epoch: int) -> Committee | None:
    return COMMITTEE if (committee, epoch) == (COMMITTEE.id, COMMITTEE.epoch) else None


def make_votes(key: PrivateKey = KEYS[1], *, seq: int = 12) -> Evidence:
    place = Context(NETWORK, COMMITTEE.id, COMMITTEE.epoch, PREPARE_KIND)
    votes = [
        envelope.sign(key, place, schema.encode(Prepare(0, seq, digest))).data
        for digest in (ONE, OTHER)
    ]
    return Evidence("votes", COMMITTEE.id, *votes)


def make_log(key: PrivateKey = KEYS[0]) -> Evidence:
    heads = [
        sign_head(key, NETWORK, log.append(key.public, 3, ONE, 1_000, [item]).header)
        for item in (b"one", b"other")
    ]
    return Evidence("log", key.public, *heads)


def certify(digest: bytes, *, position: int = 12, signers: int = 3, first: int = 0) -> bytes:
    place = Context(NETWORK, COMMITTEE.id, COMMITTEE.epoch, log.HEAD_KIND)
    payload = schema.encode(log.Head(COMMITTEE.id, position, digest))
    chosen = KEYS[first : first + signers]
    signed = {key.public: envelope.sign(key, place, payload).signature for key in chosen}
    return Certificate.collect(place, payload, signed).encode()


def make_fork(**options: int) -> Evidence:
    return Evidence("committee", COMMITTEE.id, certify(ONE, **options), certify(OTHER, first=1))


ALL = [make_votes(), make_log(), make_fork()]


@pytest.mark.parametrize("told", ALL, ids=lambda told: told.kind)
def test_each_kind_convicts_and_has_one_id(told: Evidence) -> None:
    claim = evidence.check(told, NETWORK, find)
    swapped = msgspec.structs.replace(told, first=told.second, second=told.first)
    assert evidence.check(swapped, NETWORK, find) == claim
    assert (
        claim.offender
        == {
            "votes": KEYS[1].public,
            "log": KEYS[0].public,
            "committee": COMMITTEE.id,
        }[told.kind]
    )
    assert claim.position == {"votes": 12, "log": 3, "committee": 12}[told.kind]


def test_ids_differ_by_offender_and_slot() -> None:
    told = [*ALL, make_votes(KEYS[2]), make_votes(seq=13), make_log(KEYS[2])]
    assert len({evidence.read_claim(each, NETWORK).id for each in told}) == len(told)
    assert evidence.read_claim(ALL[0], NETWORK).id != evidence.read_claim(ALL[0], ONE).id


@pytest.mark.parametrize("told", ALL, ids=lambda told: told.kind)
def test_frivolous_evidence_is_refused(told: Evidence) -> None:
    change = msgspec.structs.replace
    others = {each.kind: each for each in ALL if each.kind != told.kind}
    for frivolous in (
        change(told, second=told.first),
        change(told, second=told.second[:-1] + bytes([told.second[-1] ^ 1])),
        change(told, second=told.second[:-1]),
        change(told, second=b"\x00"),
        change(told, subject=bytes(len(told.subject))),
        *(change(told, kind=kind) for kind in others),
        *(change(told, second=other.second) for other in others.values()),
    ):
        with pytest.raises(InvalidBytes):
            evidence.check(frivolous, NETWORK, find)
    with pytest.raises(InvalidBytes):
        evidence.check(told, ONE, lambda *_: dataclasses.replace(COMMITTEE, network=ONE))


def test_strangers_and_too_few_signers_convict_nobody() -> None:
    with pytest.raises(InvalidBytes):
        evidence.check(make_votes(PrivateKey(bytes(32))), NETWORK, find)
    with pytest.raises(InvalidBytes):
        evidence.check(make_fork(signers=2), NETWORK, find)
    with pytest.raises(InvalidBytes):
        evidence.check(
            Evidence("committee", COMMITTEE.id, certify(ONE, position=11), certify(OTHER)),
            NETWORK,
            find,
        )


def test_unknown_members_are_said_apart() -> None:
    for told in (make_votes(), make_fork()):
        with pytest.raises(UnknownMembers) as unknown:
            evidence.check(told, NETWORK, lambda *_: None)
        assert unknown.value.claim.epoch == COMMITTEE.epoch
    evidence.check(make_log(), NETWORK, lambda *_: None)  # a peer's log needs no members


def test_two_certificates_convict_those_who_signed_both() -> None:
    found = evidence.list_double_signers(make_fork(), NETWORK)
    claims = [evidence.check(each, NETWORK, find) for each in found]
    assert [claim.offender for claim in claims] == [key.public for key in KEYS[1:3]]


@pytest.mark.parametrize("told", ALL, ids=lambda told: told.kind)
def test_files_keep_the_evidence_and_name_the_network(told: Evidence) -> None:
    data = evidence.encode_file(told, NETWORK)
    assert evidence.check_network(evidence.decode_file(data), NETWORK) == told
    with pytest.raises(InvalidBytes, match="another network"):
        evidence.check_network(evidence.decode_file(data), ONE)


@given(st.data())
def test_a_flipped_bit_of_a_file_convicts_nobody(data: st.DataObject) -> None:
    told = data.draw(st.sampled_from(ALL))
    spoilt = bytearray(evidence.encode_file(told, NETWORK))
    at = data.draw(st.integers(0, len(spoilt) - 1))
    spoilt[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        file = evidence.decode_file(bytes(spoilt))
        evidence.check(evidence.check_network(file, NETWORK), NETWORK, find)
    except InvalidBytes:
        return
    raise AssertionError(f"still convicts with byte {at} changed")
