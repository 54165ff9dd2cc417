"""Changed messages: what a Byzantine member can make of what its core says, with its own key.

A structural mutation changes one field of one statement and signs it anew (after ByzzFuzz, Winter
et al., OOPSLA 2023), so it passes every check of form and meets the checks of meaning.
"""

import hashlib
from collections.abc import Mapping
from random import Random

import msgspec

from devnet.sim.forge import CLOCK_JUMPS_MS, change_field, resign
from devnet.sim.mutate_views import mutate_carried
from devnet.sim.plan import Habit
from identity import cbor, envelope, schema
from identity.certificate import Certificate
from identity.envelope import Context, Statement
from identity.errors import InvalidBytes
from identity.keys import PrivateKey
from protocols.committee import Committee
from protocols.messages import (
    COMMIT_KIND,
    NEW_VIEW_KIND,
    PRE_PREPARE_KIND,
    PREPARE_KIND,
    VIEW_CHANGE_KIND,
    VOTE_TYPES,
    Batches,
    CarryNewView,
    CarryViewChange,
    Checkpoint,
    Commit,
    CommittedBatch,
    GiveState,
    Hop,
    NewView,
    OfferState,
    Prepare,
    PrePrepare,
    Propose,
    Status,
    Submit,
    ViewChange,
    Votes,
    compute_batch_digest,
)
from protocols.pbft.core import Core

BYTES_MAX = 1 << 20
VOTE_KINDS = tuple(VOTE_TYPES)
NOTHING: Mapping[bytes, bytes] = {}


def mutate(
    random: Random,
    key: PrivateKey,
    committee: Committee,
    message: Hop,
    lie: Habit | None = None,
    carried: Mapping[bytes, bytes] = NOTHING,
) -> Hop:
    """`message` with something changed; what cannot be changed comes back as it is. `lie` is the
    one to tell of views, when it is always the same; `carried` is `mutate_carried`'s."""
    match message:
        case Votes():
            statements = list(message.statements)
            place = random.randrange(len(statements))
            statements[place] = _mutate_vote(random, key, committee, statements[place])
            return Votes(committee=message.committee, statements=tuple(statements))
        case Propose():
            return _mutate_proposal(random, key, committee, message)
        case Status() | Batches() | Submit() | OfferState() | GiveState():
            return _mutate_hop(random, message)
    return mutate_carried(random, key, committee, message, lie, carried)


def equivocate(
    key: PrivateKey,
    committee: Committee,
    message: Hop,
    digests: dict[tuple[int, int], bytes],
) -> Hop:
    """Another proposal for the same slot, and votes that fit it; `digests` remembers which."""
    match message:
        case Propose():
            other = _propose_other(key, committee, message)
            statement = envelope.parse(other.pre_prepare, size_max=BYTES_MAX)
            said = schema.decode(statement.payload, PrePrepare, size_max=BYTES_MAX)
            digests[said.view, said.seq] = said.digest
            return other
        case Votes():
            changed = tuple(
                _vote_other(key, committee, data, digests) for data in message.statements
            )
            return Votes(committee=message.committee, statements=changed)
    return message


def _mutate_vote(random: Random, key: PrivateKey, committee: Committee, data: bytes) -> bytes:
    statement = envelope.parse(data, size_max=BYTES_MAX)
    if statement.signer != key.public or random.random() < 0.05:
        # Another's word: only its bytes can be changed.
        place = random.randrange(len(data))
        return data[:place] + bytes([data[place] ^ (1 << random.randrange(8))]) + data[place + 1 :]
    if random.random() < 0.2:
        return _forge(random, committee, statement).data
    payload = schema.decode(statement.payload, VOTE_TYPES[statement.kind], size_max=BYTES_MAX)
    kind = statement.kind
    if random.random() < 0.1:
        kind = random.choice(VOTE_KINDS)
    elif random.random() < 0.15:
        committee = Committee(
            committee.network, committee.id, committee.epoch + 1, committee.members
        )
    else:
        payload = change_field(random, payload)
    return resign(key, committee, kind, payload).data


def _forge(random: Random, committee: Committee, statement: Statement) -> Statement:
    """The same words in another member's name, under a signature that is none."""
    place = Context(committee.network, committee.id, committee.epoch, statement.kind)
    victim = random.choice(committee.members)
    return envelope.rebuild(place, victim, statement.payload, statement.signature)


def _mutate_proposal(
    random: Random, key: PrivateKey, committee: Committee, hop: Propose
) -> Propose:
    """Another batch, another time or another place; another's proposal is usurped."""
    statement = envelope.parse(hop.pre_prepare, size_max=BYTES_MAX)
    said = schema.decode(statement.payload, PrePrepare, size_max=BYTES_MAX)
    time_ms, operations, clock = hop.time_ms, hop.operations, hop.clock
    match random.randrange(11):
        case 0:
            operations = operations[:-1]
        case 1:
            operations = operations + operations[:1]
        case 2:
            operations = tuple(reversed(operations))
        case 3:
            time_ms = max(0, time_ms + random.choice(CLOCK_JUMPS_MS))
        case 4:
            clock = clock[:-1] + clock[:1]
        case 5:
            clock = clock[:-1]
        case 6:
            said = change_field(random, said)
            proposal = resign(key, committee, PRE_PREPARE_KIND, said).data
            return msgspec.structs.replace(hop, pre_prepare=proposal)
        case 7:
            time_ms += random.choice((0, 1))
            return msgspec.structs.replace(hop, operations=operations[1:], time_ms=time_ms)
        case 8:
            time_ms, clock = _lie_about_time(random, key, committee, hop, said)
        case 9 if operations:
            operations = (_spoil_signature(operations[0]), *operations[1:])
        case 10:
            operations = ()
    return propose(key, committee, said.view, said.seq, time_ms, operations, clock)


def propose(
    key: PrivateKey,
    committee: Committee,
    view: int,
    seq: int,
    time_ms: int,
    operations: tuple[bytes, ...],
    clock: tuple[bytes, ...],
) -> Propose:
    """A proposal in this key's name, whoever leads the view."""
    digests = [hashlib.sha256(data).digest() for data in operations]
    said = PrePrepare(view, seq, compute_batch_digest(time_ms, digests))
    return Propose(
        committee=committee.id,
        pre_prepare=resign(key, committee, PRE_PREPARE_KIND, said).data,
        time_ms=time_ms,
        operations=operations,
        clock=clock,
    )


def _lie_about_time(
    random: Random, key: PrivateKey, committee: Committee, hop: Propose, said: PrePrepare
) -> tuple[int, tuple[bytes, ...]]:
    """A time an hour away, with own or forged readings of it."""
    time_ms = max(0, hop.time_ms + random.choice(CLOCK_JUMPS_MS))
    reading = resign(
        key, committee, COMMIT_KIND, Commit(said.view, max(1, said.seq - 1), bytes(32), time_ms)
    )
    if random.random() < 0.5:
        return time_ms, (reading.data,) * committee.q
    place = Context(committee.network, committee.id, committee.epoch, COMMIT_KIND)
    return time_ms, tuple(
        envelope.rebuild(place, member, reading.payload, reading.signature).data
        for member in committee.members[: committee.q]
    )


def _spoil_signature(data: bytes) -> bytes:
    """An operation that its account did not sign: the signature's last byte is another."""
    return data[:-1] + bytes([data[-1] ^ 1])


def _mutate_hop(random: Random, message: Hop) -> Hop:
    match message:
        case OfferState() | GiveState():
            return change_field(random, message)
        case Status():
            return change_field(random, message) if random.random() < 0.9 else message
        case Batches(batches=batches) if batches:
            changed = list(batches)
            place = random.randrange(len(changed))
            batch = changed[place]
            match random.randrange(5):
                case 0:
                    changed[place] = msgspec.structs.replace(batch, operations=())
                case 1:
                    changed[place] = msgspec.structs.replace(batch, proof=batch.proof[:-1])
                case 2:
                    proof = (batch.proof[0],) * len(batch.proof) if batch.proof else ()
                    changed[place] = msgspec.structs.replace(batch, proof=proof)
                case 3:
                    changed[place] = change_field(random, batch)
                case 4:
                    return weaken_certificates(message)
            return Batches(committee=message.committee, batches=tuple(changed))
    return message


def falsify_chunk(message: GiveState) -> GiveState:
    """A chunk whose last byte is another."""
    data = message.data[:-1] + bytes([message.data[-1] ^ 1]) if message.data else b""
    return msgspec.structs.replace(message, data=data)


def falsify_offer(
    random: Random, key: PrivateKey, committee: Committee, message: OfferState
) -> OfferState:
    """The offered state under a certificate that this key alone signed; half of them have another
    head, too."""
    certificate = Certificate.decode(message.certificate, committee.network, size_max=BYTES_MAX)
    said = schema.decode(certificate.payload, Checkpoint, size_max=BYTES_MAX)
    if random.random() < 0.5:
        said = msgspec.structs.replace(said, head=hashlib.sha256(said.head).digest())
    payload = schema.encode(said)
    signature = envelope.sign(key, certificate.context, payload).signature
    alone = Certificate.collect(certificate.context, payload, {key.public: signature})
    return msgspec.structs.replace(message, certificate=alone.encode())


def weaken_certificates(message: Batches) -> Batches:
    """The certificates of the ends of epochs have one signature only."""
    weak = tuple(_weaken(batch) if batch.certificate else batch for batch in message.batches)
    return msgspec.structs.replace(message, batches=weak)


def _weaken(batch: CommittedBatch) -> CommittedBatch:
    *place, signatures = cbor.decode(batch.certificate, size_max=BYTES_MAX)
    return msgspec.structs.replace(batch, certificate=cbor.encode([*place, signatures[:1]]))


def _propose_other(key: PrivateKey, committee: Committee, hop: Propose) -> Propose:
    """The empty batch where there was one, and the batch without its last operation else."""
    statement = envelope.parse(hop.pre_prepare, size_max=BYTES_MAX)
    said = schema.decode(statement.payload, PrePrepare, size_max=BYTES_MAX)
    if statement.signer != key.public:
        return hop
    operations = hop.operations[:-1]
    time_ms, clock = (hop.time_ms, hop.clock) if hop.operations else (0, ())
    return propose(key, committee, said.view, said.seq, time_ms, operations, clock)


def _vote_other(
    key: PrivateKey,
    committee: Committee,
    data: bytes,
    digests: dict[tuple[int, int], bytes],
) -> bytes:
    statement = envelope.parse(data, size_max=BYTES_MAX)
    if statement.signer != key.public or statement.kind not in VOTE_TYPES:
        return data
    try:
        said = schema.decode(statement.payload, VOTE_TYPES[statement.kind], size_max=BYTES_MAX)
    except InvalidBytes:
        return data
    if not isinstance(said, Prepare | Commit):
        return data
    slot = (said.view, said.seq)
    digest = digests.setdefault(slot, compute_batch_digest(0, ()))
    return resign(key, committee, statement.kind, msgspec.structs.replace(said, digest=digest)).data


def propose_another(
    key: PrivateKey,
    committee: Committee,
    hop: Propose,
    announced: Mapping[int, bytes],
    *,
    is_null: bool,
) -> list[Hop] | None:
    """The null batch in place of an announced one, or an empty one of an hour later; None for
    any other proposal."""
    statement = envelope.parse(hop.pre_prepare, size_max=BYTES_MAX)
    said = schema.decode(statement.payload, PrePrepare, size_max=BYTES_MAX)
    if statement.signer != key.public or said.seq not in announced:
        return None
    time_ms = hop.time_ms + CLOCK_JUMPS_MS[-1] if hop.time_ms and not is_null else 0
    return [propose(key, committee, said.view, said.seq, time_ms, (), ())]


def prepare_own(key: PrivateKey, committee: Committee, hop: Propose) -> Votes:
    """The primary's own PREPARE for its proposal, which must not count."""
    statement = envelope.parse(hop.pre_prepare, size_max=BYTES_MAX)
    said = schema.decode(statement.payload, PrePrepare, size_max=BYTES_MAX)
    vote = resign(key, committee, PREPARE_KIND, Prepare(said.view, said.seq, said.digest))
    return Votes(committee=hop.committee, statements=(vote.data,))


def leave_out(message: Submit, victim: bytes) -> Submit:
    """The same submission without one account's operations."""
    kept: list[bytes] = []
    for data in message.operations:
        try:
            is_victim = envelope.parse(data, size_max=BYTES_MAX).signer == victim
        except InvalidBytes:
            is_victim = False
        if not is_victim:
            kept.append(data)
    return Submit(committee=message.committee, operations=tuple(kept))


def leave_views(key: PrivateKey, committee: Committee, core: Core, view: int) -> CarryViewChange:
    """A VIEW-CHANGE for `view` out of the blue."""
    base, certificate = core.get_base()
    said = ViewChange(view, base, certificate, ())
    data = resign(key, committee, VIEW_CHANGE_KIND, said).data
    return CarryViewChange(committee=committee.id, statement=data)


def usurp(random: Random, key: PrivateKey, committee: Committee, core: Core) -> Hop:
    """What only another member, or nobody yet, may say: a proposal of a view that this key does
    not lead or that has not begun, a slot far away, a VIEW-CHANGE out of the blue."""
    view = core.view + random.choice((0, 0, 1))
    match random.randrange(3):
        case 0:
            seq = core.executed + random.choice((1, 1, 2, 3, 10, 1_000))
            return propose(key, committee, view, seq, 0, (), ())
        case 1:
            return leave_views(key, committee, core, core.view + random.choice((1, 1, 2, 50)))
    said_new = NewView(view + random.choice((0, 1)), (), ())
    data = resign(key, committee, NEW_VIEW_KIND, said_new).data
    return CarryNewView(committee=committee.id, statement=data)
