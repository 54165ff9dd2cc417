"""Vectors of changes of members, as light proofs show them."""

from collections.abc import Iterator
from typing import Any

import msgspec

from crdt import log
from crdt.facts import EpochBegan, encode_fact
from crdt.heads import get_head
from devnet.vectors.draft import Draft, make_file
from devnet.vectors.form import VectorFile
from devnet.vectors.places import (
    COMMITTEE,
    CREATED_MS,
    FIRST,
    GENESIS,
    MEMBER_KEYS,
    MEMBERS,
    NETWORK,
    OTHER_COMMITTEE,
    OTHER_NETWORK,
    STRANGER,
    digest,
    make_key,
)
from devnet.vectors.proofs import KNOWN, QUORUM, certify
from identity import cbor, schema
from protocols import light


def make_files() -> Iterator[VectorFile]:
    about = "Changes of epochs as a light client follows them, from the members of epoch 0."
    setting = msgspec.structs.replace(
        KNOWN,
        epoch=0,
        now_ms=CREATED_MS + 1_000_000,
        anchor_ms=CREATED_MS,
        unbonding_ms=GENESIS.parameters.unbonding_ms,
    )
    yield make_file("epoch-change", "light", about, setting, _list_epochs())
    stale = msgspec.structs.replace(setting, now_ms=CREATED_MS + setting.unbonding_ms + 1)
    about = "The same, for a reader that trusts members of too long ago."
    drafts = [Draft("Stale", "an anchor older than unbonding_ms", _bundle().encode(), "semantics")]
    yield make_file("epoch-change-stale", "light", about, stale, drafts)


class _Bundle:
    """A light proof of the first change of members, each part of which may be made wrong."""

    def __init__(self, **changes: Any) -> None:
        joiner = make_key("joiner").public
        self.members = tuple(changes.get("members", sorted((*MEMBER_KEYS, joiner))))
        began = EpochBegan(
            epoch=changes.get("epoch", 1),
            members=self.members,
            joined=(joiner,),
            left=(),
            expelled=(),
            moves=(),
        )
        items = [encode_fact(began)]
        self.entry = log.append(COMMITTEE, 12, digest("entry 11"), CREATED_MS + 5, items)
        signers = changes.get("signers", MEMBERS[:QUORUM])
        payload = schema.encode(get_head(self.entry.header))
        place = changes.get("place", {})
        self.certificate = certify(signers, payload, **{"epoch": 0, **place}).encode()
        self.next = log.append(
            COMMITTEE, 13, changes.get("previous", self.entry.header.hash()), CREATED_MS + 9, [b"x"]
        )
        payload = schema.encode(get_head(self.next.header))
        chosen = changes.get("next_signers", [*MEMBERS, make_key("joiner")])
        self.last = certify(chosen, payload, epoch=1).encode()
        self.path = changes.get("path", ())
        self.network = changes.get("network", NETWORK)
        self.committee = changes.get("committee", COMMITTEE)

    def encode(self) -> bytes:
        fact = light.ProvenFact(self.entry.items[0], 0, self.path)
        proven = light.ProvenEntry(self.entry.header, 1, (fact,))
        end = light.EpochEnd(proven, self.certificate)
        headers = (self.next.header,)
        return light.encode_bundle(
            light.Bundle(self.network, self.committee, (end,), proven, headers, self.last)
        )


def _bundle(**changes: Any) -> _Bundle:
    return _Bundle(**changes)


def _list_epochs() -> Iterator[Draft]:
    assert FIRST.q == QUORUM
    joiner = make_key("joiner")
    yield Draft("Valid", "a member joins, all five certify what follows", _bundle().encode())
    four = _bundle(next_signers=[*MEMBERS[:3], joiner])
    yield Draft("Valid", "four of the five certify what follows", four.encode())
    for flag, words, changes, layer in (
        ("TooFewSigners", "two of four end the epoch", {"signers": MEMBERS[:2]}, "semantics"),
        (
            "TooFewSigners",
            "three of five certify what follows",
            {"next_signers": MEMBERS[:3]},
            "semantics",
        ),
        (
            "NotAMember",
            "the joiner signs the end of the epoch before",
            {"signers": [*MEMBERS[:2], joiner]},
            "semantics",
        ),
        (
            "NotAMember",
            "a stranger among those who certify",
            {"next_signers": [*MEMBERS[:3], STRANGER]},
            "semantics",
        ),
        ("WrongEpoch", "an epoch is left out", {"epoch": 2}, "schema"),
        ("WrongEpoch", "the certificate is of epoch 1", {"place": {"epoch": 1}}, "semantics"),
        ("WrongNetwork", "a proof of another network", {"network": OTHER_NETWORK}, "schema"),
        (
            "WrongCommittee",
            "a proof of another committee",
            {"committee": OTHER_COMMITTEE},
            "schema",
        ),
        ("WrongHash", "what follows links to something else", {"previous": digest("x")}, "schema"),
        ("WrongPosition", "a path where there is one item", {"path": (digest("x"),)}, "schema"),
        (
            "UnorderedSigners",
            "members in descending order",
            {"members": MEMBER_KEYS[::-1]},
            "schema",
        ),
        ("RepeatedSigner", "a member twice", {"members": (MEMBER_KEYS[0],) * 2}, "schema"),
    ):
        yield Draft(flag, words, _bundle(**changes).encode(), layer)  # type: ignore[arg-type]
    data = _bundle().encode()
    yield Draft("ChangedByte", "a byte of the payload", data[:-9] + b"\0" + data[-8:], "schema")
    yield Draft("Truncated", "without its last byte", data[:-1], "cbor")
    yield Draft("TrailingBytes", "a byte after it", data + b"\0", "cbor")
    value = cbor.decode(data, size_max=len(data))
    yield Draft("OtherForm", "another version", cbor.encode([value[0], 2, *value[2:]]), "schema")
    yield Draft("OtherForm", "another format", cbor.encode(["econode/lite", *value[1:]]), "schema")
