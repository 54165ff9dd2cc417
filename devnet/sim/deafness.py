"""The loss of one kind of message only, at some processes.

A network that loses what it likes may lose all COMMITs and nothing else. Such losses hold a
committee between two phases, where view changes have the most to carry, and are rare by chance.
"""

from collections import Counter

from identity import envelope, schema
from identity.errors import InvalidBytes
from protocols.messages import (
    PREPARE_KIND,
    Batches,
    CarryNewView,
    CarryViewChange,
    GiveBody,
    Hop,
    Prepare,
    Propose,
    Votes,
)

BYTES_MAX = 1 << 20

_HOPS: dict[str, type[Hop]] = {
    "propose": Propose,
    "view_change": CarryViewChange,
    "new_view": CarryNewView,
    "batches": Batches,
    "body": GiveBody,
}


class Deafness:
    """Which processes, by id, hear nothing of which kinds at present; false when none are."""

    def __init__(self) -> None:
        self._deaf: Counter[tuple[str, int]] = Counter()

    def __bool__(self) -> bool:
        return bool(self._deaf)

    def add(self, kind: str, ids: list[int], count: int) -> None:
        """Begin for `ids` (`count` 1), or take that back (-1)."""
        for id_ in ids:
            self._deaf[kind, id_] += count
            if not self._deaf[kind, id_]:
                del self._deaf[kind, id_]

    def clear(self) -> None:
        self._deaf.clear()

    def strip(self, message: Hop, id_: int) -> Hop | None:
        """What the process hears of a message: votes are lost one by one."""
        if isinstance(message, Votes):
            heard = tuple(data for data in message.statements if self._hears(data, id_))
            if len(heard) == len(message.statements):
                return message
            return Votes(committee=message.committee, statements=heard) if heard else None
        for kind, hop in _HOPS.items():
            if isinstance(message, hop) and (kind, id_) in self._deaf:
                return None
        return message

    def _hears(self, data: bytes, id_: int) -> bool:
        try:
            kind = envelope.parse(data, size_max=BYTES_MAX).kind
        except InvalidBytes:
            return True
        if (kind, id_) in self._deaf:
            return False
        return ("odd_prepare", id_) not in self._deaf or not _is_odd_prepare(data)


def _is_odd_prepare(data: bytes) -> bool:
    """Losing every other PREPARE leaves gaps between prepared slots."""
    statement = envelope.parse(data, size_max=BYTES_MAX)
    if statement.kind != PREPARE_KIND:
        return False
    try:
        vote = schema.decode(statement.payload, Prepare, size_max=BYTES_MAX)
    except InvalidBytes:
        return False
    return vote.seq % 2 == 1
