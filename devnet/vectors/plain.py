"""Vectors of what is not signed by itself: keys, CBOR, frames, hop messages, facts, items."""

from collections.abc import Iterator
from typing import Any, get_args

import msgspec

from crdt.facts import FACT_BYTES_MAX, AnyFact
from crdt.items import ITEM_BYTES_MAX, AnyItem
from devnet.vectors import cbor_texts, curve
from devnet.vectors.draft import Draft, make_file, plain
from devnet.vectors.faults import list_faults
from devnet.vectors.form import CELL_TESTS_MAX, Layer, Setting, VectorFile
from devnet.vectors.kinds import describe
from devnet.vectors.places import CLIENT, COMMITTEE, MEMBER_KEYS, STRANGER
from devnet.vectors.sample import Sampler
from devnet.vectors.spelling import misspell
from devnet.vectors.statements import PAYLOAD_FAULTS
from identity import cbor, keys
from node.framing import FRAME_BYTES_MAX as LENGTH_MAX
from node.router import AnyHop
from protocols.messages import FRAME_BYTES_MAX

CBOR_BYTES_MAX = 4_096
UNION_TESTS_MAX = 1
"""Vectors of a flag for hop messages and facts, of which there are many kinds."""


def make_files() -> Iterator[VectorFile]:
    yield make_file(
        "peer-ids", "peer_id", "PeerIds of accounts, as ASCII text.", Setting(), _list_peer_ids()
    )
    yield from _make_cbor()
    about = "A stream of frames, each a length and a hop message, up to its end."
    yield make_file("frames", "frames", about, Setting(), _list_frames())
    for name, union, size_max, cell_max in (
        ("hop", AnyHop, FRAME_BYTES_MAX, UNION_TESTS_MAX),
        ("fact", AnyFact, FACT_BYTES_MAX, UNION_TESTS_MAX),
        ("item", AnyItem, ITEM_BYTES_MAX, CELL_TESTS_MAX),
    ):
        for struct in get_args(union):
            tag = str(struct.__struct_config__.tag).replace("_", "-")
            about = describe(struct)
            setting = Setting(rule=struct.__name__, size_max=size_max)
            drafts = _list_plain(struct, name == "hop")
            yield make_file(f"{name}-{tag}", name, about, setting, drafts, cell_max)


def _list_peer_ids() -> Iterator[Draft]:
    def draft(flag: str, comment: str, text: str) -> Draft:
        layer: Layer | None = None if flag == "Valid" else "semantics"
        return Draft(flag, comment, text.encode(), layer)

    for key in (CLIENT.public, STRANGER.public, *MEMBER_KEYS[:3]):
        yield draft("Valid", f"of {key.hex()}", keys.compute_peer_id(key))
    for point in curve.SMALL_ORDER:
        yield draft("SmallOrderKey", f"of {point.hex()}", keys.compute_peer_id(point))
    for point in curve.NOT_CANONICAL:
        yield draft("NonCanonicalPoint", f"of {point.hex()}", keys.compute_peer_id(point))
    for point in curve.list_mixed(CLIENT.public):
        yield draft("MixedOrderKey", f"of {point.hex()}", keys.compute_peer_id(point))
    for point in curve.list_no_points():
        yield draft("NotOnCurve", f"of {point.hex()}", keys.compute_peer_id(point))
    good = keys.compute_peer_id(CLIENT.public)
    for comment, text in (
        ("a SHA-256 multihash, as RSA keys have", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"),
        ("another type of key", curve.encode_base58(b"\x00\x24\x08\x02\x12\x20" + CLIENT.public)),
        ("no prefix", curve.encode_base58(CLIENT.public)),
        ("the first letter for another", "2" + good[1:]),
        ("one 1 more in front", "1" + good),
    ):
        yield draft("WrongPrefix", comment, text)
    for comment, text in (
        ("without its last letter", good[:-1]),
        ("nothing", ""),
        ("the prefix alone", "12D3KooW"),
    ):
        yield draft("Truncated", comment, text)
    for comment, text in (("a space after it", good + " "), ("a letter more", good + "1")):
        yield draft("TrailingBytes", comment, text)
    for comment, text in (
        ("a 0, which base58 has not", good[:-1] + "0"),
        ("an l, which base58 has not", good[:-1] + "l"),
        ("in base32, as a CID", "bafzaajaiaejcb3ku7nx2qg6xsdezlyoyjz5ucuyj4qqkoepl7prpvdhmkwcrvbi"),
    ):
        yield draft("Malformed", comment, text)
    yield draft("TooLong", "10,000 letters", "1" * 10_000)


def _make_cbor() -> Iterator[VectorFile]:
    setting = Setting(size_max=CBOR_BYTES_MAX)
    about = "Deterministic CBOR, as in everything that is signed, hashed or stored."
    yield make_file("cbor", "cbor", about, setting, _list_cbor(is_hop=False))
    about = "CBOR of hop messages: plain values in any definite-length spelling."
    yield make_file("cbor-hop", "cbor_hop", about, setting, _list_cbor(is_hop=True))


def _list_cbor(is_hop: bool) -> Iterator[Draft]:
    for comment, value in cbor_texts.VALUES.items():
        yield plain("Valid", comment, value)
    for comment, value in cbor_texts.EDGES.items():
        yield plain("EdgeOfBounds", comment, value)
    for flag, texts in cbor_texts.SECOND_SPELLINGS.items():
        for comment, text in texts.items():
            data = bytes.fromhex(text)
            if is_hop:
                yield Draft(flag, comment, data, verdict="acceptable")
            else:
                yield Draft(flag, comment, data, "cbor")
    for flag, texts in cbor_texts.REFUSED.items():
        for comment, text in texts.items():
            yield Draft(flag, comment, bytes.fromhex(text), "cbor")
    for opening in (b"\x81", b"\xa1\x61a"):
        for depth in (17, 1_000):
            data = opening * depth + b"\x00"
            yield Draft("TooDeep", f"{depth} levels of {opening.hex()}", data, "cbor")
    long = cbor.encode(bytes(CBOR_BYTES_MAX))
    yield Draft("TooLong", f"{len(long)} bytes, at most {CBOR_BYTES_MAX} here", long, "cbor")


def _list_frames() -> Iterator[Draft]:
    ask = cbor.encode({"type": "ask_state", "committee": COMMITTEE, "after": 7})
    fetch = cbor.encode({"type": "fetch_batches", "committee": COMMITTEE, "start": 1})

    def frame(data: bytes, size: int | None = None) -> bytes:
        return (len(data) if size is None else size).to_bytes(4) + data

    yield Draft("Valid", "one frame", frame(ask))
    yield Draft("Valid", "two frames in one chunk", frame(ask) + frame(fetch))
    yield Draft("Valid", "nothing", b"")
    yield Draft("FrameLength", "a length of 0", frame(b""), "frame")
    yield Draft("FrameLength", "a length of 0 after a frame", frame(ask) + frame(b""), "frame")
    yield Draft("FrameLength", "one beyond the bound", frame(ask, LENGTH_MAX + 1), "frame")
    yield Draft("FrameLength", "the highest length", frame(ask, 0xFFFFFFFF), "frame")
    yield Draft(
        "FrameLength", "a length in little-endian", len(ask).to_bytes(4, "little") + ask, "frame"
    )
    yield Draft("Truncated", "half a frame", frame(ask)[:-5], "frame")
    yield Draft("Truncated", "half a length", frame(ask) + b"\0\0", "frame")
    yield Draft("Truncated", "a length that ends too early", frame(ask, len(ask) - 1)[:-1], "cbor")
    yield Draft("TrailingBytes", "two messages in one frame", frame(ask + fetch), "cbor")
    yield Draft("Malformed", "a frame that is no CBOR", frame(b"\xff\xff\xff"), "cbor")
    yield Draft("UnknownType", "a frame with a number", frame(b"\x07"), "schema")
    yield Draft("UnknownType", "a frame with an empty map", frame(b"\xa0"), "schema")


def _list_plain(struct: type[msgspec.Struct], is_open: bool) -> Iterator[Draft]:
    sampler = Sampler(struct.__name__)
    for _ in range(CELL_TESTS_MAX):
        yield plain("Valid", "as an honest peer writes it", sampler.make(struct, "usual"))
    yield plain("EdgeOfBounds", "the least that the fields may hold", sampler.make(struct, "least"))
    yield plain("EdgeOfBounds", "the most that the fields may hold", sampler.make(struct, "most"))
    value = sampler.make(struct, "usual")
    assert isinstance(value, dict)
    if is_open:
        newer = {**value, "zz_newer": [1, b"x"]}
        yield plain("UnknownField", "a field of a newer version, to be ignored", newer)
    for fault in list_faults(struct, value, is_open=is_open):
        yield plain(fault.flag, fault.comment, fault.value, "schema")
    yield from _list_spellings(value, is_open)


_HARMLESS = {"UnsortedKeys", "NonShortestInt"}
"""Second spellings that hop messages may have."""


def _list_spellings(value: Any, is_open: bool) -> Iterator[Draft]:
    for flag, fault, words in PAYLOAD_FAULTS:
        data = misspell(value, fault)
        if data is None:
            continue
        if is_open and flag in _HARMLESS:
            yield Draft(flag, f"it has {words}", data, verdict="acceptable")
        else:
            yield Draft(flag, f"it has {words}", data, "cbor")
    data = cbor.encode(value)
    yield Draft("Truncated", "without its last byte", data[:-1], "cbor")
    yield Draft("TrailingBytes", "a byte after it", data + b"\xf6", "cbor")
