"""The directory: what peers say in their logs, folded by author.

The fold of one author's log depends on that log alone and its order. When an author turns out to
have forked, its log is shorter than what was folded: `freeze` it with what is left. Its card is
not found any more; its data stays as of the entry before the fork.

Application data is one register for each (author, namespace, key), and the author's last entry
wins. Within one author no two writes are concurrent; between authors nothing is resolved.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from crdt import log
from crdt.heads import is_peer
from crdt.items import AnyItem, Card, Data, WorkReceipt, decode_item
from identity.errors import InvalidBytes

DATA_KEYS_MAX = 1_000
"""Keys of one author; data for further ones is ignored."""
DATA_KEYS_NAMESPACE_MAX = 500
"""Keys of one author in one namespace."""
DATA_BYTES_MAX = 8 * 1024 * 1024
"""Bytes of all values of one author; a value that would exceed them is ignored."""
RECEIPTS_MAX = 1_000
"""Receipts kept of one author: the newest."""


class Place(NamedTuple):
    """Where a register stands in its author's map."""

    namespace: str
    key: str


@dataclass(frozen=True, slots=True)
class Register:
    """A value and the entry of its author's log that set it; the time is the author's claim."""

    value: bytes
    position: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Offer:
    """An agent's card, and the entry of its log that holds it."""

    agent: bytes
    card: Card
    position: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What a committee says of an agent: its score, the bond that stands, and whether it was
    proven to have lied."""

    score_ppm: int
    bonded: int
    is_banned: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What agents are looked for; the bounds themselves pass, banned agents never do."""

    id: bytes | None = None
    name: str | None = None
    score_min: int = 0
    bond_min: int = 0
    price_max: int | None = None

    def matches(self, card: Card, standing: Standing) -> bool:
        if standing.is_banned:
            return False
        if standing.score_ppm < self.score_min or standing.bonded < self.bond_min:
            return False
        if self.price_max is not None and card.price_hint > self.price_max:
            return False
        if self.id is None and self.name is None:
            return True
        return any(
            self.id in (None, offered.id) and self.name in (None, offered.name)
            for offered in card.capabilities
        )


@dataclass(frozen=True, slots=True)
class Touched:
    """What an entry, or a freeze, may have changed of an author's part."""

    author: bytes
    card: bool = False
    data: frozenset[Place] = frozenset()


@dataclass(slots=True)
class _Author:
    count: int = 0
    is_frozen: bool = False
    offer: Offer | None = None
    receipts: list[WorkReceipt] = field(default_factory=list)
    data: dict[str, dict[str, Register]] = field(default_factory=dict)
    data_keys: int = 0
    data_bytes: int = 0

    def list_places(self) -> Iterator[Place]:
        for namespace, found in self.data.items():
            yield from (Place(namespace, key) for key in found)


class Directory:
    """The fold over all peers' logs that were applied."""

    def __init__(self) -> None:
        self._authors: dict[bytes, _Author] = {}

    def apply(self, entry: log.Entry) -> Touched:
        """Fold the author's next entry; entries of committees and repeated ones are skipped.

        Raises ValueError when an entry was left out.
        """
        header = entry.header
        if not is_peer(header.author):
            return Touched(header.author)
        author = self._authors.setdefault(header.author, _Author())
        if header.position < author.count:
            return Touched(header.author)
        if header.position != author.count:
            raise ValueError(f"entry {header.position} comes after {author.count} entries")
        author.count += 1
        card, places = False, set()
        for data in entry.items:
            try:
                item = decode_item(data)
            except InvalidBytes:  # a kind of a later version, or nonsense: its author's affair
                continue
            _apply_item(author, item, header)
            card = card or isinstance(item, Card)
            if isinstance(item, Data):
                places.add(Place(item.namespace, item.key))
        return Touched(header.author, card, frozenset(places))

    def freeze(self, author: bytes, entries: Iterable[log.Entry]) -> Touched:
        """`author` forked its log, and `entries` are what is left of it: fold them anew."""
        former = self._authors.pop(author, None)
        places = set(former.list_places()) if former else set()
        for entry in entries:
            self.apply(entry)
        frozen = self._authors.setdefault(author, _Author())
        frozen.is_frozen = True
        return Touched(author, True, frozenset(places.union(frozen.list_places())))

    def get_authors(self) -> list[bytes]:
        return sorted(self._authors)

    def is_frozen(self, author: bytes) -> bool:
        found = self._authors.get(author)
        return found is not None and found.is_frozen

    def get_offer(self, agent: bytes) -> Offer | None:
        """The agent's newest card, whether it is still good or not."""
        author = self._authors.get(agent)
        return author.offer if author else None

    def get_card(self, agent: bytes) -> Card | None:
        offer = self.get_offer(agent)
        return offer.card if offer else None

    def is_good(self, offer: Offer, now_ms: int) -> bool:
        return offer.card.expires_ms > now_ms and not self.is_frozen(offer.agent)

    def find(
        self, now_ms: int, query: Query, get_standing: Callable[[bytes], Standing]
    ) -> list[tuple[Offer, Standing]]:
        """Agents that match `query` by a card that is good at `now_ms`: the best score first,
        then the lowest price hint."""
        found = []
        for agent, author in self._authors.items():
            offer = author.offer
            if offer is not None and self.is_good(offer, now_ms):
                standing = get_standing(agent)
                if query.matches(offer.card, standing):
                    found.append((offer, standing))
        return sorted(
            found, key=lambda each: (-each[1].score_ppm, each[0].card.price_hint, each[0].agent)
        )

    def get_receipts(self, author: bytes) -> tuple[WorkReceipt, ...]:
        """Receipts that `author` gave, oldest first."""
        found = self._authors.get(author)
        return tuple(found.receipts) if found else ()

    def get_data(self, author: bytes, namespace: str, key: str) -> Register | None:
        found = self._authors.get(author)
        return found.data.get(namespace, {}).get(key) if found else None

    def list_data(self, author: bytes) -> Mapping[Place, Register]:
        """The author's data by (namespace, key), ascending."""
        found = self._authors.get(author)
        places = sorted(found.list_places()) if found else []
        return {place: found.data[place.namespace][place.key] for place in places if found}

    def list_namespace(self, author: bytes, namespace: str) -> Mapping[str, Register]:
        """The author's data in one namespace by key, ascending."""
        found = self._authors.get(author)
        return dict(sorted(found.data.get(namespace, {}).items())) if found else {}

    def has_room(self, author: bytes, place: Place, size: int) -> bool:
        """Whether a value of `size` bytes would count there."""
        return _has_room(self._authors.get(author) or _Author(), place, size)


def _has_room(author: _Author, place: Place, size: int) -> bool:
    keys = author.data.get(place.namespace, {})
    former = keys.get(place.key)
    if former is None:
        is_full = len(keys) >= DATA_KEYS_NAMESPACE_MAX or author.data_keys >= DATA_KEYS_MAX
        return not is_full and author.data_bytes + size <= DATA_BYTES_MAX
    return author.data_bytes - len(former.value) + size <= DATA_BYTES_MAX


def _apply_item(author: _Author, item: AnyItem, header: log.Header) -> None:
    match item:
        case Card():
            author.offer = Offer(header.author, item, header.position)
        case WorkReceipt():
            author.receipts.append(item)
            del author.receipts[:-RECEIPTS_MAX]
        case Data(value=None):
            _remove(author, Place(item.namespace, item.key))
        case Data(value=bytes(value)):
            place = Place(item.namespace, item.key)
            if _has_room(author, place, len(value)):
                _remove(author, place)
                register = Register(value, header.position, header.time_ms)
                author.data.setdefault(place.namespace, {})[place.key] = register
                author.data_keys += 1
                author.data_bytes += len(value)


def _remove(author: _Author, place: Place) -> None:
    keys = author.data.get(place.namespace, {})
    register = keys.pop(place.key, None)
    if register is not None:
        author.data_keys -= 1
        author.data_bytes -= len(register.value)
        if not keys:
            del author.data[place.namespace]
