"""Changed messages: what a Byzantine member can make of what its core says, with its own key.

A structural mutation changes one field of one statement and signs it anew (after ByzzFuzz, Winter
et al., OOPSLA 2023), so it passes every check of form and meets the checks of meaning.
"""

import hashlib
from random import Random
from typing import Any

import msgspec

from identity import envelope, schema
from identity.envelope import Context, Statement
from identity.errors import InvalidBytes
from identity.keys import PrivateKey
from protocols.committee import Committee
from protocols.messages import (
    PRE_PREPARE_KIND,
    VOTE_TYPES,
    Batches,
    Commit,
    Hop,
    Prepare,
    PrePrepare,
    Propose,
    Status,
    Submit,
    Votes,
    compute_batch_digest,
)

BYTES_MAX = 1 << 20
JUMPS = (-100, -2, -1, 1, 2, 20, 1_000_000)
CLOCK_JUMPS_MS = (-3_600_000, -60_000, 60_000, 3_600_000)
VOTE_KINDS = tuple(VOTE_TYPES)


def mutate(random: Random, key: PrivateKey, committee: Committee, message: Hop) -> Hop:
    """`message` with something changed; what cannot be changed comes back as it is."""
    match message:
        case Votes():
            statements = list(message.statements)
            place = random.randrange(len(statements))
            statements[place] = _mutate_vote(random, key, committee, statements[place])
            return Votes(committee=message.committee, statements=tuple(statements))
        case Propose():
            return _mutate_proposal(random, key, committee, message)
        case Status() | Batches() | Submit():
            return _mutate_hop(random, message)
    return _mutate_carried(random, key, committee, message)


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


def resign(key: PrivateKey, committee: Committee, kind: str, payload: msgspec.Struct) -> Statement:
    place = Context(committee.network, committee.id, committee.epoch, kind)
    return envelope.sign(key, place, schema.encode(payload))


def _mutate_vote(random: Random, key: PrivateKey, committee: Committee, data: bytes) -> bytes:
    statement = envelope.parse(data, size_max=BYTES_MAX)
    if statement.signer != key.public or random.random() < 0.05:
        # Another's word: only its bytes can be changed.
        place = random.randrange(len(data))
        return data[:place] + bytes([data[place] ^ (1 << random.randrange(8))]) + data[place + 1 :]
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


def change_field(random: Random, payload: Any) -> Any:
    """A struct with one of its numbers or digests changed."""
    names = [
        name
        for name in payload.__struct_fields__
        if isinstance(getattr(payload, name), int | bytes)
    ]
    if not names:
        return payload
    name = random.choice(names)
    value = getattr(payload, name)
    if isinstance(value, bool):
        value = not value
    elif isinstance(value, int):
        jumps = CLOCK_JUMPS_MS if name.endswith("_ms") else JUMPS
        value = max(0, value + random.choice(jumps))
    else:
        value = hashlib.sha256(b"sim/other" + value).digest()[: len(value)] or value
    return msgspec.structs.replace(payload, **{name: value})


def _mutate_proposal(
    random: Random, key: PrivateKey, committee: Committee, hop: Propose
) -> Propose:
    statement = envelope.parse(hop.pre_prepare, size_max=BYTES_MAX)
    if statement.signer != key.public:
        return hop
    said = schema.decode(statement.payload, PrePrepare, size_max=BYTES_MAX)
    time_ms, operations, clock = hop.time_ms, hop.operations, hop.clock
    match random.randrange(8):
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
            return msgspec.structs.replace(hop, operations=operations[1:], time_ms=time_ms + 1)
    digests = [hashlib.sha256(data).digest() for data in operations]
    said = PrePrepare(said.view, said.seq, compute_batch_digest(time_ms, digests))
    proposal = resign(key, committee, PRE_PREPARE_KIND, said).data
    return msgspec.structs.replace(
        hop, pre_prepare=proposal, time_ms=time_ms, operations=operations, clock=clock
    )


def _mutate_hop(random: Random, message: Status | Batches | Submit) -> Hop:
    match message:
        case Status():
            return change_field(random, message) if random.random() < 0.9 else message
        case Batches(batches=batches) if batches:
            changed = list(batches)
            place = random.randrange(len(changed))
            batch = changed[place]
            match random.randrange(4):
                case 0:
                    changed[place] = msgspec.structs.replace(batch, operations=())
                case 1:
                    changed[place] = msgspec.structs.replace(batch, proof=batch.proof[:-1])
                case 2:
                    proof = (batch.proof[0],) * len(batch.proof) if batch.proof else ()
                    changed[place] = msgspec.structs.replace(batch, proof=proof)
                case 3:
                    changed[place] = change_field(random, batch)
            return Batches(committee=message.committee, batches=tuple(changed))
    return message


def _mutate_carried(random: Random, key: PrivateKey, committee: Committee, message: Hop) -> Hop:
    """Any other hop message: a number or digest of it changed."""
    return message


def _propose_other(key: PrivateKey, committee: Committee, hop: Propose) -> Propose:
    """The empty batch where there was one, and the batch without its last operation else."""
    statement = envelope.parse(hop.pre_prepare, size_max=BYTES_MAX)
    said = schema.decode(statement.payload, PrePrepare, size_max=BYTES_MAX)
    if statement.signer != key.public:
        return hop
    operations = hop.operations[:-1]
    time_ms, clock = (hop.time_ms, hop.clock) if hop.operations else (0, ())
    digests = [hashlib.sha256(data).digest() for data in operations]
    digest = compute_batch_digest(time_ms, digests)
    other = PrePrepare(said.view, said.seq, digest)
    return Propose(
        committee=hop.committee,
        pre_prepare=resign(key, committee, PRE_PREPARE_KIND, other).data,
        time_ms=time_ms,
        operations=operations,
        clock=clock,
    )


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
