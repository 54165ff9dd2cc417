"""Signatures that break rules on purpose: points of small order, S beyond the group's order.

What is accepted by a library that does not check is found by trying it: OpenSSL, through
`cryptography`, takes small-order keys, and stands here for every verifier that does.
"""

import hashlib
from collections.abc import Iterator

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ORDER = (1 << 252) + 27742317777372353535851937790883648493
SMALL_ORDER = tuple(
    bytes.fromhex(text)
    for text in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    )
)
"""The eight points whose order divides 8: of order 1, 2, 4, 4, 8, 8, 8 and 8."""
NOT_CANONICAL = tuple(
    bytes.fromhex(text)
    for text in (
        "0100000000000000000000000000000000000000000000000000000000000080",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    )
)
"""Second spellings of points of small order: y is not below p, or the sign of a zero x."""


def add_order(signature: bytes) -> bytes | None:
    """The same signature with S + L (RFC 8032 section 5.1.7 refuses it), if that fits."""
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    return signature[:32] + scalar.to_bytes(32, "little") if scalar < 1 << 256 else None


def forge(key: bytes, message: bytes) -> Iterator[bytes]:
    """Signatures "of" a small-order key that a verifier takes unless it refuses such keys."""
    for point in SMALL_ORDER:
        signature = point + bytes(32)
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        except (InvalidSignature, ValueError):
            continue
        yield signature


_P = (1 << 255) - 19
_D = -121665 * pow(121666, -1, _P) % _P
_SQRT_MINUS_1 = pow(2, (_P - 1) // 4, _P)
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_MIXED = 4
_NO_POINTS = 3


def encode_base58(data: bytes) -> str:
    """base58btc, zeros in front kept."""
    number, digits = int.from_bytes(data), ""
    while number:
        number, rest = divmod(number, 58)
        digits = _BASE58[rest] + digits
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + digits


def _decompress(data: bytes) -> tuple[int, int] | None:
    """The point (x, y) of an encoding (RFC 8032 section 5.1.3), or None."""
    y = int.from_bytes(data, "little") & ((1 << 255) - 1)
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _SQRT_MINUS_1 % _P
    if (x * x - square) % _P:
        return None
    return (-x % _P if x & 1 != data[31] >> 7 else x), y


def _add(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    (x1, y1), (x2, y2) = one, other
    product = _D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, _P) % _P
    return x, (y1 * y2 + x1 * x2) * pow(1 - product, -1, _P) % _P


def list_mixed(public: bytes) -> Iterator[bytes]:
    """A key plus points of small order: on the curve, and outside of the prime-order subgroup."""
    point = _decompress(public)
    assert point is not None
    for small in SMALL_ORDER[1 : 1 + _MIXED]:
        other = _decompress(small)
        assert other is not None
        x, y = _add(point, other)
        yield (y | (x & 1) << 255).to_bytes(32, "little")


def list_no_points() -> list[bytes]:
    """The first encodings that are no points."""
    tried = (number.to_bytes(32, "little") for number in range(2, 100))
    return [data for data in tried if _decompress(data) is None][:_NO_POINTS]


def sign_without_nonce(seed: bytes, public: bytes, message: bytes) -> bytes:
    """A signature whose R is the neutral element: the equation of RFC 8032 holds, with S = k * a.
    Whoever makes one gives its secret away."""
    digest = bytearray(hashlib.sha512(seed).digest()[:32])
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    point = SMALL_ORDER[0]
    factor = int.from_bytes(hashlib.sha512(point + public + message).digest(), "little")
    scalar = factor * int.from_bytes(digest, "little") % ORDER
    return point + scalar.to_bytes(32, "little")
