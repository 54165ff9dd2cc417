"""Quorum certificates: enough distinct members, one encoding, nothing changed."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity import cbor, envelope, keys
from identity.certificate import SIGNERS_MAX, Certificate
from identity.envelope import Context
from identity.errors import InvalidBytes, InvalidCertificate, InvalidSignature

NETWORK = hashlib.sha256(b"a network").digest()
CONTEXT = Context(NETWORK, b"committee-id-16B", 7, "checkpoint")
PAYLOAD = cbor.encode({"root": bytes(32), "sequence": 128})
MEMBERS = [keys.PrivateKey(hashlib.sha256(b"member %d" % i).digest()) for i in range(4)]
STRANGER = keys.PrivateKey(bytes(32))
COMMITTEE = frozenset(member.public for member in MEMBERS)
QUORUM = 3
SIZE_MAX = 1 << 16


def sign(members, context=CONTEXT, payload=PAYLOAD) -> Certificate:
    found = {m.public: envelope.sign(m, context, payload).signature for m in members}
    return Certificate.collect(context, payload, found)


def check(data: bytes) -> None:
    Certificate.decode(data, NETWORK, size_max=SIZE_MAX).check(COMMITTEE, QUORUM)


GOOD = sign(MEMBERS[:3])
ENCODED = GOOD.encode()


@pytest.mark.parametrize("signers", [MEMBERS[:3], MEMBERS[1:], MEMBERS, MEMBERS[::-1]])
def test_a_quorum_or_more_is_enough(signers):
    certificate = sign(signers)
    certificate.check(COMMITTEE, QUORUM)
    assert Certificate.decode(certificate.encode(), NETWORK, size_max=SIZE_MAX) == certificate
    check(certificate.encode())


def test_the_order_of_collecting_does_not_matter():
    assert sign(MEMBERS[:3]).encode() == sign(MEMBERS[2::-1]).encode()


def test_statements_come_back_whole():
    assert GOOD.rebuild_statements() == [
        envelope.sign(member, CONTEXT, PAYLOAD)
        for member in sorted(MEMBERS[:3], key=lambda member: member.public)
    ]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_a_quorum_are_refused(count):
    with pytest.raises(InvalidCertificate, match=f"{count} signers, 3 are needed"):
        sign(MEMBERS[:count]).check(COMMITTEE, QUORUM)


def test_one_signer_does_not_count_twice():
    signatures = GOOD.signatures
    doubled = (signatures[0], signatures[1], signatures[1])
    with pytest.raises(InvalidCertificate, match="distinct"):
        replace(GOOD, signatures=doubled).check(COMMITTEE, QUORUM)


def test_signers_in_another_order_are_refused():
    with pytest.raises(InvalidCertificate, match="in order"):
        replace(GOOD, signatures=GOOD.signatures[::-1]).check(COMMITTEE, QUORUM)


def test_a_stranger_spoils_it():
    for signers in ([*MEMBERS[:2], STRANGER], [*MEMBERS, STRANGER]):
        with pytest.raises(InvalidCertificate, match="is no member"):
            sign(signers).check(COMMITTEE, QUORUM)


def test_signatures_of_another_statement_or_place_are_refused():
    later = replace(CONTEXT, epoch=8)
    for other in (sign(MEMBERS[:3], payload=b"x"), sign(MEMBERS[:3], context=later)):
        mixed = replace(GOOD, signatures=(*GOOD.signatures[:2], other.signatures[2]))
        with pytest.raises(InvalidSignature):
            mixed.check(COMMITTEE, QUORUM)


def test_exchanged_signatures_are_refused():
    (a, a_signature), (b, b_signature), third = GOOD.signatures
    with pytest.raises(InvalidSignature):
        replace(GOOD, signatures=((a, b_signature), (b, a_signature), third)).check(
            COMMITTEE, QUORUM
        )


def test_it_proves_nothing_in_another_network():
    other = Certificate.decode(ENCODED, bytes(32), size_max=SIZE_MAX)
    with pytest.raises(InvalidSignature):
        other.check(COMMITTEE, QUORUM)


@given(st.integers(0, len(ENCODED) - 1), st.integers(1, 255))
def test_any_changed_byte_is_refused(position, difference):
    data = bytearray(ENCODED)
    data[position] ^= difference
    with pytest.raises(InvalidBytes):
        check(bytes(data))


@pytest.mark.parametrize("size", range(0, len(ENCODED), 7))
def test_a_cut_certificate_is_refused(size):
    with pytest.raises(InvalidBytes):
        check(ENCODED[:size])


@given(st.binary(max_size=100))
def test_foreign_bytes_are_refused(data):
    with pytest.raises(InvalidBytes):
        check(data)


PAIRS = [list(pair) for pair in GOOD.signatures]
PLACE = [CONTEXT.kind, CONTEXT.committee, CONTEXT.epoch, PAYLOAD]


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        [*PLACE],
        [*PLACE, PAIRS, 0],
        [*PLACE, None],
        [*PLACE, {}],
        [*PLACE, [[]]],
        [*PLACE, [*PAIRS, [b""]]],
        [*PLACE, [*PAIRS, [PAIRS[0][0], None]]],
        [*PLACE, [*PAIRS, [PAIRS[0][0], b"", b""]]],
        [*PLACE, [[signer[:31], signature] for signer, signature in PAIRS]],
        [*PLACE, [[signer + b"x", signature] for signer, signature in PAIRS]],
        [*PLACE, [[signer, signature[:63]] for signer, signature in PAIRS]],
        [*PLACE, [[signer, signature + b"x"] for signer, signature in PAIRS]],
        [CONTEXT.kind, CONTEXT.committee[:15], 7, PAYLOAD, PAIRS],
        [CONTEXT.kind, CONTEXT.committee, True, PAYLOAD, PAIRS],
        [CONTEXT.kind, CONTEXT.committee, -1, PAYLOAD, PAIRS],
        [CONTEXT.kind, CONTEXT.committee, "7", PAYLOAD, PAIRS],
        [b"checkpoint", CONTEXT.committee, 7, PAYLOAD, PAIRS],
        [CONTEXT.kind, CONTEXT.committee, 7, "payload", PAIRS],
    ],
)
def test_other_forms_are_refused(value):
    with pytest.raises(InvalidCertificate):
        Certificate.decode(cbor.encode(value), NETWORK, size_max=SIZE_MAX)


def test_a_signer_of_a_megabyte_is_refused_when_read():
    data = cbor.encode([*PLACE, [[bytes(1 << 20), bytes(64)]]])
    with pytest.raises(InvalidCertificate, match="32-byte signer"):
        Certificate.decode(data, NETWORK, size_max=1 << 21)


def test_the_number_of_signers_is_bounded():
    pairs = [[number.to_bytes(32), bytes(64)] for number in range(SIGNERS_MAX + 1)]
    data = cbor.encode([*PLACE, pairs])
    with pytest.raises(InvalidCertificate, match="at most 256"):
        Certificate.decode(data, NETWORK, size_max=1 << 20)
