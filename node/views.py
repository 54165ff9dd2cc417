"""The views of the committee's log as a pycrdt document, folded from the ledger when asked for.

Most nodes are never asked, so nothing is folded in advance: a request brings the document up to
the ledger's newest entry and gives a snapshot that Yjs clients apply.
"""

import trio

from crdt.document import Document
from crdt.facts import decode_fact
from node.ledger import Ledger

CLIENT_ID = 1
"""Every node's document has the same one: equal logs give equal bytes."""
READ_BATCHES = 64
READ_BYTES = 8 * 1024 * 1024


class Views:
    """The document of one committee."""

    def __init__(self, committee: bytes, ledger: Ledger) -> None:
        self._committee = committee
        self._ledger = ledger
        self._document = Document(CLIENT_ID)
        self._next = 0
        self._lock = trio.Lock()

    async def read(self) -> tuple[int, bytes]:
        """(position, snapshot): the views after the entry at `position` as a Yjs v1 update.

        Cancelling keeps what has been folded.
        """
        async with self._lock:
            while True:
                batches = await self._ledger.read_batches(
                    self._committee, self._next, count_max=READ_BATCHES, bytes_max=READ_BYTES
                )
                if not batches:
                    return self._next - 1, self._document.snapshot()
                for batch in batches:
                    facts = [decode_fact(item) for item in batch.entry.items]
                    self._document.apply_facts(facts, batch.entry.header.time_ms)
                    self._next = batch.position + 1
