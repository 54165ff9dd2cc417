"""Changed VIEW-CHANGEs and NEW-VIEWs: certificates left out, forged or of another batch."""

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

BYTES_MAX = 1 << 20
BASE_JUMPS = (1, 20, 1_000)


def mutate_carried(
    random: Random, key: PrivateKey, committee: Committee, message: Hop, lie: Habit | None
) -> Hop:
    """A message of a view change with something changed."""
    told: Habit = random.choice(VIEW_LIES) if lie is None else lie
    match message:
        case CarryViewChange():
            statement = envelope.parse(message.statement, size_max=BYTES_MAX)
            if statement.signer != key.public:
                return message
            said = schema.decode(statement.payload, ViewChange, size_max=BYTES_MAX)
            changed = change_view_change(random, key, committee, said, told)
            data = resign(key, committee, VIEW_CHANGE_KIND, changed).data
            return CarryViewChange(committee=message.committee, statement=data)
        case CarryNewView():
            statement = envelope.parse(message.statement, size_max=BYTES_MAX)
            new_view = schema.decode(statement.payload, NewView, size_max=BYTES_MAX)
            data = resign(key, committee, NEW_VIEW_KIND, _change_new_view(new_view, told)).data
            return CarryNewView(committee=message.committee, statement=data)
        case FetchBody() | GiveBody():
            return change_field(random, message)  # type: ignore[no-any-return]
    return message


def change_view_change(
    random: Random, key: PrivateKey, committee: Committee, said: ViewChange, lie: Habit
) -> ViewChange:
    """What a liar may claim of the views it leaves: one of `VIEW_LIES`."""
    match lie:
        case "no_certificates":
            return msgspec.structs.replace(said, prepared=())
        case "one_less":
            return msgspec.structs.replace(said, prepared=said.prepared[:-1])
        case "nulls":
            return msgspec.structs.replace(said, view=said.view + random.choice((1, 2, 5)))
        case "false_base":
            return _claim_base(random, key, committee, said)
        case "false_certificates":
            return _claim_prepared(random, key, committee, said)
    return msgspec.structs.replace(said, base=0, certificate=b"", prepared=())


def _claim_base(
    random: Random, key: PrivateKey, committee: Committee, said: ViewChange
) -> ViewChange:
    """A checkpoint far ahead that only this key has signed."""
    base = said.base + random.choice(BASE_JUMPS)
    payload = schema.encode(Checkpoint(base, bytes(32), bytes(32)))
    place = Context(committee.network, committee.id, committee.epoch, CHECKPOINT_KIND)
    signature = envelope.sign(key, place, payload).signature
    certificate = Certificate.collect(place, payload, {key.public: signature})
    return ViewChange(said.view, base, certificate.encode(), ())


def _claim_prepared(
    random: Random, key: PrivateKey, committee: Committee, said: ViewChange
) -> ViewChange:
    """The null batch, prepared by nobody, in a late view and in this key's own name."""
    own_views = [v for v in range(said.view) if committee.get_primary(v) == key.public]
    view = max(own_views, default=max(0, said.view - 1))
    digest = compute_batch_digest(0, ())
    prepared = []
    for seq in range(said.base + 1, said.base + 1 + max(2, len(said.prepared))):
        proposal = resign(key, committee, PRE_PREPARE_KIND, PrePrepare(view, seq, digest)).data
        prepared.append(PreparedProof(view, seq, digest, proposal, ()))
    return msgspec.structs.replace(said, prepared=tuple(prepared))


def _change_new_view(said: NewView, lie: Habit) -> NewView:
    """One of `VIEW_LIES` about what follows from the VIEW-CHANGEs; the liar's own comes first."""
    null = compute_batch_digest(0, ())
    match lie:
        case "no_certificates":  # beside a VIEW-CHANGE of its own that holds no certificate
            return NewView(said.view, said.view_changes[:1], ())
        case "one_less":
            return msgspec.structs.replace(said, proposals=said.proposals[:-1])
        case "nulls":
            nulls = tuple(Assigned(item.seq, null) for item in said.proposals)
            return msgspec.structs.replace(said, proposals=nulls)
        case "false_base":
            return msgspec.structs.replace(said, view_changes=said.view_changes[:1])
        case "false_certificates":
            return msgspec.structs.replace(said, proposals=())
    repeated = said.view_changes[:1] * len(said.view_changes)
    return msgspec.structs.replace(said, view_changes=repeated)
