"""Vectors of certificates and of entries of logs."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from crdt import log
from crdt.heads import NO_COMMITTEE, get_head
from crdt.items import Card, Data, encode_item
from devnet.vectors.cases import EntryCase
from devnet.vectors.draft import Draft, make_file
from devnet.vectors.form import Layer, Setting, VectorFile
from devnet.vectors.places import (
    CLIENT,
    COMMITTEE,
    CREATED_MS,
    EPOCH,
    MEMBER_KEYS,
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
from identity import cbor, schema
from identity.certificate import Certificate
from identity.envelope import Context
from identity.keys import PrivateKey
from protocols.messages import CERTIFICATE_BYTES_MAX

KNOWN = Setting(
    network=NETWORK.hex(),
    committee=COMMITTEE.hex(),
    epoch=EPOCH,
    members=tuple(key.hex() for key in MEMBER_KEYS),
    size_max=CERTIFICATE_BYTES_MAX,
)
HEAD = log.Head(COMMITTEE, 41, digest("entry 41"))
PAYLOAD = schema.encode(HEAD)
QUORUM = 3


def make_files() -> Iterator[VectorFile]:
    setting = msgspec.structs.replace(KNOWN, kind=log.HEAD_KIND)
    about = "Certificates of a head of the committee's log: signatures of at least 3 of 4 members."
    yield make_file("certificate", "certificate", about, setting, _list_certificates())
    about = "Entries of logs, a peer's or a committee's, with the proofs of their heads."
    yield make_file("log-entry", "entry", about, KNOWN, _list_entries())


def certify(keys: Sequence[PrivateKey], payload: bytes = PAYLOAD, **changes: Any) -> Certificate:
    place = Context(
        changes.get("network", NETWORK),
        changes.get("committee", COMMITTEE),
        changes.get("epoch", EPOCH),
        changes.get("kind", log.HEAD_KIND),
    )
    signatures = {
        key.public: Seal(
            key, payload, place.kind, place.network, place.committee, place.epoch
        ).sign()
        for key in keys
    }
    return Certificate.collect(place, payload, signatures)


def plain_certificate(certificate: Certificate) -> list[Any]:
    place = certificate.context
    pairs = [list(pair) for pair in certificate.signatures]
    return [place.kind, place.committee, place.epoch, certificate.payload, pairs]


def _draft_certificate(
    flag: str | tuple[str, ...],
    comment: str,
    found: Certificate | list[Any],
    layer: Layer | None,
) -> Draft:
    value = plain_certificate(found) if isinstance(found, Certificate) else found
    data = cbor.encode(value)
    return Draft(flag, comment, data, layer, value, data)


def _list_certificates() -> Iterator[Draft]:
    good = certify(MEMBERS[:QUORUM])

    yield _draft_certificate("Valid", "the first three members", good, None)
    yield _draft_certificate("Valid", "the last three members", certify(MEMBERS[1:]), None)
    yield _draft_certificate("EdgeOfBounds", "all four members", certify(MEMBERS), None)
    pairs = good.signatures
    for words, chosen in (("two members", pairs[:2]), ("one member", pairs[:1]), ("nobody", ())):
        yield _draft_certificate(
            "TooFewSigners", words, replace(good, signatures=chosen), "semantics"
        )
    for words, chosen in (
        ("the first one twice among two", (pairs[0], pairs[0], pairs[1])),
        ("one three times", (pairs[0],) * 3),
    ):
        yield _draft_certificate(
            "RepeatedSigner", words, replace(good, signatures=chosen), "semantics"
        )
    for words, chosen in (
        ("in descending order", pairs[::-1]),
        ("two exchanged", (pairs[1], pairs[0], pairs[2])),
    ):
        yield _draft_certificate(
            "UnorderedSigners", words, replace(good, signatures=chosen), "semantics"
        )
    stranger = certify([*MEMBERS[:2], STRANGER])
    yield _draft_certificate("NotAMember", "two members and a stranger", stranger, "semantics")
    yield _draft_certificate(
        "NotAMember", "three members and a stranger", certify([*MEMBERS[:3], STRANGER]), "semantics"
    )
    swapped = ((pairs[0][0], pairs[1][1]), (pairs[1][0], pairs[0][1]), pairs[2])
    yield _draft_certificate(
        "SwappedSigner", "two signatures exchanged", replace(good, signatures=swapped), "cose"
    )
    spoiled = tuple((key, bytes(64) if i == 1 else one) for i, (key, one) in enumerate(pairs))
    yield _draft_certificate(
        "BadSignatureInside", "zeros for one of three", replace(good, signatures=spoiled), "cose"
    )
    all_four = certify(MEMBERS).signatures
    spoiled = (*all_four[:3], (all_four[3][0], bytes(64)))
    yield _draft_certificate(
        "BadSignatureInside",
        "zeros for the fourth of four",
        replace(good, signatures=spoiled),
        "cose",
    )
    yield from _move_certificates(good)
    yield from _misform_certificates(good)


def _move_certificates(good: Certificate) -> Iterator[Draft]:
    """Signed for another place or content."""
    for flag, words, change in (
        ("WrongCommittee", "of another committee", {"committee": OTHER_COMMITTEE}),
        ("WrongEpoch", "of the epoch before", {"epoch": EPOCH - 1}),
        ("WrongType", "of a checkpoint", {"kind": "checkpoint"}),
    ):
        moved = certify(MEMBERS[:QUORUM], **change)
        yield _draft_certificate((flag, "Replay"), f"good for a place {words}", moved, "semantics")
        claimed = replace(moved, context=good.context)
        yield _draft_certificate(flag, f"signed for a place {words}", claimed, "cose")
    other = certify(MEMBERS[:QUORUM], network=OTHER_NETWORK)
    yield _draft_certificate(("WrongNetwork", "Replay"), "good on another network", other, "cose")
    another = replace(good, payload=schema.encode(log.Head(COMMITTEE, 41, digest("other"))))
    yield _draft_certificate("WrongHash", "the signatures of another head", another, "cose")


def _misform_certificates(good: Certificate) -> Iterator[Draft]:
    pairs = good.signatures
    value = plain_certificate(good)
    yield _draft_certificate("OtherForm", "four parts", value[:4], "semantics")
    yield _draft_certificate("OtherForm", "signatures as a map", [*value[:4], {}], "semantics")
    yield _draft_certificate(
        "OtherForm",
        "a signature of 63 bytes",
        [*value[:4], [[pairs[0][0], bytes(63)]]],
        "semantics",
    )
    yield _draft_certificate(
        "OtherForm", "a key of 31 bytes", [*value[:4], [[bytes(31), pairs[0][1]]]], "semantics"
    )
    many = [[bytes(28) + number.to_bytes(4), bytes(64)] for number in range(257)]
    yield _draft_certificate("OutOfBounds", "257 signers", [*value[:4], many], "semantics")
    yield from list_spellings(value)


def list_spellings(value: Any) -> Iterator[Draft]:
    for flag, fault in (
        ("NonShortestInt", "long_int"),
        ("NonShortestInt", "long_length"),
        ("IndefiniteLength", "indefinite_array"),
        ("IndefiniteLength", "indefinite_bytes"),
        ("Tag", "tag"),
        ("DuplicateKey", "duplicate_key"),
        ("UnsortedKeys", "unsorted"),
    ):
        spelled = misspell(value, fault)
        if spelled is not None:
            yield Draft(flag, f"spelled with {fault}", spelled, "cbor")
    data = cbor.encode(value)
    yield Draft("Truncated", "without its last byte", data[:-1], "cbor")
    yield Draft("Truncated", "half of it", data[: len(data) // 2], "cbor")
    yield Draft("TrailingBytes", "a byte after it", data + b"\0", "cbor")


def peer_entry(position: int = 0, previous: bytes = bytes(32)) -> log.Entry:
    items = [encode_item(Data(namespace="vectors", key="k", value=b"%d" % position))]
    return log.append(CLIENT.public, position, previous, CREATED_MS + position, items)


def prove(entry: log.Entry, key: PrivateKey = CLIENT, **changes: Any) -> bytes:
    head = schema.encode(get_head(entry.header))
    seal = Seal(key, head, log.HEAD_KIND, committee=NO_COMMITTEE)
    return replace(seal, **changes).encode()


def committee_entry(position: int = 41) -> log.Entry:
    return log.append(COMMITTEE, position, digest("entry 40"), CREATED_MS, [b"item one", b"two"])


def prove_committee(entry: log.Entry, count: int = QUORUM, **changes: Any) -> bytes:
    return certify(MEMBERS[:count], schema.encode(get_head(entry.header)), **changes).encode()


def _draft_entry(
    flag: str, comment: str, entry: log.Entry, proof: bytes, layer: Layer | None = None
) -> Draft:
    case = EntryCase(entry, proof)
    data = schema.encode(case)
    return Draft(
        flag, comment, data, layer, msgspec.to_builtins(case, builtin_types=(bytes,)), data
    )


def _list_entries() -> Iterator[Draft]:
    first = peer_entry()
    card = Card(capabilities=(), addresses=("/ip4/192.0.2.9/tcp/4710",), price_hint=7, expires_ms=9)
    carded = log.append(CLIENT.public, 0, bytes(32), 1, [encode_item(card)])
    later = peer_entry(5, digest("entry 4"))
    ours = committee_entry()
    yield _draft_entry("Valid", "a peer's first entry", first, prove(first))
    yield _draft_entry("Valid", "a peer's card", carded, prove(carded))
    yield _draft_entry("Valid", "a peer's sixth entry", later, prove(later))
    yield _draft_entry("Valid", "a committee's entry", ours, prove_committee(ours))
    empty = log.append(CLIENT.public, 0, bytes(32), 0, [])
    yield _draft_entry("EdgeOfBounds", "an entry without items", empty, prove(empty))
    unknown = log.append(CLIENT.public, 0, bytes(32), 0, [b"\xff not CBOR"])
    yield _draft_entry("EdgeOfBounds", "an item that nobody understands", unknown, prove(unknown))
    for words, items in (
        ("another item", (b"other",)),
        ("no item", ()),
        ("one item more", (*first.items, b"")),
    ):
        changed = log.Entry(first.header, items)
        yield _draft_entry("WrongHash", f"{words} under the root", changed, prove(first), "schema")
    yield _draft_entry("WrongHash", "the proof of another entry", first, prove(carded), "cose")
    yield _draft_entry(
        "WrongHash",
        "a certificate of another entry",
        ours,
        prove_committee(committee_entry(42)),
        "cose",
    )
    yield from _misplace_entries(first)
    yield from _misprove_entries(first, ours)


def _misplace_entries(first: log.Entry) -> Iterator[Draft]:
    """Positions and authors that no log has."""
    linked = log.append(CLIENT.public, 0, digest("x"), 0, [])
    yield _draft_entry(
        "WrongPosition", "the first entry links to something", linked, prove(linked), "schema"
    )
    unlinked = log.append(CLIENT.public, 3, bytes(32), 0, [])
    yield _draft_entry(
        "WrongPosition", "the fourth links to nothing", unlinked, prove(unlinked), "schema"
    )
    odd = log.append(bytes(20), 0, bytes(32), 0, [])
    yield _draft_entry("OutOfBounds", "an author of 20 bytes", odd, prove(odd), "schema")
    yield _draft_entry("NoSignature", "no proof", first, b"", "cbor")


def _misprove_entries(first: log.Entry, ours: log.Entry) -> Iterator[Draft]:
    """Proofs by others, or of another place."""
    yield _draft_entry(
        "SwappedSigner",
        "signed by another peer",
        first,
        prove(first, make_key("second client")),
        "cose",
    )
    yield _draft_entry(
        "WrongNetwork",
        "signed for another network",
        first,
        prove(first, network=OTHER_NETWORK),
        "cose",
    )
    yield _draft_entry("WrongEpoch", "signed for epoch 1", first, prove(first, epoch=1), "cose")
    yield _draft_entry(
        "WrongCommittee",
        "signed for a committee",
        first,
        prove(first, committee=COMMITTEE),
        "cose",
    )
    yield _draft_entry(
        "WrongType", "signed as a commit", first, prove(first, kind="commit"), "cose"
    )
    yield _draft_entry("TooFewSigners", "two of four", ours, prove_committee(ours, 2), "semantics")
    yield _draft_entry(
        "WrongEpoch",
        "certified for another epoch",
        ours,
        prove_committee(ours, epoch=9),
        "semantics",
    )
    yield _draft_entry(
        "WrongType",
        "certified as a checkpoint",
        ours,
        prove_committee(ours, kind="checkpoint"),
        "semantics",
    )
