"""Signed statements: what is signed, and that nothing can be changed or moved."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity import cbor, envelope, keys
from identity.envelope import Context
from identity.errors import InvalidBytes, InvalidCbor, InvalidSignature
from tests.identity.spelling import head

KEY = keys.PrivateKey(bytes(range(32)))
OTHER = keys.PrivateKey(bytes(range(1, 33)))
NETWORK = hashlib.sha256(b"a network").digest()
COMMITTEE = b"committee-id-16B"
CONTEXT = Context(NETWORK, COMMITTEE, 3, "vote")
PAYLOAD = cbor.encode({"amount": 5, "to": b"x" * 32})
STATEMENT = envelope.sign(KEY, CONTEXT, PAYLOAD)
SIZE_MAX = 4096


def check(data: bytes, network: bytes = NETWORK) -> None:
    envelope.parse(data, size_max=SIZE_MAX).check(network)


def byte_string(data: bytes) -> bytes:
    return head(2, len(data)) + data


def text(value: str) -> bytes:
    return head(3, len(value)) + value.encode()


def sig_structure(protected: bytes, aad: bytes, payload: bytes) -> bytes:
    """RFC 9052 section 4.4: ["Signature1", body_protected, external_aad, payload], by hand."""
    parts = [text("Signature1"), *map(byte_string, (protected, aad, payload))]
    return b"\x84" + b"".join(parts)


def wrap(*cose_parts: bytes, kind="vote", committee=COMMITTEE, epoch=3) -> bytes:
    cose = head(4, len(cose_parts)) + b"".join(cose_parts)
    place = text(kind) + byte_string(committee) + head(0, epoch)
    return b"\x84" + place + byte_string(cose)


PROTECTED = b"\xa2" + b"\x01\x27" + b"\x04" + byte_string(KEY.public)  # {1: -8, 4: kid}
AAD = b"\x86" + text("econode") + b"\x01" + byte_string(NETWORK) + byte_string(COMMITTEE)
AAD += b"\x03" + text("vote")
SIGNATURE = KEY.sign(sig_structure(PROTECTED, AAD, PAYLOAD))


def test_it_is_cose_sign1_built_by_hand():
    parts = (byte_string(PROTECTED), b"\xa0", byte_string(PAYLOAD), byte_string(SIGNATURE))
    assert CONTEXT.encode() == AAD
    assert STATEMENT.signature == SIGNATURE
    assert STATEMENT.data == wrap(*parts)


@given(st.text(max_size=20), st.binary(min_size=16, max_size=16), st.integers(0, 2**63 - 1))
def test_a_statement_comes_back(kind, committee, epoch):
    statement = envelope.sign(KEY, Context(NETWORK, committee, epoch, kind), PAYLOAD)
    assert envelope.parse(statement.data, size_max=SIZE_MAX) == statement
    assert len(statement.data) <= len(PAYLOAD) + 4 * len(kind) + envelope.STATEMENT_OVERHEAD_BYTES
    statement.check(NETWORK)


@given(st.binary(max_size=300))
def test_any_payload_is_signed_as_it_is(payload):
    check(envelope.sign(KEY, CONTEXT, payload).data)


def test_rebuilding_from_parts_gives_the_same_bytes():
    rebuilt = envelope.rebuild(CONTEXT, KEY.public, PAYLOAD, STATEMENT.signature)
    assert rebuilt == STATEMENT


@pytest.mark.parametrize(
    "change",
    [
        {"network": hashlib.sha256(b"another").digest()},
        {"network": NETWORK[:-1]},
        {"committee": b"another-committe"},
        {"epoch": 4},
        {"epoch": 2},
        {"kind": "votf"},
        {"kind": ""},
    ],
)
def test_it_does_not_replay_in_another_place(change):
    other = replace(CONTEXT, **change)
    moved = envelope.rebuild(other, KEY.public, PAYLOAD, STATEMENT.signature)
    with pytest.raises(InvalidSignature):
        check(moved.data, other.network)


@pytest.mark.parametrize(("name", "value"), [("DOMAIN", "econodf"), ("MAJOR", 2)])
def test_domain_and_major_version_are_signed(monkeypatch, name, value):
    check(STATEMENT.data)
    monkeypatch.setattr(envelope, name, value)
    with pytest.raises(InvalidSignature):
        check(STATEMENT.data)


def test_another_signer_is_refused():
    swapped = envelope.rebuild(CONTEXT, OTHER.public, PAYLOAD, STATEMENT.signature)
    with pytest.raises(InvalidSignature):
        check(swapped.data)


def test_two_signers_signatures_are_not_exchangeable():
    other = envelope.sign(OTHER, CONTEXT, PAYLOAD)
    with pytest.raises(InvalidSignature):
        check(STATEMENT.data.replace(STATEMENT.signature, other.signature))
    assert STATEMENT.data != other.data


@given(st.integers(0, len(STATEMENT.data) - 1), st.integers(1, 255))
def test_any_changed_byte_is_refused(position, difference):
    data = bytearray(STATEMENT.data)
    data[position] ^= difference
    with pytest.raises(InvalidBytes):
        check(bytes(data))


@pytest.mark.parametrize("position", range(len(STATEMENT.data)))
def test_a_cut_statement_is_refused(position):
    with pytest.raises(InvalidBytes):
        check(STATEMENT.data[:position])


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused(data):
    with pytest.raises(InvalidBytes):
        check(data)


KID = b"\x04" + byte_string(KEY.public)
HEADERS = {
    "empty": b"",
    "empty map": b"\xa0",
    "no kid": b"\xa1\x01\x27",
    "no algorithm": b"\xa1" + KID,
    "ES256": b"\xa2\x01\x26" + KID,
    "Ed25519 by its newer number": b"\xa2\x01\x32" + KID,
    "algorithm as text": b"\xa2\x01" + text("EdDSA") + KID,
    "kid first": b"\xa2" + KID + b"\x01\x27",
    "short kid": b"\xa2\x01\x27\x04" + byte_string(KEY.public[:31]),
    "long kid": b"\xa2\x01\x27\x04" + byte_string(KEY.public + b"\0"),
    "critical header": b"\xa3\x01\x27\x02\x81\x01" + KID,
    "one more header": b"\xa3\x01\x27" + KID + b"\x05\x40",
    "long-form algorithm": b"\xa2\x01\x38\x07" + KID,
    "bytes after": PROTECTED + b"\0",
}


@pytest.mark.parametrize("name", HEADERS)
def test_other_protected_headers_are_refused(name):
    """Each is signed well by its header, so that only its form can be the reason."""
    header = HEADERS[name]
    signature = KEY.sign(sig_structure(header, AAD, PAYLOAD))
    with pytest.raises(InvalidSignature, match="protected header"):
        check(wrap(byte_string(header), b"\xa0", byte_string(PAYLOAD), byte_string(signature)))


COSE = {
    "kid unprotected": (byte_string(PROTECTED), b"\xa1\x61k\x40", byte_string(PAYLOAD)),
    "null instead of headers": (byte_string(PROTECTED), b"\xf6", byte_string(PAYLOAD)),
    "array instead of headers": (byte_string(PROTECTED), b"\x80", byte_string(PAYLOAD)),
    "detached payload": (byte_string(PROTECTED), b"\xa0", b"\xf6"),
    "payload as text": (byte_string(PROTECTED), b"\xa0", text("hello")),
    "header not in bytes": (b"\xa0", b"\xa0", byte_string(PAYLOAD)),
    "no payload": (byte_string(PROTECTED), b"\xa0"),
    "one part more": (byte_string(PROTECTED), b"\xa0", byte_string(PAYLOAD), b"\xa0"),
}


@pytest.mark.parametrize("name", COSE)
def test_other_forms_of_cose_are_refused(name):
    with pytest.raises(InvalidSignature):
        check(wrap(*COSE[name], byte_string(SIGNATURE)))


@pytest.mark.parametrize("size", [0, 63, 65, 128])
def test_signatures_of_another_size_are_refused(size):
    parts = (byte_string(PROTECTED), b"\xa0", byte_string(PAYLOAD), byte_string(bytes(size)))
    with pytest.raises(InvalidSignature, match="64 bytes"):
        check(wrap(*parts))


@pytest.mark.parametrize(
    "outer",
    [
        b"",
        b"\xa0",
        b"\x80",
        cbor.encode(["vote", COMMITTEE, 3]),
        cbor.encode(["vote", COMMITTEE, 3, b"", b""]),
        cbor.encode([b"vote", COMMITTEE, 3, b""]),
        cbor.encode(["vote", COMMITTEE.decode(), 3, b""]),
        cbor.encode(["vote", COMMITTEE[:15], 3, b""]),
        cbor.encode(["vote", COMMITTEE + b"x", 3, b""]),
        cbor.encode(["vote", COMMITTEE, -1, b""]),
        cbor.encode(["vote", COMMITTEE, True, b""]),
        cbor.encode(["vote", COMMITTEE, False, b""]),
        cbor.encode(["vote", COMMITTEE, None, b""]),
        b"\xd2" + STATEMENT.data,
    ],
)
def test_other_outer_forms_are_refused(outer):
    with pytest.raises(InvalidCbor):
        envelope.parse(outer, size_max=SIZE_MAX)


def test_true_is_not_the_epoch_1():
    """In Python True == 1: a statement for epoch 1 must not be found in a second spelling."""
    statement = envelope.sign(KEY, replace(CONTEXT, epoch=1), PAYLOAD)
    place = text("vote") + byte_string(COMMITTEE)
    second = statement.data.replace(place + b"\x01", place + b"\xf5")
    assert second != statement.data
    with pytest.raises(InvalidCbor):
        check(second)


def test_size_is_bounded():
    check(STATEMENT.data)
    with pytest.raises(InvalidCbor):
        envelope.parse(STATEMENT.data, size_max=len(STATEMENT.data) - 1)


@given(st.data())
def test_the_short_road_takes_nothing_that_the_long_one_refuses(data):
    """`_parse_usual` gives what `_parse_any` gives, or leaves the bytes to it."""
    kind = data.draw(st.text(max_size=30))
    place = Context(b"n" * 32, b"c" * 16, data.draw(st.integers(0, 1 << 65)), kind)
    payload = data.draw(st.binary(max_size=300))
    whole = bytearray(envelope.rebuild(place, b"k" * 32, payload, b"s" * 64).data)
    for _ in range(data.draw(st.integers(0, 3))):
        position = data.draw(st.integers(0, len(whole) - 1))
        match data.draw(st.sampled_from(["change", "insert", "delete", "cut"])):
            case "change":
                whole[position] = data.draw(st.integers(0, 255))
            case "insert":
                whole.insert(position, data.draw(st.integers(0, 255)))
            case "delete":
                del whole[position]
            case "cut":
                del whole[position + 1 :]
        if not whole:
            return
    try:
        expected = envelope._parse_any(bytes(whole), 4096)
    except InvalidBytes:
        expected = None
    assert envelope._parse_usual(bytes(whole)) in (None, expected)


@pytest.mark.parametrize("size", [0, 23, 24, 255, 256, 65_535, 65_536])
@pytest.mark.parametrize("epoch", [0, 23, 24, 1 << 16, (1 << 63) - 1])
def test_every_honest_statement_takes_the_short_road(size, epoch):
    place = Context(b"n" * 32, b"c" * 16, epoch, "k" * 30)
    statement = envelope.sign(KEY, place, bytes(size))
    assert envelope._parse_usual(statement.data) == statement
    assert envelope._parse_any(statement.data, 1 << 20) == statement
