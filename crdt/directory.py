"""The directory: what peers say in their logs, folded by author.

The fold of one author's log depends on that log alone and its order. When an author turns out to
have forked, its log is shorter than what was folded: `reset` it and apply what is left.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from crdt import log
from crdt.heads import is_peer
from crdt.items import AnyItem, Card, Data, WorkReceipt, decode_item
from identity.errors import InvalidBytes

DATA_KEYS_MAX = 1_000
"""Keys of one author; data for further ones is ignored."""
RECEIPTS_MAX = 1_000
"""Receipts kept of one author: the newest."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Who offers a capability, by its card."""

    agent: bytes
    card: Card


@dataclass(slots=True)
class _Author:
    count: int = 0
    card: Card | None = None
    receipts: list[WorkReceipt] = field(default_factory=list)
    data: dict[tuple[str, str], bytes] = field(default_factory=dict)


class Directory:
    """The fold over all peers' logs that were applied."""

    def __init__(self) -> None:
        self._authors: dict[bytes, _Author] = {}

    def apply(self, entry: log.Entry) -> None:
        """Fold the author's next entry; entries of committees and repeated ones are skipped.

        Raises ValueError when an entry was left out.
        """
        header = entry.header
        if not is_peer(header.author):
            return
        author = self._authors.setdefault(header.author, _Author())
        if header.position < author.count:
            return
        if header.position != author.count:
            raise ValueError(f"entry {header.position} comes after {author.count} entries")
        author.count += 1
        for data in entry.items:
            try:
                _apply_item(author, decode_item(data))
            except InvalidBytes:  # a kind of a later version, or nonsense: its author's affair
                continue

    def reset(self, author: bytes, entries: Iterable[log.Entry]) -> None:
        """Fold `author` anew from `entries`."""
        self._authors.pop(author, None)
        for entry in entries:
            self.apply(entry)

    def get_authors(self) -> list[bytes]:
        return sorted(self._authors)

    def get_card(self, agent: bytes) -> Card | None:
        author = self._authors.get(agent)
        return author.card if author else None

    def find(self, now_ms: int, *, id: bytes | None = None, name: str | None = None) -> list[Offer]:
        """Who offers the capability with this id, or this name, by a card that is still good;
        the lowest price hint first. Without both: every agent with a good card."""
        found = [
            Offer(agent, card)
            for agent, author in self._authors.items()
            if (card := author.card) is not None
            and card.expires_ms > now_ms
            and _offers(card, id, name)
        ]
        return sorted(found, key=lambda offer: (offer.card.price_hint, offer.agent))

    def get_receipts(self, author: bytes) -> tuple[WorkReceipt, ...]:
        """Receipts that `author` gave, oldest first."""
        found = self._authors.get(author)
        return tuple(found.receipts) if found else ()

    def get_data(self, author: bytes, namespace: str, key: str) -> bytes | None:
        found = self._authors.get(author)
        return found.data.get((namespace, key)) if found else None

    def list_data(self, author: bytes) -> Mapping[tuple[str, str], bytes]:
        """The author's data by (namespace, key), ascending."""
        found = self._authors.get(author)
        return dict(sorted(found.data.items())) if found else {}


def _offers(card: Card, id: bytes | None, name: str | None) -> bool:
    if id is None and name is None:
        return True
    return any(
        (id is None or offered.id == id) and (name is None or offered.name == name)
        for offered in card.capabilities
    )


def _apply_item(author: _Author, item: AnyItem) -> None:
    match item:
        case Card():
            author.card = item
        case WorkReceipt():
            author.receipts.append(item)
            del author.receipts[:-RECEIPTS_MAX]
        case Data(namespace=namespace, key=key, value=None):
            author.data.pop((namespace, key), None)
        case Data(namespace=namespace, key=key, value=bytes(value)):
            if (namespace, key) in author.data or len(author.data) < DATA_KEYS_MAX:
                author.data[(namespace, key)] = value
