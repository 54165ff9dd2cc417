"""Ed25519 keys and the libp2p PeerId derived from them.

An account, a peer and a committee member are the same thing: a 32-byte Ed25519 public key.
Signing and verifying stand here once, for everybody: libsodium (through PyNaCl) refuses
small-order keys and non-canonical S, and honest nodes never disagree on an edge case because
there is no second verifier (RFC 8032 section 5.1.7, without cofactor).

A key file is either the 32-byte seed in a PEM block, or the seed sealed by
ChaCha20-Poly1305 under a key derived from a pass phrase by Argon2id (RFC 9106).
"""

import base64
import functools
import os
from dataclasses import dataclass, field

import nacl.bindings
import nacl.exceptions
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from identity.errors import InvalidKey, InvalidSignature

PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
SEED_BYTES = 32

# libp2p peer-ids spec: identity multihash of the protobuf {Type: Ed25519, Data: key}.
_PEER_ID_PREFIX = bytes.fromhex("002408011220")
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

_PLAIN_LABEL = "ECONODE ED25519 SEED"
_SEALED_LABEL = "ECONODE SEALED ED25519 SEED"
_ARGON2_MEMORY_KIB = 64 * 1024
_ARGON2_PASSES = 3
_SALT_BYTES = 16
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A signing key. `repr` never shows the seed."""

    seed: bytes = field(repr=False)
    public: bytes = field(init=False)
    _expanded: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_BYTES:
            raise InvalidKey(f"a seed has {SEED_BYTES} bytes, this one {len(self.seed)}")
        public, expanded = nacl.bindings.crypto_sign_seed_keypair(self.seed)
        object.__setattr__(self, "public", public)
        object.__setattr__(self, "_expanded", expanded)

    @classmethod
    def generate(cls) -> "PrivateKey":
        return cls(os.urandom(SEED_BYTES))

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature of `message` (RFC 8032, deterministic)."""
        return nacl.bindings.crypto_sign(message, self._expanded)[:SIGNATURE_BYTES]


def verify(public: bytes, message: bytes, signature: bytes) -> None:
    """Raise InvalidSignature unless `signature` is `public`'s over `message`."""
    if len(public) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        raise InvalidSignature("a key has 32 bytes and a signature 64")
    try:
        nacl.bindings.crypto_sign_open(signature + message, public)
    except nacl.exceptions.BadSignatureError:
        raise InvalidSignature("the signature does not fit the key and the message") from None


def check_public_key(public: bytes) -> None:
    """Raise InvalidKey unless `public` is a point of the prime-order subgroup."""
    if len(public) != PUBLIC_KEY_BYTES:
        raise InvalidKey(f"a public key has {PUBLIC_KEY_BYTES} bytes, this one {len(public)}")
    if not nacl.bindings.crypto_core_ed25519_is_valid_point(public):
        raise InvalidKey("not a point of Ed25519's prime-order subgroup")


@functools.lru_cache(maxsize=4_096)  # the same few keys are named in every fact
def compute_peer_id(public: bytes) -> str:
    """The libp2p PeerId of an Ed25519 key, in base58btc ("12D3Koo...").

    Raises InvalidKey on another length: base58 takes quadratic time, so its input is bounded.
    """
    if len(public) != PUBLIC_KEY_BYTES:
        raise InvalidKey(f"a public key has {PUBLIC_KEY_BYTES} bytes, this one {len(public)}")
    number = int.from_bytes(_PEER_ID_PREFIX + public)
    digits = ""
    while number:
        number, rest = divmod(number, 58)
        digits = _BASE58[rest] + digits
    return "1" + digits  # the prefix starts with exactly one zero byte


def parse_peer_id(text: str) -> bytes:
    """The public key inside a PeerId; raises InvalidKey when it is not an Ed25519 one."""
    number = 0
    for digit in text:
        value = _BASE58.find(digit)
        if value < 0 or len(text) > 64:
            raise InvalidKey(f"{text[:64]!r} is not a PeerId: not base58btc")
        number = number * 58 + value
    size = len(_PEER_ID_PREFIX) + PUBLIC_KEY_BYTES
    if number >> (8 * size) or compute_peer_id((data := number.to_bytes(size))[6:]) != text:
        raise InvalidKey(f"{text[:64]!r} is not the PeerId of an Ed25519 key")
    return data[6:]


def dump_private_key(key: PrivateKey, passphrase: str | None = None) -> str:
    """The key file's text; sealed when a pass phrase is given."""
    if passphrase is None:
        return _armor(_PLAIN_LABEL, key.seed)
    salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
    box = ChaCha20Poly1305(_derive(passphrase, salt))
    sealed = box.encrypt(nonce, key.seed, key.public)
    return _armor(_SEALED_LABEL, salt + nonce + sealed + key.public)


def load_private_key(text: str, passphrase: str | None = None) -> PrivateKey:
    """The key of a key file's text. Raises InvalidKey, saying what to do."""
    label, data = _unarmor(text)
    return PrivateKey(data) if label == _PLAIN_LABEL else _open_sealed(data, passphrase)


def load_public_key(text: str) -> bytes:
    """The public key of a key file's text; a sealed file needs no pass phrase for it.

    In a sealed file it is proven only when the file is opened. Raises InvalidKey.
    """
    label, data = _unarmor(text)
    if label == _PLAIN_LABEL:
        return PrivateKey(data).public
    public = data[-PUBLIC_KEY_BYTES:]
    check_public_key(public)
    return public


def _unarmor(text: str) -> tuple[str, bytes]:
    lines = [line.strip() for line in text.strip().splitlines()]
    if not lines or not lines[0].startswith("-----BEGIN "):
        raise InvalidKey("not a key file: it does not begin with '-----BEGIN ECONODE ...'")
    label = lines[0].removeprefix("-----BEGIN ").removesuffix("-----")
    if len(lines) < 3 or lines[-1] != f"-----END {label}-----":
        raise InvalidKey("the key file is cut off: its last line is not the matching END line")
    try:
        data = base64.b64decode("".join(lines[1:-1]), validate=True)
    except ValueError:
        raise InvalidKey("the key file is damaged: not base64") from None
    if label not in (_PLAIN_LABEL, _SEALED_LABEL):
        raise InvalidKey(f"a key file of unknown kind {label!r}")
    return label, data


def is_sealed(text: str) -> bool:
    return text.lstrip().startswith(f"-----BEGIN {_SEALED_LABEL}-----")


def _open_sealed(data: bytes, passphrase: str | None) -> PrivateKey:
    if passphrase is None:
        raise InvalidKey("the key file is sealed: give its pass phrase in ECONODE_PASSPHRASE")
    salt, rest = data[:_SALT_BYTES], data[_SALT_BYTES:-PUBLIC_KEY_BYTES]
    public = data[-PUBLIC_KEY_BYTES:]
    try:
        box = ChaCha20Poly1305(_derive(passphrase, salt))
        return PrivateKey(box.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], public))
    except (InvalidTag, ValueError):
        raise InvalidKey("the pass phrase does not open this key file") from None


def _derive(passphrase: str, salt: bytes) -> bytes:
    kdf = Argon2id(
        salt=salt, length=32, iterations=_ARGON2_PASSES, lanes=1, memory_cost=_ARGON2_MEMORY_KIB
    )
    # A pass phrase from the environment may hold bytes that are not UTF-8: keep them.
    return kdf.derive(passphrase.encode(errors="surrogateescape"))


def _armor(label: str, data: bytes) -> str:
    body = base64.b64encode(data).decode()
    lines = [body[i : i + 64] for i in range(0, len(body), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])
