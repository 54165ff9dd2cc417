"""What event streams read: entries of a log, changes of application data, updates of views."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from node.event_stream import ReadEvents
from node.service import CommitteeService
from node.service_data import DataService
from node.service_views import ViewsUpdate

ENTRIES_PER_READ = 16


@contextmanager
def feed_entries(node: CommitteeService, position: int) -> Iterator[ReadEvents]:
    """Entries of the committee's log from `position` on, whose position is each event's id."""

    async def read() -> bytes:
        nonlocal position
        page = await node.wait_facts(position, ENTRIES_PER_READ)
        position = page.next
        return b"".join(
            b"id: %d\nevent: entry\ndata: %b\n\n" % (entry.position, msgspec.json.encode(entry))
            for entry in page.entries
        )

    yield read


@contextmanager
def feed_data(
    data: DataService, namespace: str, key: str, peer: str | None
) -> Iterator[ReadEvents]:
    """What becomes of a key. Without ids: a new stream begins with what is there."""
    with data.watch(namespace, key, peer) as watch:

        async def read() -> bytes:
            changes = await watch.next()
            return b"".join(
                b"event: data\ndata: %b\n\n" % msgspec.json.encode(change) for change in changes
            )

        yield read


@contextmanager
def feed_views(node: CommitteeService) -> Iterator[ReadEvents]:
    """Updates of the document of the views. Without ids: a new stream begins with all of it."""
    with node.watch_views() as watch:

        async def read() -> bytes:
            position, updates = await watch.next()
            return b"".join(
                b"event: views\ndata: %b\n\n"
                % msgspec.json.encode(
                    ViewsUpdate(position=position, update=base64.b64encode(update).decode())
                )
                for update in updates
            )

        yield read
