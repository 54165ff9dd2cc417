"""Light proofs: what a committee's log says, checked from a trusted anchor without a replay.

A bundle follows the epochs by their certificates alone: each `EpochEnd` shows, under the signatures
of a quorum whose members are known already, who the next members are. The facts it is about stand
in an entry with their Merkle paths (RFC 6962, section 2.1.1), and the headers from there on link
to one that a quorum of the last epoch certified.

Whoever was a member long ago may have its bond back and sign anything: an anchor older than the
network's `unbonding_ms` proves nothing (weak subjectivity), so a client saves a newer one whenever
it has checked a bundle. docs/protocol-light.md describes the bytes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from crdt import log
from crdt.facts import AnyFact, EpochBegan, Semantics, decode_fact
from crdt.heads import Prover, get_head
from identity import cbor, schema
from identity.certificate import Certificate
from identity.errors import EconodeError, InvalidSchema
from identity.schema import U63, CommitteeId, Digest, Key, TimeMs
from protocols.committee import Committee
from protocols.genesis import MEMBERS_MAX, Genesis
from protocols.messages import CERTIFICATE_BYTES_MAX

FORMAT = "econode/light"
VERSION = 1
BUNDLE_BYTES_MAX = 64 * 1024 * 1024
EPOCHS_MAX = 4_096
"""Epochs that one bundle follows; a client further behind saves anchors on the way."""
HEADERS_MAX = 4_096
"""Headers from the entry of the facts to the certified one."""
FACTS_MAX = 4_096
PATH_MAX = 16
"""log.ITEMS_MAX leaves make a tree of this height."""

CertificateBytes = Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_BYTES_MAX)]


class StaleAnchor(EconodeError):
    """The trusted anchor is older than the network lets members take their bonds back."""


class ProvenFact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The item at `index` of an entry, with its path to the entry's root."""

    data: Annotated[bytes, msgspec.Meta(max_length=log.ITEM_BYTES_MAX)]
    index: U63
    path: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=PATH_MAX)]


class ProvenEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A header of the committee's log and some of its `count` items."""

    header: log.Header
    count: U63
    facts: Annotated[tuple[ProvenFact, ...], msgspec.Meta(max_length=FACTS_MAX)]


class EpochEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The entry that ended an epoch with its EpochBegan, and the ending quorum's certificate."""

    entry: ProvenEntry
    certificate: CertificateBytes


class Bundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Facts of one entry, and what proves them. `headers` are those after the entry's, up to the
    certified one; without any the entry itself is certified."""

    network: Digest
    committee: CommitteeId
    epochs: Annotated[tuple[EpochEnd, ...], msgspec.Meta(max_length=EPOCHS_MAX)]
    entry: ProvenEntry
    headers: Annotated[tuple[log.Header, ...], msgspec.Meta(max_length=HEADERS_MAX)]
    certificate: CertificateBytes


class Anchor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a client trusts: who the members are in `epoch`, as of the agreed time `time_ms`, and
    by which version of the semantics it is executed."""

    network: Digest
    committee: CommitteeId
    epoch: U63
    start: U63
    members: Annotated[tuple[Key, ...], msgspec.Meta(min_length=1, max_length=MEMBERS_MAX)]
    time_ms: TimeMs
    unbonding_ms: TimeMs
    semantics: Semantics = 1


@dataclass(frozen=True, slots=True)
class Proven:
    """What a bundle proves. `anchor` is as new as its certificate; `signers` of `n` members made
    that."""

    position: int
    time_ms: int
    facts: tuple[AnyFact, ...]
    certified_position: int
    signers: int
    n: int
    anchor: Anchor
    followed: tuple[tuple[Committee, int], ...]
    """The epochs after the trusted one, each with the agreed time at which it began."""


def make_anchor(genesis: Genesis) -> Anchor:
    """The anchor that a network's genesis is."""
    committee = genesis.make_committee()
    return Anchor(
        network=committee.network,
        committee=committee.id,
        epoch=committee.epoch,
        start=committee.start,
        members=committee.members,
        time_ms=genesis.created_ms,
        unbonding_ms=genesis.parameters.unbonding_ms,
    )


def prove_items(header: log.Header, items: Sequence[bytes], chosen: Sequence[int]) -> ProvenEntry:
    """The entry with `header` and the items at the `chosen` places."""
    paths = log.compute_paths(items, chosen)
    facts = tuple(ProvenFact(items[i], i, path) for i, path in zip(chosen, paths, strict=True))
    return ProvenEntry(header, len(items), facts)


def encode_bundle(bundle: Bundle) -> bytes:
    """The bytes of a bundle file: [FORMAT, VERSION, SHA-256 of the payload, payload]."""
    payload = schema.encode(bundle)
    return cbor.encode([FORMAT, VERSION, hashlib.sha256(payload).digest(), payload])


def decode_bundle(data: bytes) -> Bundle:
    """Raises InvalidBytes for anything but a whole bundle. Nothing is proven by that."""
    match cbor.decode(data, size_max=BUNDLE_BYTES_MAX):
        case [str(name), int(version), bytes(digest), bytes(payload)] if (
            name == FORMAT and version is not True
        ):
            pass
        case _:
            raise InvalidSchema("not a light proof")
    if version != VERSION:
        raise InvalidSchema(f"a light proof of version {version}, this program reads {VERSION}")
    if hashlib.sha256(payload).digest() != digest:
        raise InvalidSchema("the light proof is damaged")
    return schema.decode(payload, Bundle, size_max=BUNDLE_BYTES_MAX)


def verify_bundle(bundle: Bundle, anchor: Anchor, now_ms: int) -> Proven:
    """What `bundle` proves to somebody who trusts `anchor`. `now_ms` is the client's own clock.

    Raises StaleAnchor, or InvalidBytes when it proves nothing.
    """
    check_anchor(anchor, bundle.network, bundle.committee, now_ms)
    committee, followed = follow_epochs(anchor, bundle.epochs)
    time_ms = followed[-1][1] if followed else anchor.time_ms
    certified = _check_chain(bundle)
    signers = _check_head(committee, certified, bundle.certificate)
    facts = _check_items(bundle.entry)
    return Proven(
        position=bundle.entry.header.position,
        time_ms=bundle.entry.header.time_ms,
        facts=facts,
        certified_position=certified.position,
        signers=signers,
        n=committee.n,
        anchor=msgspec.structs.replace(
            anchor,
            epoch=committee.epoch,
            start=committee.start,
            members=committee.members,
            semantics=committee.semantics,
            time_ms=max(anchor.time_ms, time_ms, certified.time_ms),
        ),
        followed=tuple(followed),
    )


def check_anchor(anchor: Anchor, network: bytes, committee: bytes, now_ms: int) -> None:
    """Raise StaleAnchor, or InvalidSchema where a proof is of another place than the anchor."""
    if now_ms - anchor.time_ms > anchor.unbonding_ms:
        days = (now_ms - anchor.time_ms) // 86_400_000
        raise StaleAnchor(
            f"the trusted anchor is {days} days old: former members may sign anything"
        )
    if (network, committee) != (anchor.network, anchor.committee):
        raise InvalidSchema("a proof of another network or committee than the anchor's")


def follow_epochs(
    anchor: Anchor, epochs: Sequence[EpochEnd]
) -> tuple[Committee, list[tuple[Committee, int]]]:
    """The committee of the last epoch, and each one after the anchor's with the agreed time at
    which it began. Raises InvalidBytes."""
    committee = _read_members(anchor)
    followed: list[tuple[Committee, int]] = []
    for end in epochs:
        began = _read_began(end)
        if began.epoch <= committee.epoch:
            continue  # the anchor is newer
        committee, time_ms = _follow(committee, end, began)
        followed.append((committee, time_ms))
    return committee, followed


def _read_members(anchor: Anchor) -> Committee:
    try:
        place = (anchor.network, anchor.committee, anchor.epoch, anchor.members, anchor.start)
        return Committee(*place, semantics=anchor.semantics)
    except ValueError as error:
        raise InvalidSchema(f"the anchor: {error}") from None


def _read_began(end: EpochEnd) -> EpochBegan:
    facts = _check_items(end.entry)
    if len(facts) != 1 or not isinstance(facts[0], EpochBegan):
        raise InvalidSchema("an epoch is ended by one EpochBegan")
    return facts[0]


def _follow(committee: Committee, end: EpochEnd, began: EpochBegan) -> tuple[Committee, int]:
    """The epoch after `committee`'s, and the agreed time at which it began."""
    header = end.entry.header
    if began.epoch != committee.epoch + 1:
        raise InvalidSchema(f"epoch {began.epoch} does not follow epoch {committee.epoch}")
    _check_head(committee, header, end.certificate)
    if began.semantics < committee.semantics:
        raise InvalidSchema(f"epoch {began.epoch} goes back to former semantics")
    place = (committee.network, committee.id, began.epoch, began.members)
    try:
        next_ = Committee(*place, header.position, semantics=began.semantics)
        return next_, header.time_ms
    except ValueError as error:
        raise InvalidSchema(f"epoch {began.epoch}: {error}") from None


def _check_head(committee: Committee, header: log.Header, proof: bytes) -> int:
    """How many members signed the head that `header` is."""
    prover = Prover(committee.network, {committee.id: (committee.make_voters(),)})
    prover.check(get_head(header), proof)
    found = Certificate.decode(proof, committee.network, size_max=CERTIFICATE_BYTES_MAX)
    return len(found.signatures)


def _check_chain(bundle: Bundle) -> log.Header:
    """The last header; each links to the one before it."""
    last = bundle.entry.header
    for header in bundle.headers:
        if (header.position, header.previous) != (last.position + 1, last.hash()):
            raise InvalidSchema(f"header {header.position} does not link to the one before it")
        last = header
    return last


def _check_items(entry: ProvenEntry) -> tuple[AnyFact, ...]:
    for fact in entry.facts:
        if not log.verify_path(fact.data, fact.index, entry.count, fact.path, entry.header.root):
            raise InvalidSchema(f"item {fact.index} is not in the entry")
    return tuple(decode_fact(fact.data) for fact in entry.facts)
