"""Deterministic CBOR written by hand from RFC 8949, to check the library's against."""


def head(major: int, number: int) -> bytes:
    """The shortest head of RFC 8949 section 3, written here a second time."""
    if number < 24:
        return bytes([major << 5 | number])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << 8 * size:
            return bytes([major << 5 | info]) + number.to_bytes(size)
    raise AssertionError("a head has at most 64 bits")


def spell(value) -> bytes:
    """Section 4.2.1 by hand, as an oracle: map keys in bytewise order of their encodings."""
    match value:
        case None:
            return b"\xf6"
        case bool():
            return b"\xf5" if value else b"\xf4"
        case int():
            return head(0, value) if value >= 0 else head(1, -1 - value)
        case bytes():
            return head(2, len(value)) + value
        case str():
            return head(3, len(value.encode())) + value.encode()
        case list():
            return head(4, len(value)) + b"".join(map(spell, value))
        case dict():
            pairs = sorted((spell(key), spell(item)) for key, item in value.items())
            return head(5, len(value)) + b"".join(key + item for key, item in pairs)
    raise AssertionError(type(value))
