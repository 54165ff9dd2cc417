"""CBOR with one fault in it, and deterministic CBOR written a second time from RFC 8949.

`Speller` writes a value as section 4.2.1 says, but for one fault at the first place where it can
stand. So everything but that fault is right, and only the fault can be the reason of a refusal.
"""

from typing import Any

_FLOAT_HALF_ONE = b"\xf9\x3c\x00"


def spell_head(major: int, number: int, longer: int = 0) -> bytes:
    """The shortest head for `number`, or one that is `longer` sizes longer than needed."""
    sizes = (0, 1, 2, 4, 8)
    least = 0 if number < 24 else next(i for i in range(1, 5) if number < 1 << 8 * sizes[i])
    size = sizes[min(4, least + longer)]
    if not size:
        return bytes([major << 5 | number])
    return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[size]]) + number.to_bytes(size)


class Speller:
    """Writes one value with one `fault`; `is_done` says whether there was a place for it.

    Faults: "" (none), "long_int", "long_length", "indefinite_map", "indefinite_array",
    "indefinite_bytes", "indefinite_text", "duplicate_key", "unsorted", "tag", "float",
    "undefined", "bignum", "number_key", "bad_utf8".
    """

    def __init__(self, fault: str = "") -> None:
        self._fault = fault
        self.is_done = not fault

    def spell(self, value: Any) -> bytes:
        if self._take("tag", True):
            return b"\xc1" + self.spell(value)
        match value:
            case None:
                return b"\xf7" if self._take("undefined", True) else b"\xf6"
            case bool():
                return b"\xf5" if value else b"\xf4"
            case int():
                return self._spell_int(value)
            case bytes():
                return self._spell_string(2, value, "indefinite_bytes")
            case str():
                data = value.encode()
                if data and self._take("bad_utf8", True):
                    data = b"\xff" * len(data)
                return self._spell_string(3, data, "indefinite_text")
            case list() | tuple():
                if self._take("indefinite_array", True):
                    return b"\x9f" + b"".join(map(self.spell, value)) + b"\xff"
                return spell_head(4, len(value)) + b"".join(map(self.spell, value))
            case dict():
                return self._spell_map(value)
        raise TypeError(f"no spelling for {type(value).__name__}")

    def _take(self, fault: str, is_possible: bool) -> bool:
        if self.is_done or self._fault != fault or not is_possible:
            return False
        self.is_done = True
        return True

    def _spell_int(self, value: int) -> bytes:
        if self._take("float", True):
            return _FLOAT_HALF_ONE
        if self._take("undefined", True):
            return b"\xf7"
        if self._take("bignum", value >= 0):
            return b"\xc2\x49\x01" + bytes(8)
        major, number = (0, value) if value >= 0 else (1, -1 - value)
        return spell_head(major, number, int(self._take("long_int", number < 1 << 32)))

    def _spell_string(self, major: int, data: bytes, fault: str) -> bytes:
        if self._take(fault, True):
            return bytes([major << 5 | 31]) + spell_head(major, len(data)) + data + b"\xff"
        return spell_head(major, len(data), int(self._take("long_length", True))) + data

    def _spell_map(self, value: dict[Any, Any]) -> bytes:
        entries = sorted(value.items(), key=lambda pair: Speller().spell(pair[0]))
        is_unsorted = self._take("unsorted", len(entries) > 1)
        is_indefinite = self._take("indefinite_map", True)
        is_double = self._take("duplicate_key", bool(entries))
        has_number = self._take("number_key", True)
        pairs = [Speller().spell(key) + self.spell(item) for key, item in entries]
        if is_unsorted:
            pairs.reverse()
        if is_double:
            pairs.insert(1, pairs[0])
        if has_number:
            pairs.insert(0, b"\x00\x00")
        if is_indefinite:
            return b"\xbf" + b"".join(pairs) + b"\xff"
        return spell_head(5, len(pairs)) + b"".join(pairs)


def misspell(value: Any, fault: str) -> bytes | None:
    """The encoding of `value` with `fault`, or None where it has no place for it."""
    speller = Speller(fault)
    data = speller.spell(value)
    return data if speller.is_done else None
