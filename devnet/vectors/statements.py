"""Vectors of signed statements: every type of message that is signed, and every way to sign it
wrongly."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from crdt.heads import HEAD_BYTES_MAX
from devnet.vectors import curve
from devnet.vectors.draft import Draft, make_file
from devnet.vectors.faults import list_faults
from devnet.vectors.form import CELL_TESTS_MAX, Layer, VectorFile
from devnet.vectors.kinds import Kind, list_kinds
from devnet.vectors.places import (
    MEMBERS,
    NETWORK,
    OTHER_COMMITTEE,
    OTHER_NETWORK,
    STRANGER,
    Seal,
    digest,
    make_key,
)
from devnet.vectors.spelling import misspell
from identity import cbor
from protocols.economy.operations import (
    Transfer,
)
from protocols.messages import (
    Prepare,
    PrePrepare,
)

OPERATION_TESTS_MAX = 2
"""Vectors of a flag for all operations but `transfer`: their envelopes are all alike."""


def make_files() -> Iterator[VectorFile]:
    for kind in list_kinds():
        setting, drafts = kind.make_setting(), _list_drafts(kind)
        cell_max = CELL_TESTS_MAX if kind.body in (None, Transfer) else OPERATION_TESTS_MAX
        yield make_file(kind.name, kind.check, kind.about, setting, drafts, cell_max)


def _list_drafts(kind: Kind) -> Iterator[Draft]:
    yield from _list_valid(kind)
    yield from _list_places(kind)
    yield from _list_keys(kind)
    yield from _list_forms(kind)
    yield from _list_spellings(kind)
    yield from _list_schema(kind)


def _draft(flags: str | tuple[str, ...], comment: str, seal: Seal, layer: Any, value: Any) -> Draft:
    return Draft(flags, comment, seal.encode(), layer, value, seal.payload, seal)


def _list_valid(kind: Kind) -> Iterator[Draft]:
    for seed in range(3):
        value = kind.sample("usual", seed)
        yield _draft(
            "Valid", "as an honest signer makes it", kind.seal(cbor.encode(value)), None, value
        )
    for size in ("least", "most"):
        value = kind.sample(size)  # type: ignore[arg-type]
        comment = f"the {size} that the fields may hold"
        yield _draft("EdgeOfBounds", comment, kind.seal(cbor.encode(value)), None, value)


def _list_places(kind: Kind) -> Iterator[Draft]:
    """Signed for another place, and either saying so or not."""
    value = kind.sample("usual", 3)
    seal = kind.seal(cbor.encode(value))
    is_own = kind.check == "peer_head"
    other_type = "commit" if kind.tag == "prepare" else "prepare"
    elsewhere: tuple[tuple[str | tuple[str, ...], str, dict[str, Any]], ...] = (
        ("WrongDomain", "signed for the domain econodf", {"domain": "econodf"}),
        ("WrongDomain", "signed for an empty domain", {"domain": ""}),
        ("WrongDomain", "signed for major version 2", {"major": 2}),
        (("WrongNetwork", "Replay"), "good on another network", {"network": OTHER_NETWORK}),
        ("WrongNetwork", "signed for a network id of 31 bytes", {"network": NETWORK[:31]}),
        ("WrongNetwork", "signed for an empty network id", {"network": b""}),
    )
    for flags, comment, change in elsewhere:
        yield _draft(flags, comment, replace(seal, **change), "cose", value)
    other = OTHER_COMMITTEE
    wrong: tuple[tuple[str, str, str, Any], ...] = (
        ("WrongCommittee", "committee", "another committee", other),
        ("WrongEpoch", "epoch", "the epoch after", kind.epoch + 1),
        ("WrongEpoch", "epoch", "a far epoch", cbor.INT_MAX),
        ("WrongType", "kind", "another type", other_type),
    )
    for flag, name, words, there in wrong:
        signed = replace(seal, **{name: there})
        said = replace(signed, said={name: getattr(seal, name)})
        yield _draft(flag, f"signed for {words}, claims this one", said, "cose", value)
        layer = "cose" if is_own else "schema"
        yield _draft((flag, "Replay"), f"good for {words}", signed, layer, value)
    if kind.struct not in (
        Prepare,
        PrePrepare,
    ):  # whose contents are alike: the type tells them apart
        content = {"view": 0, "seq": 41, "digest": digest("batch")}
        made = kind.seal(cbor.encode(content))
        yield _draft(
            "WrongType", "the content of a prepare under this type", made, "schema", content
        )


def _list_keys(kind: Kind) -> Iterator[Draft]:
    value = kind.sample("usual", 4)
    payload = cbor.encode(value)
    seal = kind.seal(payload)
    other = MEMBERS[2] if kind.members else make_key("second client")
    theirs = replace(seal, key=other)
    yield Draft(
        "SwappedSigner",
        "another's signature under this key",
        replace(seal, signature=theirs.sign()).encode(),
        "cose",
    )
    yield Draft(
        "SwappedSigner",
        "this signature under another's key",
        replace(theirs, signature=seal.sign()).encode(),
        "cose",
    )
    is_voter = kind.check == "statement" and bool(kind.members)
    stranger_layer: Layer = "schema" if is_voter else "cose"
    if kind.members:
        stranger = replace(seal, key=STRANGER)
        yield _draft("NotAMember", "a stranger's good signature", stranger, stranger_layer, value)
    more = curve.add_order(seal.sign())
    if more is not None:
        yield Draft("MalleableSignature", "S + L", replace(seal, signature=more).encode(), "cose")
    message = cbor.encode(seal.get_structure())
    bare = curve.sign_without_nonce(seal.key.seed, seal.key.public, message)
    made = replace(seal, signature=bare)
    yield Draft("SmallOrderR", "R is the neutral element", made.encode(), "cose", seal=made)
    for words, signature in (
        ("a signature of zeros", bytes(64)),
        ("an empty signature", b""),
        ("a signature of 63 bytes", seal.sign()[:63]),
        ("a signature of 65 bytes", seal.sign() + b"\0"),
    ):
        yield Draft("NoSignature", words, replace(seal, signature=signature).encode(), "cose")
    if not kind.members:
        yield from _list_small(kind, seal)
    data = seal.encode()
    places: tuple[tuple[str, int, Layer], ...] = (
        ("in the signature's R", len(data) - 60, "cose"),
        ("in the signature's S", len(data) - 10, "cose"),
        ("in the key", data.index(kind.key.public) + 5, stranger_layer),
    )
    for words, at, layer in places:
        changed = data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
        yield Draft("ChangedByte", words, changed, layer)


def _list_small(kind: Kind, seal: Seal) -> Iterator[Draft]:
    """Forged for keys of small order; any account may sign here, so only the key stands in the
    way."""
    for point in curve.SMALL_ORDER:
        header = cbor.encode({1: -8, 4: point})
        forged = replace(seal, protected=header)
        message = cbor.encode(forged.get_structure())
        for signature in list(curve.forge(point, message))[:1]:
            made = replace(forged, signature=signature)
            yield Draft("SmallOrderKey", f"forged under {point.hex()}", made.encode(), "cose")


def _list_forms(kind: Kind) -> Iterator[Draft]:
    """Headers and arrays that are not as they should be; all signed as they stand."""
    value = kind.sample("usual", 5)
    seal = kind.seal(cbor.encode(value))
    key = kind.key.public
    for flag, words, header in (
        ("WrongAlgorithm", "the header says ES256", {1: -7, 4: key}),
        ("WrongAlgorithm", "the header says Ed25519 by its newer number", {1: -19, 4: key}),
        ("WrongAlgorithm", "the algorithm as text", {1: "EdDSA", 4: key}),
        ("OtherHeader", "no key id", {1: -8}),
        ("OtherHeader", "no algorithm", {4: key}),
        ("OtherHeader", "a content type too", {1: -8, 3: 60, 4: key}),
        ("OtherHeader", "a key id of 31 bytes", {1: -8, 4: key[:31]}),
    ):
        made = replace(seal, protected=cbor.encode(header))
        yield _draft(flag, words, made, "cose", value)
    protected, _, payload, signature = seal.get_cose()
    for flag, words, cose in (
        ("OtherHeader", "an unprotected header", [protected, {"k": 0}, payload, signature]),
        ("DetachedPayload", "null for the payload", [protected, {}, None, signature]),
        ("OtherForm", "three parts", [protected, {}, payload]),
        ("OtherForm", "five parts", [protected, {}, payload, signature, b""]),
        ("OtherForm", "headers as an array", [protected, [], payload, signature]),
    ):
        yield Draft(flag, words, seal.wrap(cbor.encode(cose)), "cose")
    place = [kind.tag, kind.committee, kind.epoch]
    cose_bytes = cbor.encode(seal.get_cose())
    for words, outer in (
        ("an envelope of three parts", place),
        ("an epoch below 0", [kind.tag, kind.committee, -1, cose_bytes]),
    ):
        yield Draft("OtherForm", words, cbor.encode(outer), "cbor")


def _list_spellings(kind: Kind) -> Iterator[Draft]:
    """CBOR faults in the envelope, and in the payload under a good signature."""
    value = kind.sample("usual", 6)
    seal = kind.seal(cbor.encode(value))
    data = seal.encode()
    for words, size in (
        ("nothing at all", 0),
        ("the first byte alone", 1),
        ("half of it", len(data) // 2),
        ("without its last byte", len(data) - 1),
        ("without its signature", len(data) - 66),
    ):
        yield Draft("Truncated", words, data[:size], "cbor")
    yield Draft("TrailingBytes", "a byte after the envelope", data + b"\0", "cbor")
    cose = cbor.encode(seal.get_cose())
    yield Draft("TrailingBytes", "a byte after the COSE_Sign1", seal.wrap(cose + b"\xf6"), "cbor")
    yield Draft("Tag", "the COSE_Sign1 with its tag, 18", seal.wrap(b"\xd2" + cose), "cbor")
    yield Draft("Tag", "the envelope under tag 55799", b"\xd9\xd9\xf7" + data, "cbor")
    outer = [kind.tag, kind.committee, kind.epoch, cose]
    inner = seal.get_cose()
    for flag, fault in (
        ("NonShortestInt", "long_int"),
        ("NonShortestInt", "long_length"),
        ("IndefiniteLength", "indefinite_array"),
        ("IndefiniteLength", "indefinite_bytes"),
    ):
        if fault != "long_length":
            yield Draft(flag, f"{fault} in the envelope", misspell(outer, fault) or b"", "cbor")
        if fault != "long_int" and (spelled := misspell(inner, fault)):
            yield Draft(flag, f"{fault} in the COSE_Sign1", seal.wrap(spelled), "cbor")
    yield from _list_payloads(kind, value)


PAYLOAD_FAULTS = (
    ("DuplicateKey", "duplicate_key", "a key twice"),
    ("UnsortedKeys", "unsorted", "keys in descending order"),
    ("NonShortestInt", "long_int", "an integer too long"),
    ("NonShortestInt", "long_length", "a length too long"),
    ("IndefiniteLength", "indefinite_map", "a map of indefinite length"),
    ("IndefiniteLength", "indefinite_bytes", "bytes of indefinite length"),
    ("Tag", "tag", "a tag"),
    ("Float", "float", "a float"),
    ("SimpleValue", "undefined", "undefined"),
    ("BigNumber", "bignum", "an integer beyond 64 bits"),
    ("KeyNotText", "number_key", "a number as a key"),
    ("NotText", "bad_utf8", "text that is not UTF-8"),
)


def _list_payloads(kind: Kind, value: Any) -> Iterator[Draft]:
    for flag, fault, words in PAYLOAD_FAULTS:
        spelled = misspell(value, fault)
        if spelled is not None:
            made = kind.seal(spelled)
            comment = f"signed well, but the payload has {words}"
            yield Draft(flag, comment, made.encode(), "cbor", None, spelled, made)
    made = kind.seal(cbor.encode(value) + b"\0")
    comment = "signed well, but a byte follows the payload"
    yield Draft("TrailingBytes", comment, made.encode(), "cbor", None, made.payload, made)
    made = kind.seal(b"")
    yield Draft("Truncated", "signed well, but no payload", made.encode(), "cbor", None, b"", made)


def _list_schema(kind: Kind) -> Iterator[Draft]:
    value = kind.sample("usual", 7)
    if kind.body is not None:
        body = {**value["body"], "type": "no_such_operation"}
        unknown = {**value, "body": body}
        made = kind.seal(cbor.encode(unknown))
        yield _draft("UnknownType", "an operation that nobody knows", made, "schema", unknown)
    for fault in list_faults(kind.struct, value, is_open=False):
        made = kind.seal(cbor.encode(fault.value))
        yield _draft(fault.flag, fault.comment, made, "schema", fault.value)
    limit = HEAD_BYTES_MAX if kind.check == "peer_head" else kind.size_max
    if limit <= 1_024:
        long = kind.seal(bytes(limit + 1))
        yield Draft("TooLong", f"longer than {limit} bytes", long.encode(), "cbor")
