"""Facts as JSON for people: keys as PeerIds, digests as hex, moves as maps."""

from typing import Any

import msgspec

from crdt.facts import COMMON, Fact
from crdt.moves import TRANSIT_PREFIX, is_transit_account
from identity import keys

PEER_FIELDS = frozenset(
    {
        *("account", "to", "agent", "requester", "bidder", "bidders", "winner", "party"),
        *("verifiers", "executor", "rater", "holders", "offender", "source", "target"),
        *("opener", "silent", "members", "joined", "left", "expelled", "orderers"),
        *("winners", "agreeing"),
    }
)
"""Fields of facts that hold keys; every other field of bytes holds a digest."""


def name_account(key: bytes) -> str:
    """An account for people; one that stands for what went to a committee has no PeerId."""
    if is_transit_account(key):
        return "transit:" + key.removeprefix(TRANSIT_PREFIX).hex()
    return "common" if key == COMMON else keys.compute_peer_id(key)


def describe_fact(fact: Fact) -> dict[str, Any]:
    """A fact as JSON for people: keys as PeerIds, digests as hex, moves as maps."""
    plain = _describe(fact)
    assert isinstance(plain, dict)
    return {"kind": fact.__struct_config__.tag, **plain}


def _describe(value: Any, *, key: bool = False) -> Any:
    if isinstance(value, bytes):
        return name_account(value) if key else value.hex()
    if isinstance(value, tuple):
        return [_describe(item, key=key) for item in value]
    if isinstance(value, msgspec.Struct):
        return {
            name: _describe(getattr(value, name), key=name in PEER_FIELDS)
            for name in value.__struct_fields__
        }
    return value
