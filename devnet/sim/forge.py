"""New statements from old ones: a field changed, a fresh signature below."""

import hashlib
from random import Random
from typing import Any

import msgspec

from identity import envelope, schema
from identity.envelope import Context, Statement
from identity.keys import PrivateKey
from protocols.committee import Committee

JUMPS = (-100, -2, -1, 1, 2, 20, 1_000_000)
CLOCK_JUMPS_MS = (-3_600_000, -60_000, 60_000, 3_600_000)


def resign(key: PrivateKey, committee: Committee, kind: str, payload: msgspec.Struct) -> Statement:
    place = Context(committee.network, committee.id, committee.epoch, kind)
    return envelope.sign(key, place, schema.encode(payload))


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
