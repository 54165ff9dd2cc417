"""CBOR by hand: values, second spellings of values, and what the protocol never says."""

from typing import Any

VALUES: dict[str, Any] = {
    "an empty map": {},
    "a map in order: the shorter key first, then by bytes": {"b": 1, "aa": 2, "ab": [True, None]},
    "text that is not ASCII": "snow \u2603",
    "bytes": b"\x00\xff",
    "an array in an array": [[], [0, [False]]],
}
EDGES: dict[str, Any] = {
    "the last integer of each length": [23, 255, 65535, 2**32 - 1, 2**63 - 1],
    "the first integer of each length": [0, 24, 256, 65536, 2**32],
    "negative ones": [-1, -24, -25, -256, -257, -(2**63)],
    "an empty key": {"": 0},
    "sixteen levels": [[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]],
}
SECOND_SPELLINGS: dict[str, dict[str, str]] = {
    "NonShortestInt": {
        "1 in two bytes": "1801",
        "255 in three bytes": "1900ff",
        "1 in nine bytes": "1b0000000000000001",
        "-1 in two bytes": "3800",
        "a long length of bytes": "580161",
        "a long length of an array": "980100",
        "a long length of a map": "b801616100",
    },
    "UnsortedKeys": {
        "b before a": "a2616200616100",
        "the longer key first": "a262616100616200",
        "in a map in an array": "81a2616200616100",
    },
}
REFUSED: dict[str, dict[str, str]] = {
    "IndefiniteLength": {
        "bytes": "5f4161ff",
        "text": "7f6161ff",
        "an array": "9f00ff",
        "a map": "bf616100ff",
        "an empty array": "9fff",
    },
    "DuplicateKey": {
        "with another value": "a2616100616101",
        "with the same value": "a2616100616100",
        "the empty key": "a260006001",
        "in a map in a map": "a16178a2616100616101",
    },
    "TrailingBytes": {"a second integer": "0000", "a second map": "a0a0", "a break": "00ff"},
    "Truncated": {
        "nothing": "",
        "an array of two with one": "8200",
        "a head without its number": "19",
        "bytes longer than there are": "5b7fffffffffffffff",
        "an array of 2^63": "9b8000000000000000",
    },
    "Malformed": {
        "head 28, which is reserved": "1c",
        "a break alone": "ff",
        "a break in an array": "81ff",
        "a map of 2^40": "bb0000010000000000",
        "a map with a key alone": "a16161",
    },
    "Float": {
        "half": "f93c00",
        "single": "fa3f800000",
        "double": "fb3ff0000000000000",
        "not a number": "f97e00",
        "in a map": "a16161f90000",
    },
    "SimpleValue": {
        "undefined": "f7",
        "simple value 0": "e0",
        "simple value 255": "f8ff",
        "false in two bytes": "f814",
        "undefined in an array": "81f7",
    },
    "BigNumber": {
        "2^63": "1b8000000000000000",
        "-2^63 - 1": "3b8000000000000000",
        "2^64 as a tagged number": "c249010000000000000000",
        "1 as a tagged number": "c24101",
        "a negative tagged number": "c349010000000000000000",
    },
    "Tag": {
        "a date as text": "c074323031332d30332d32315432303a30343a30305a",
        "the self-described tag": "d9d9f700",
        "a shared value": "d81c80",
        "a regular expression": "d82363612b2b",
        "an unknown tag": "da0001000000",
    },
    "KeyNotText": {
        "a number": "a10000",
        "bytes": "a1416100",
        "null": "a1f600",
        "an array": "a18000",
        "a map": "a1a000",
    },
    "NotText": {
        "a lone surrogate": "63eda080",
        "a byte FF": "61ff",
        "an overlong form": "62c080",
        "cut in the middle": "61c3",
        "beyond U+10FFFF": "64f4908080",
    },
}
