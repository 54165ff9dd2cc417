"""Changed VIEW-CHANGEs and NEW-VIEWs: certificates left out, forged or of another batch."""

import hashlib
from collections.abc import Mapping
from random import Random

import msgspec

from devnet.sim.forge import change_field, resign
from devnet.sim.plan import VIEW_LIES, Habit
from identity import envelope, schema
from identity.certificate import Certificate
from identity.envelope import Context
from identity.keys import PrivateKey
from protocols.committee import Committee
from protocols.messages import (
    CHECKPOINT_KIND,
    NEW_VIEW_KIND,
    PRE_PREPARE_KIND,
    VIEW_CHANGE_KIND,
    Assigned,
    CarryNewView,
    CarryViewChange,
    Checkpoint,
    FetchBody,
    GiveBody,
    Hop,
    NewView,
    PreparedProof,
    PrePrepare,
    ViewChange,
    compute_batch_digest,
)
from protocols.pbft.new_view import compute_proposals

BYTES_MAX = 1 << 20
BASE_JUMPS = (1, 20, 1_000)


def mutate_carried(
    random: Random,
    key: PrivateKey,
    committee: Committee,
    message: Hop,
    lie: Habit | None,
    carried: Mapping[bytes, bytes],
) -> Hop:
    """A message of a view change with something changed. `carried` has, by the digest of each
    VIEW-CHANGE that a NEW-VIEW may cite, the statement that was sent in its place."""
    told: Habit = random.choice(VIEW_LIES) if lie is None else lie
    match message:
        case CarryViewChange():
            statement = envelope.parse(message.statement, size_max=BYTES_MAX)
            if statement.signer != key.public:
                return message
            said = schema.decode(statement.payload, ViewChange, size_max=BYTES_MAX)
            changed = change_view_change(key, committee, said, told)
            data = resign(key, committee, VIEW_CHANGE_KIND, changed).data
            return CarryViewChange(committee=message.committee, statement=data)
        case CarryNewView():
            statement = envelope.parse(message.statement, size_max=BYTES_MAX)
            new_view = schema.decode(statement.payload, NewView, size_max=BYTES_MAX)
            new_view = _change_new_view(new_view, told, carried)
            data = resign(key, committee, NEW_VIEW_KIND, new_view).data
            return CarryNewView(committee=message.committee, statement=data)
        case FetchBody() | GiveBody():
            return change_field(random, message)  # type: ignore[no-any-return]
    return message


def change_view_change(
    key: PrivateKey, committee: Committee, said: ViewChange, lie: Habit
) -> ViewChange:
    """What a liar may claim of the views it leaves: one of `VIEW_LIES`, always in the same way,
    so that its NEW-VIEW can stand on it."""
    match lie:
        case "no_certificates":
            return msgspec.structs.replace(said, prepared=())
        case "one_less":
            return msgspec.structs.replace(said, prepared=said.prepared[:-1])
        case "false_base":
            return _claim_base(key, committee, said)
        case "false_certificates":
            return _claim_prepared(key, committee, said)
        case "repeated":
            return msgspec.structs.replace(said, base=0, certificate=b"", prepared=())
    return said


def _claim_base(key: PrivateKey, committee: Committee, said: ViewChange) -> ViewChange:
    """A checkpoint far ahead that only this key has signed."""
    base = said.base + BASE_JUMPS[said.view % len(BASE_JUMPS)]
    payload = schema.encode(Checkpoint(base, bytes(32), bytes(32)))
    place = Context(committee.network, committee.id, committee.epoch, CHECKPOINT_KIND)
    signature = envelope.sign(key, place, payload).signature
    certificate = Certificate.collect(place, payload, {key.public: signature})
    return ViewChange(said.view, base, certificate.encode(), ())


def _claim_prepared(key: PrivateKey, committee: Committee, said: ViewChange) -> ViewChange:
    """The null batch, prepared by nobody, in a late view and in this key's own name."""
    own_views = [v for v in range(said.view) if committee.get_primary(v) == key.public]
    latest = max(0, said.view - 1)
    view = max(own_views, default=latest) if said.base % 4 else latest
    digest = compute_batch_digest(0, ())
    prepared = []
    for seq in range(said.base + 1, said.base + 1 + max(2, len(said.prepared))):
        proposal = resign(key, committee, PRE_PREPARE_KIND, PrePrepare(view, seq, digest)).data
        prepared.append(PreparedProof(view, seq, digest, proposal, ()))
    return msgspec.structs.replace(said, prepared=tuple(prepared))


def _change_new_view(said: NewView, lie: Habit, carried: Mapping[bytes, bytes]) -> NewView:
    """One of `VIEW_LIES` about what follows from the VIEW-CHANGEs; the liar's own comes first."""
    null = compute_batch_digest(0, ())
    sent = [carried.get(digest) for digest in said.view_changes]
    cited = tuple(
        digest if data is None else hashlib.sha256(data).digest()
        for digest, data in zip(said.view_changes, sent, strict=True)
    )
    said = msgspec.structs.replace(said, view_changes=cited)
    match lie:
        case "no_certificates":  # beside a VIEW-CHANGE of its own that holds no certificate
            return NewView(said.view, cited[:1], ())
        case "one_less":
            return msgspec.structs.replace(said, proposals=said.proposals[:-1])
        case "nulls":
            nulls = tuple(Assigned(item.seq, null) for item in said.proposals)
            return msgspec.structs.replace(said, proposals=nulls)
        case "false_base" | "false_certificates":  # what really follows from the lie
            bodies = [_read_view_change(data) for data in sent if data is not None]
            if len(bodies) == len(cited):
                return msgspec.structs.replace(said, proposals=compute_proposals(bodies)[1])
    return msgspec.structs.replace(said, view_changes=cited[:1] * len(cited))


def _read_view_change(data: bytes) -> ViewChange:
    statement = envelope.parse(data, size_max=BYTES_MAX)
    return schema.decode(statement.payload, ViewChange, size_max=BYTES_MAX)
