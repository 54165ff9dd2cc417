"""Light proofs and anchors as files: proofs in CBOR, anchors in JSON."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from identity import schema
from identity.errors import EconodeError
from identity.keys import compute_peer_id, parse_peer_id
from node.files import read_bounded, write_atomic
from node.problem import Problem
from node.service import describe_fact
from protocols.genesis import MEMBERS_MAX
from protocols.light import (
    BUNDLE_BYTES_MAX,
    Anchor,
    Proven,
    StaleAnchor,
    decode_bundle,
    verify_bundle,
)

ANCHOR_BYTES_MAX = 64 * 1024


class AnchorDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of an anchor file: digests in hex, members by PeerId."""

    network: str
    committee: str
    epoch: int
    start: int
    members: list[str]
    time_ms: int
    unbonding_ms: int
    semantics: int = 1


def read_anchor(path: Path) -> Anchor:
    """Raises Problem for a file that is no anchor."""
    data = read_bounded(path, ANCHOR_BYTES_MAX)
    try:
        document = msgspec.json.decode(data, type=AnchorDocument)
        plain = {
            **msgspec.structs.asdict(document),
            "network": bytes.fromhex(document.network),
            "committee": bytes.fromhex(document.committee),
            "members": [parse_peer_id(peer) for peer in document.members[: MEMBERS_MAX + 1]],
        }
        return schema.convert(plain, Anchor)
    except (msgspec.DecodeError, ValueError, EconodeError) as error:
        raise Problem(
            "invalid-anchor",
            f"not an anchor: {error}",
            where=str(path),
            remedy="give a file that `econode ledger verify --light FILE --save-anchor` wrote",
        ) from None


def write_anchor(path: Path, anchor: Anchor) -> None:
    document = AnchorDocument(
        network=anchor.network.hex(),
        committee=anchor.committee.hex(),
        epoch=anchor.epoch,
        start=anchor.start,
        members=[compute_peer_id(key) for key in anchor.members],
        time_ms=anchor.time_ms,
        unbonding_ms=anchor.unbonding_ms,
        semantics=anchor.semantics,
    )
    write_atomic(path, msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


def verify_file(path: Path, anchor: Anchor, now_ms: int) -> Proven:
    """What the light proof at `path` proves. Raises Problem when that is nothing."""
    remedy = (
        "take the proof anew, from another node (econode ledger prove), and check it against the "
        "genesis or the anchor of that network"
    )
    with explain_unproven(path, remedy):
        data = read_bounded(path, BUNDLE_BYTES_MAX)
        return verify_bundle(decode_bundle(data), anchor, now_ms)


@contextmanager
def explain_unproven(path: Path, remedy: str) -> Iterator[None]:
    """Raise a Problem about the file at `path` where it proves nothing; `remedy` then helps."""
    try:
        yield
    except StaleAnchor as error:
        raise Problem(
            "stale-anchor",
            str(error),
            where=str(path),
            remedy="trust a newer one: --anchor with a file that `econode ledger verify --light "
            "FILE --save-anchor` wrote here or at somebody you trust",
        ) from None
    except EconodeError as error:
        if isinstance(error, Problem):
            raise
        raise Problem(
            "not-proven", f"it proves nothing: {error}", where=str(path), remedy=remedy
        ) from None


def describe(proven: Proven) -> dict[str, Any]:
    """Plain data for a person or a program."""
    return {
        "proven": True,
        "position": proven.position,
        "time_ms": proven.time_ms,
        "epoch": proven.anchor.epoch,
        "certified_position": proven.certified_position,
        "signers": proven.signers,
        "members": proven.n,
        "facts": [describe_fact(fact) for fact in proven.facts],
    }
