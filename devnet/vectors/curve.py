"""Signatures that break rules on purpose: points of small order, S beyond the group's order.

What is accepted by a library that does not check is found by trying it: OpenSSL, through
`cryptography`, takes small-order keys, and stands here for every verifier that does.
"""

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
