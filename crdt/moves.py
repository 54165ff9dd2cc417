"""Moves of credits between buckets, and the base of all facts (`crdt/facts.py`)."""

from typing import Literal

import msgspec

from identity.schema import Amount, Key

Bucket = Literal["free", "bonded", "locked", "escrow", "transit", "treasury", "burned", "minted"]
COMMON = bytes(32)
"""The account of the buckets that belong to nobody: treasury, burned, minted."""

TRANSIT_PREFIX = b"econode/transit:"
"""Begins the account that holds what went to another committee; its id follows. Nobody has its
key, and it has no bucket but `transit`."""


class Move(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """`amount` credits from one bucket to another."""

    source: Key
    source_bucket: Bucket
    target: Key
    target_bucket: Bucket
    amount: Amount


class Fact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    """Base of all facts."""

    moves: tuple[Move, ...] = ()


def compute_transit_account(committee: bytes) -> bytes:
    """The account in whose `transit` bucket stands what went to `committee`."""
    return TRANSIT_PREFIX + committee


def is_transit_account(account: bytes) -> bool:
    return account.startswith(TRANSIT_PREFIX)
