"""Vectors of view changes beyond their form: what a VIEW-CHANGE must prove, and whether a NEW-VIEW
begins its view."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import msgspec

from crdt.log import HEAD_KIND, Head
from devnet.vectors.cases import NewViewCase
from devnet.vectors.consensus_traces import GENESIS, PLACE
from devnet.vectors.draft import Draft, make_file
from devnet.vectors.form import Layer, Setting, VectorFile
from devnet.vectors.places import (
    COMMITTEE,
    EPOCH,
    MEMBERS,
    OTHER_COMMITTEE,
    OTHER_NETWORK,
    STRANGER,
    Seal,
    digest,
)
from devnet.vectors.proofs import KNOWN, QUORUM, certify
from identity import schema
from identity.keys import PrivateKey
from protocols.committee import Committee
from protocols.messages import (
    CHECKPOINT_KIND,
    NEW_VIEW_KIND,
    PRE_PREPARE_KIND,
    PREPARE_KIND,
    VIEW_CHANGE_BYTES_MAX,
    VIEW_CHANGE_KIND,
    Assigned,
    Checkpoint,
    NewView,
    Prepare,
    PreparedProof,
    PrePrepare,
    ViewChange,
)
from protocols.pbft.new_view import NULL_DIGEST
from protocols.pbft.trail import WINDOW_CHECKPOINTS

START = 40
"""Where the epoch of the vectors of VIEW-CHANGEs begins."""
WINDOW = WINDOW_CHECKPOINTS * GENESIS.parameters.checkpoint_batches
BATCH, OTHER_BATCH = digest("batch"), digest("other batch")


def make_files() -> Iterator[VectorFile]:
    setting = msgspec.structs.replace(
        KNOWN, kind=VIEW_CHANGE_KIND, start=START, window=WINDOW, size_max=VIEW_CHANGE_BYTES_MAX
    )
    about = "VIEW-CHANGEs in the right form: does everything in them hold?"
    yield make_file("view-change-proofs", "view_change", about, setting, _list_view_changes())
    about = "NEW-VIEWs and the VIEW-CHANGEs before them: does the view begin?"
    yield make_file("new-view-proofs", "new_view", about, Setting(), _list_new_views())


def _sign(key: PrivateKey, kind: str, payload: msgspec.Struct, place: Committee | None) -> Seal:
    if place is None:
        return Seal(key, schema.encode(payload), kind, epoch=EPOCH)
    return Seal(key, schema.encode(payload), kind, place.network, place.id, place.epoch)


def _prove(view: int, seq: int, place: Committee | None = None, **changes: Any) -> PreparedProof:
    """A prepared certificate: of its view's primary and two backups. `prepares`: their keys;
    `said`: what each says instead; `moved`: where it was signed; `leader`: who proposes."""
    batch = changes.get("batch", BATCH)
    leader = changes.get("leader", MEMBERS[view % len(MEMBERS)])
    backups = [key for key in MEMBERS if key is not leader][: QUORUM - 1]
    proposal = changes.get("proposal", PrePrepare(view, seq, batch))
    kind = changes.get("kind", PREPARE_KIND)
    moved = changes.get("moved", {})
    said = changes.get("said", Prepare(view, seq, batch))
    pre_prepare = _sign(leader, PRE_PREPARE_KIND, proposal, place)
    prepares = [
        replace(_sign(key, kind, said, place), **moved).encode()
        for key in changes.get("prepares", backups)
    ]
    if changes.get("is_spoiled"):
        pre_prepare = replace(pre_prepare, signature=bytes(64))
    return PreparedProof(view, seq, batch, pre_prepare.encode(), tuple(prepares))


# --- VIEW-CHANGEs --------------------------------------------------------------------------------


def _head(position: int, **changes: Any) -> bytes:
    payload = schema.encode(Head(COMMITTEE, position, digest(f"entry {position}")))
    keys = changes.pop("signers", MEMBERS[:QUORUM])
    return certify(keys, payload, **{"kind": HEAD_KIND, **changes}).encode()


def _checkpoint(seq: int) -> bytes:
    payload = schema.encode(Checkpoint(seq, digest("head"), digest("state")))
    return certify(MEMBERS[1:], payload, kind=CHECKPOINT_KIND).encode()


def _draft(
    flag: str, comment: str, message: ViewChange, layer: Layer | None = None, **changes: Any
) -> Draft:
    seal = _sign(changes.pop("key", MEMBERS[2]), VIEW_CHANGE_KIND, message, None)
    seal = replace(seal, **changes)
    value = msgspec.to_builtins(message, builtin_types=(bytes,))
    return Draft(flag, comment, seal.encode(), layer, value, seal.payload, seal)


def _change(*prepared: PreparedProof, base: int = START, proof: bytes = b"") -> ViewChange:
    return ViewChange(5, base, proof, prepared)


def _list_view_changes() -> Iterator[Draft]:
    good = _change(_prove(3, 42), base=41, proof=_head(41))
    yield _draft("Valid", "nothing since the epoch began", _change())
    yield _draft("Valid", "a certified head, and one batch prepared since", good)
    yield _draft("Valid", "a checkpoint for its base", _change(base=50, proof=_checkpoint(50)))
    gap = _change(_prove(0, 41), _prove(4, 43, batch=OTHER_BATCH))
    yield _draft("Valid", "two batches prepared in two views, nothing between", gap)
    last = START + 2 * WINDOW
    yield _draft("EdgeOfBounds", "prepared at the window's end", _change(_prove(4, last)))
    everybody = _prove(4, 41, prepares=MEMBERS[1:])
    yield _draft("EdgeOfBounds", "prepared by all four", _change(everybody))
    yield _draft("NotAMember", "a stranger leaves", good, "schema", key=STRANGER)
    yield _draft("WrongEpoch", "of the epoch after", good, "schema", epoch=EPOCH + 1)
    committee = {"committee": OTHER_COMMITTEE}
    yield _draft("WrongCommittee", "of another committee", good, "schema", **committee)
    yield _draft("WrongNetwork", "of another network", good, "cose", network=OTHER_NETWORK)
    yield from _list_bases()
    yield from _list_prepared()
    yield from _list_orders()


def _list_bases() -> Iterator[Draft]:
    for flag, comment, proof, layer in (
        ("MissingProof", "a base without a certificate", b"", "cbor"),
        ("MissingProof", "the certificate of another position", _head(42), "schema"),
        ("MissingProof", "a checkpoint of another position", _checkpoint(60), "schema"),
        ("TooFewSigners", "a base that two certify", _head(41, signers=MEMBERS[:2]), "semantics"),
        (
            "NotAMember",
            "a base that two members and a stranger certify",
            _head(41, signers=[*MEMBERS[:2], STRANGER]),
            "semantics",
        ),
        ("WrongEpoch", "a base certified in another epoch", _head(41, epoch=EPOCH - 1), "schema"),
        (
            "WrongCommittee",
            "a base of another committee",
            _head(41, committee=OTHER_COMMITTEE),
            "schema",
        ),
        ("WrongNetwork", "a base of another network", _head(41, network=OTHER_NETWORK), "cose"),
        ("WrongType", "a base certified as a commit", _head(41, kind="commit"), "schema"),
    ):
        message = _change(base=41, proof=proof)
        yield _draft(flag, comment, message, layer)  # type: ignore[arg-type]
    early = _change(base=START - 1, proof=_head(START - 1))
    yield _draft("WrongPosition", "a base before the epoch", early, "schema")


def _list_prepared() -> Iterator[Draft]:
    """One prepared certificate that proves nothing."""
    two = MEMBERS[1:QUORUM]
    for flag, comment, changes, layer in (
        ("TooFewSigners", "a single PREPARE", {"prepares": MEMBERS[1:2]}, "schema"),
        ("TooFewSigners", "no PREPARE", {"prepares": ()}, "schema"),
        ("RepeatedSigner", "one PREPARE twice", {"prepares": (MEMBERS[1],) * 2}, "schema"),
        ("NotAMember", "a stranger's PREPARE", {"prepares": (*two, STRANGER)}, "schema"),
        ("NotAMember", "the primary's PREPARE", {"prepares": (*two, MEMBERS[0])}, "schema"),
        ("SwappedSigner", "proposed by a backup", {"leader": MEMBERS[2]}, "schema"),
        ("BadSignatureInside", "a PREPARE of zeros", {"moved": {"signature": bytes(64)}}, "cose"),
        ("BadSignatureInside", "a PRE-PREPARE of zeros", {"is_spoiled": True}, "cose"),
        ("WrongHash", "PREPAREs of another batch", {"said": Prepare(4, 41, OTHER_BATCH)}, "schema"),
        (
            "WrongHash",
            "a PRE-PREPARE of another batch",
            {"proposal": PrePrepare(4, 41, OTHER_BATCH)},
            "schema",
        ),
        ("WrongView", "PREPAREs of another view", {"said": Prepare(3, 41, BATCH)}, "schema"),
        ("WrongPosition", "PREPAREs of position 42", {"said": Prepare(4, 42, BATCH)}, "schema"),
        ("WrongType", "COMMITs for PREPAREs", {"kind": "commit"}, "schema"),
        ("WrongEpoch", "PREPAREs of another epoch", {"moved": {"epoch": EPOCH - 1}}, "schema"),
        (
            "WrongCommittee",
            "PREPAREs of another committee",
            {"moved": {"committee": OTHER_COMMITTEE}},
            "schema",
        ),
        ("WrongNetwork", "PREPAREs abroad", {"moved": {"network": OTHER_NETWORK}}, "cose"),
    ):
        message = _change(_prove(4, 41, **changes))  # type: ignore[arg-type]
        yield _draft(flag, comment, message, layer)  # type: ignore[arg-type]


def _list_orders() -> Iterator[Draft]:
    """Good certificates that do not belong there, or not in this order."""
    for flag, comment, prepared in (
        ("WrongPosition", "prepared at the base", (_prove(4, START),)),
        ("WrongPosition", "prepared far beyond it", (_prove(4, START + 2 * WINDOW + 1),)),
        ("WrongPosition", "positions in descending order", (_prove(4, 42), _prove(4, 41))),
        ("Replay", "one position twice", (_prove(3, 41), _prove(4, 41, batch=OTHER_BATCH))),
        ("WrongView", "prepared in the view that it asks for", (_prove(5, 41),)),
        ("WrongView", "prepared in a later view", (_prove(6, 41),)),
    ):
        yield _draft(flag, comment, _change(*prepared), "schema")


# --- NEW-VIEWs -----------------------------------------------------------------------------------


def _leave(index: int, *prepared: PreparedProof, view: int = 1, **changes: Any) -> bytes:
    """The VIEW-CHANGE of a member: its `base` and `proof`, and what is signed wrongly."""
    message = ViewChange(view, changes.pop("base", 0), changes.pop("proof", b""), prepared)
    return replace(_sign(MEMBERS[index], VIEW_CHANGE_KIND, message, PLACE), **changes).encode()


def _begin(
    changes: Sequence[bytes], proposals: Sequence[Assigned] = (), view: int = 1, **wrong: Any
) -> bytes:
    """The NEW-VIEW of the view's primary. `key`: of another signer; what else is signed wrongly."""
    names = wrong.pop("names", tuple(sha256(data).digest() for data in changes))
    key = wrong.pop("key", MEMBERS[view % len(MEMBERS)])
    message = NewView(view, names, tuple(proposals))
    return replace(_sign(key, NEW_VIEW_KIND, message, PLACE), **wrong).encode()


def _case(changes: Sequence[bytes], new_view: bytes) -> NewViewCase:
    return NewViewCase(schema.encode(GENESIS), tuple(changes), new_view)


def _here(view: int, seq: int, **changes: Any) -> PreparedProof:
    return _prove(view, seq, PLACE, **changes)


def _draft_case(flag: str, comment: str, case: NewViewCase, layer: Layer | None = None) -> Draft:
    """Without the notation: what is said stands in the statements."""
    return Draft(flag, comment, schema.encode(case), layer)


NOTHING = tuple(_leave(index) for index in (1, 2, 3))
PREPARED = (_leave(1), _leave(2, _here(0, 1)), _leave(3, _here(0, 1), _here(0, 3)))
"""The batch at 1 was prepared by two, that at 3 by one."""
TWO_VIEWS = (
    _leave(0, _here(0, 1, batch=OTHER_BATCH), view=2),
    _leave(1, view=2),
    _leave(2, _here(1, 1), view=2),
)
"""At one position a batch of view 0, and another one of view 1."""


def _prove_base() -> bytes:
    payload = schema.encode(Head(PLACE.id, 2, digest("entry 2")))
    place = {"network": PLACE.network, "committee": PLACE.id, "epoch": 0}
    return certify(MEMBERS[:QUORUM], payload, kind=HEAD_KIND, **place).encode()


BASED = (_leave(1, base=2, proof=_prove_base()), *PREPARED[1:])
"""One has proof that everything up to 2 is executed."""
FOLLOWING = (Assigned(1, BATCH), Assigned(2, NULL_DIGEST), Assigned(3, BATCH))


def _list_new_views() -> Iterator[Draft]:
    for comment, changes, proposals, view in (
        ("nothing was prepared", NOTHING, (), 1),
        ("what was prepared, and a null batch between", PREPARED, FOLLOWING, 1),
        ("of two views' certificates the later one", TWO_VIEWS, (Assigned(1, BATCH),), 2),
        ("from the highest base on", BASED, FOLLOWING[2:], 1),
    ):
        case = _case(changes, _begin(changes, proposals, view))
        yield _draft_case("Valid", comment, case)
    everybody = (_leave(0), *PREPARED)
    case = _case(everybody, _begin(everybody, FOLLOWING))
    yield _draft_case("EdgeOfBounds", "VIEW-CHANGEs of all four", case)
    case = _case(everybody, _begin(PREPARED, FOLLOWING))
    yield _draft_case("EdgeOfBounds", "one VIEW-CHANGE more than it names", case)
    yield from _list_outcomes()
    yield from _list_supports()
    yield from _list_signers()


def _list_outcomes() -> Iterator[Draft]:
    """O does not follow from the VIEW-CHANGEs."""
    other = Assigned(1, OTHER_BATCH)
    for flag, comment, changes, proposals, view in (
        ("HiddenPrepared", "nothing of what was prepared", PREPARED, (), 1),
        ("HiddenPrepared", "the last one left out", PREPARED, FOLLOWING[:2], 1),
        (
            "HiddenPrepared",
            "a null batch for a prepared one",
            PREPARED,
            (Assigned(1, NULL_DIGEST), *FOLLOWING[1:]),
            1,
        ),
        ("HiddenPrepared", "the certificate of the earlier view", TWO_VIEWS, (other,), 2),
        ("WrongResult", "a batch that nobody prepared", NOTHING, (other,), 1),
        ("WrongResult", "another batch", PREPARED, (other, *FOLLOWING[1:]), 1),
        ("WrongResult", "a gap", PREPARED, (FOLLOWING[0], FOLLOWING[2]), 1),
        ("WrongResult", "in descending order", PREPARED, FOLLOWING[::-1], 1),
        ("WrongResult", "from a lower base on", BASED, FOLLOWING, 1),
    ):
        case = _case(changes, _begin(changes, proposals, view))
        yield _draft_case(flag, comment, case, "schema")


def _list_supports() -> Iterator[Draft]:
    """The VIEW-CHANGEs are too few, or others."""
    few = NOTHING[:2]
    yield _draft_case("TooFewSigners", "two VIEW-CHANGEs", _case(few, _begin(few)), "schema")
    yield _draft_case("TooFewSigners", "none", _case(NOTHING, _begin(())), "schema")
    twice = (*NOTHING[:2], NOTHING[0])
    case = _case(NOTHING, _begin(twice))
    yield _draft_case("RepeatedSigner", "one VIEW-CHANGE named twice", case, "schema")
    for flag, comment, changes in (
        ("MissingProof", "a VIEW-CHANGE that is not there", few),
        ("MissingProof", "no VIEW-CHANGE is there", ()),
    ):
        yield _draft_case(flag, comment, _case(changes, _begin(NOTHING)), "semantics")
    for flag, comment, third, layer in (
        ("WrongView", "a VIEW-CHANGE for another view", _leave(3, view=2), "semantics"),
        ("WrongEpoch", "a VIEW-CHANGE of another epoch", _leave(3, epoch=1), "semantics"),
        (
            "WrongCommittee",
            "a VIEW-CHANGE of another committee",
            _leave(3, committee=OTHER_COMMITTEE),
            "schema",
        ),
        (
            "WrongNetwork",
            "a VIEW-CHANGE of another network",
            _leave(3, network=OTHER_NETWORK),
            "cose",
        ),
        (
            "BadSignatureInside",
            "a VIEW-CHANGE with zeros for its signature",
            _leave(3, signature=bytes(64)),
            "cose",
        ),
        (
            "MissingProof",
            "a VIEW-CHANGE that proves its base by nothing",
            _leave(3, base=2),
            "cbor",
        ),
        (
            "TooFewSigners",
            "a VIEW-CHANGE with a single PREPARE",
            _leave(3, _here(0, 1, prepares=MEMBERS[1:2])),
            "schema",
        ),
        ("NotAMember", "a stranger's VIEW-CHANGE", _leave(3, key=STRANGER), "semantics"),
    ):
        changes = (*few, third)
        yield _draft_case(flag, comment, _case(changes, _begin(changes)), layer)  # type: ignore[arg-type]


def _list_signers() -> Iterator[Draft]:
    """The NEW-VIEW is another's, or of another place."""
    for flag, comment, wrong, layer in (
        ("SwappedSigner", "a NEW-VIEW of a backup", {"key": MEMBERS[2]}, "schema"),
        ("NotAMember", "a NEW-VIEW of a stranger", {"key": STRANGER}, "schema"),
        ("WrongView", "a NEW-VIEW for view 0", {"view": 0, "key": MEMBERS[1]}, "semantics"),
        ("WrongView", "a NEW-VIEW for view 2", {"view": 2}, "semantics"),
        ("WrongEpoch", "a NEW-VIEW of another epoch", {"epoch": 1}, "semantics"),
        ("WrongCommittee", "of another committee", {"committee": OTHER_COMMITTEE}, "schema"),
        ("WrongNetwork", "of another network", {"network": OTHER_NETWORK}, "cose"),
        ("WrongType", "a NEW-VIEW signed as a commit", {"kind": "commit"}, "schema"),
        ("NoSignature", "a signature of zeros", {"signature": bytes(64)}, "cose"),
    ):
        case = _case(NOTHING, _begin(NOTHING, **wrong))  # type: ignore[arg-type]
        yield _draft_case(flag, comment, case, layer)  # type: ignore[arg-type]
