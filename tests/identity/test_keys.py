"""Keys: RFC 8032's vectors, what the verifier refuses, PeerIds and key files."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from libp2p.crypto.ed25519 import Ed25519PublicKey
from libp2p.peer.id import ID

from identity import keys
from identity.errors import InvalidKey, InvalidSignature

# RFC 8032 section 7.1: (seed, public key, message, signature).
RFC8032 = {
    "1": (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        b"",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    "2": (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        bytes.fromhex("72"),
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    "3": (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        bytes.fromhex("af82"),
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
    "SHA(abc)": (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").digest(),
        (
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
            "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"
        ),
    ),
}

ORDER = 2**252 + 27742317777372353535851937790883648493  # L of RFC 8032 section 5.1
# The points of order 1, 2, 4 and 8, canonical encodings.
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]
KEY = keys.PrivateKey(bytes(range(32)))
seeds = st.binary(min_size=32, max_size=32)


@pytest.mark.parametrize("name", RFC8032)
def test_rfc_8032_vector(name):
    seed, public, message, signature = RFC8032[name]
    key = keys.PrivateKey(bytes.fromhex(seed))
    assert key.public.hex() == public
    assert key.sign(message).hex() == signature
    keys.verify(key.public, message, bytes.fromhex(signature))


@given(seeds, st.binary(max_size=1023))
def test_equals_an_independent_implementation(seed, message):
    other = Ed25519PrivateKey.from_private_bytes(seed)
    key = keys.PrivateKey(seed)
    assert key.public == other.public_key().public_bytes_raw()
    assert key.sign(message) == other.sign(message)


@given(st.binary(max_size=64), st.integers(0, 511))
def test_a_flipped_bit_of_a_signature_is_refused(message, bit):
    signature = bytearray(KEY.sign(message))
    signature[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InvalidSignature):
        keys.verify(KEY.public, message, bytes(signature))


def test_a_signature_fits_one_key_and_message_only():
    signature = KEY.sign(b"a")
    for public, message in [(KEY.public, b"b"), (keys.PrivateKey.generate().public, b"a")]:
        with pytest.raises(InvalidSignature):
            keys.verify(public, message, signature)


@pytest.mark.parametrize("multiple", [1, 2, 7])
def test_s_plus_a_multiple_of_l_is_refused(multiple):
    signature = KEY.sign(b"m")
    s = int.from_bytes(signature[32:], "little") + multiple * ORDER
    with pytest.raises(InvalidSignature):
        keys.verify(KEY.public, b"m", signature[:32] + s.to_bytes(32, "little"))


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_small_order_keys_are_refused(point):
    """For such a key R = the key, S = 0 fits every message (or every eighth)."""
    public = bytes.fromhex(point)
    with pytest.raises(InvalidKey):
        keys.check_public_key(public)
    identity = bytes.fromhex(SMALL_ORDER[0])
    for number in range(16):
        for r in (public, identity):
            with pytest.raises(InvalidSignature):
                keys.verify(public, b"%d" % number, r + bytes(32))


def test_public_keys_that_are_no_point_are_refused():
    keys.check_public_key(KEY.public)
    # 2 is no y of the curve; p + 3 is a second spelling of 3; all ones is beyond p.
    p_plus_3 = (2**255 - 19 + 3).to_bytes(32, "little")
    for public in (b"\2" + bytes(31), p_plus_3, b"\xff" * 32, b"", KEY.public[:31]):
        with pytest.raises(InvalidKey):
            keys.check_public_key(public)


@pytest.mark.parametrize(
    ("public_bytes", "signature_bytes"), [(31, 64), (33, 64), (32, 63), (0, 0)]
)
def test_wrong_lengths_are_refused(public_bytes, signature_bytes):
    with pytest.raises(InvalidSignature):
        keys.verify(bytes(public_bytes), b"", bytes(signature_bytes))


def test_the_seed_is_never_shown():
    assert KEY.seed.hex() not in repr(KEY)
    assert repr(KEY.seed) not in repr(KEY)
    with pytest.raises(InvalidKey, match="32 bytes"):
        keys.PrivateKey(bytes(31))


@given(st.binary(min_size=32, max_size=32))
def test_peer_id_is_libp2ps_and_comes_back(public):
    text = keys.compute_peer_id(public)
    assert keys.parse_peer_id(text) == public
    assert text.startswith("12D3Koo")


@given(seeds)
def test_peer_id_equals_the_librarys(seed):
    public = keys.PrivateKey(seed).public
    assert keys.compute_peer_id(public) == str(ID.from_pubkey(Ed25519PublicKey.from_bytes(public)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "12D3KooW",
        "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
        keys.compute_peer_id(KEY.public) + "1",
        "1" + keys.compute_peer_id(KEY.public),
        keys.compute_peer_id(KEY.public)[:-1] + "0",
        keys.compute_peer_id(KEY.public) + " ",
        "z" * 64,
        "z" * 1_000_000,
        "1" * 64,
        "12D3Koo\N{CYRILLIC SMALL LETTER A}",
    ],
)
def test_other_texts_are_no_peer_id(text):
    with pytest.raises(InvalidKey) as error:
        keys.parse_peer_id(text)
    assert len(str(error.value)) < 200


def test_peer_id_of_a_megabyte_is_refused_at_once():
    with pytest.raises(InvalidKey):
        keys.compute_peer_id(bytes(1 << 20))


def test_plain_key_file_comes_back():
    text = keys.dump_private_key(KEY)
    assert not keys.is_sealed(text)
    assert keys.load_private_key(text) == KEY
    assert keys.load_private_key(text.replace("\n", "\r\n")) == KEY
    assert keys.load_private_key(text, "a pass phrase too many") == KEY


SEALED = keys.dump_private_key(KEY, "correct horse")


@pytest.mark.parametrize("passphrase", ["correct horse", "\N{SNOWMAN}", "", "\udcff not UTF-8"])
def test_sealed_key_file_comes_back(passphrase):
    text = keys.dump_private_key(KEY, passphrase)
    assert keys.is_sealed(text)
    assert base64.b64encode(KEY.seed).decode()[:20] not in text
    assert keys.load_private_key(text, passphrase) == KEY


def test_sealed_key_file_needs_its_pass_phrase():
    with pytest.raises(InvalidKey, match="ECONODE_PASSPHRASE"):
        keys.load_private_key(SEALED)
    with pytest.raises(InvalidKey, match="does not open"):
        keys.load_private_key(SEALED, "correct horsf")
    assert keys.dump_private_key(KEY, "correct horse") != SEALED  # a salt and nonce of its own


@settings(max_examples=12)
@given(st.integers(0, 107))
def test_a_damaged_sealed_key_file_is_refused(position):
    """Any byte: salt, nonce, box, tag or the public key beside it."""
    lines = SEALED.splitlines()
    data = bytearray(base64.b64decode("".join(lines[1:-1])))
    assert len(data) == 16 + 12 + 32 + 16 + 32
    data[position] ^= 1
    body = base64.b64encode(data).decode()
    with pytest.raises(InvalidKey, match="does not open"):
        keys.load_private_key("\n".join([lines[0], body, lines[-1]]), "correct horse")


@pytest.mark.parametrize("size", [0, 5, 31, 33, 60, 107])
def test_a_sealed_key_file_of_another_size_is_refused(size):
    lines = SEALED.splitlines()
    body = base64.b64encode(bytes(size)).decode()
    with pytest.raises(InvalidKey):
        keys.load_private_key("\n".join([lines[0], body, lines[-1]]), "x")


def _plain(body: str) -> str:
    lines = keys.dump_private_key(KEY).splitlines()
    return "\n".join([lines[0], body, lines[-1]])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a key file"),
        ("hello\nthere\nyou", "not a key file"),
        (keys.dump_private_key(KEY).splitlines()[0], "cut off"),
        ("\n".join(keys.dump_private_key(KEY).splitlines()[:2]), "cut off"),
        (SEALED[:-10], "cut off"),
        (_plain("!" * 44), "not base64"),
        (_plain("\N{SNOWMAN}"), "not base64"),
        (_plain(base64.b64encode(bytes(31)).decode()), "32 bytes"),
        (_plain(""), "32 bytes"),
        (keys.dump_private_key(KEY).replace("ECONODE ED25519", "OPENSSH"), "unknown kind"),
    ],
)
def test_a_broken_key_file_says_what_is_wrong(text, reason):
    with pytest.raises(InvalidKey, match=reason):
        keys.load_private_key(text)
