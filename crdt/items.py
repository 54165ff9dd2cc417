"""What peers write in their own logs: agent cards, receipts of work, application data.

Items are encoded one by one. An item of a kind that this version does not know stays in the log
and is skipped by the folds: an entry's validity never depends on what its items mean.
"""

from typing import Annotated

import msgspec

from crdt.facts import Grade, OfferedCapability, Round
from identity import schema
from identity.schema import Amount, Digest, Key, Name, TimeMs

ITEM_BYTES_MAX = 128 * 1024
CAPABILITIES_MAX = 64
ADDRESSES_MAX = 16
ADDRESS_CHARS_MAX = 256
VALUE_BYTES_MAX = 64 * 1024

Address = Annotated[str, msgspec.Meta(min_length=1, max_length=ADDRESS_CHARS_MAX)]
"""A multiaddr."""


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """Base of all items."""


class Card(Item, frozen=True, tag="card"):
    """What an agent says of itself; its newest card counts. `price_hint` is in credits for a
    usual task, and binds nobody."""

    capabilities: Annotated[
        tuple[OfferedCapability, ...], msgspec.Meta(max_length=CAPABILITIES_MAX)
    ]
    addresses: Annotated[tuple[Address, ...], msgspec.Meta(max_length=ADDRESSES_MAX)]
    price_hint: Amount
    expires_ms: TimeMs


class WorkReceipt(Item, frozen=True, tag="receipt"):
    """The writer grades what `subject` did in a round of a task."""

    task: Digest
    round: Round
    subject: Key
    grade: Grade


class Data(Item, frozen=True, tag="data"):
    """A value of the writer's own map for applications; None removes the key."""

    namespace: Name
    key: Name
    value: Annotated[bytes, msgspec.Meta(max_length=VALUE_BYTES_MAX)] | None


AnyItem = Card | WorkReceipt | Data


def encode_item(item: Item) -> bytes:
    return schema.encode(item)


def decode_item(data: bytes) -> AnyItem:
    """Raises InvalidCbor or InvalidSchema."""
    return schema.decode(data, AnyItem, size_max=ITEM_BYTES_MAX)  # type: ignore[arg-type]
