"""The views of the committee's log as a pycrdt document, folded from the ledger when asked for.

Most nodes are never asked, so nothing is folded in advance: a request brings the document up to
the ledger's newest entry and gives a snapshot that Yjs clients apply.
"""

from collections.abc import Callable

import trio

from crdt.document import Document
from crdt.facts import decode_fact
from identity.errors import InvalidBytes, InvalidSchema
from node.ledger import Ledger, LedgerError
from node.ledger_states import read_checkpoint
from protocols.economy.chain import Chain

CLIENT_ID = 1
"""Every node's document has the same one: equal logs give equal bytes."""
READ_BATCHES = 64
READ_BYTES = 8 * 1024 * 1024


class Views:
    """The document of one committee."""

    def __init__(self, make_chain: Callable[[], Chain], ledger: Ledger) -> None:
        """`make_chain` gives the committee's chain at its genesis."""
        self._make_chain = make_chain
        self._committee = make_chain().get_committee().id
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
                    begin = await self._ledger.get_begin(self._committee)
                    if begin is None or begin.position < self._next:
                        return self._next - 1, self._document.snapshot()
                    await self._skip_to(begin.position)
                for batch in batches:
                    if batch.position != self._next:
                        await self._skip_to(batch.position - 1)
                    facts = [decode_fact(item) for item in batch.entry.items]
                    self._document.apply_facts(facts, batch.entry.header.time_ms)
                    self._next = batch.position + 1

    async def _skip_to(self, position: int) -> None:
        """Show the state that was fetched at `position` instead of the facts up to it."""
        state = await self._ledger.get_snapshot(self._committee, position)
        chunks = await self._ledger.read_chunks(self._committee, position)
        chain = self._make_chain()
        try:
            if state is None:
                raise InvalidSchema("it is not there")
            chain.load_state(state.join(chunks), position, read_checkpoint(state.certificate).head)
        except InvalidBytes as error:
            raise LedgerError(f"the state at {position} is damaged: {error}") from None
        self._document.restore(
            chain.list_balances(), chain.state.reputation.scores(), chain.list_tasks()
        )
        self._next = position + 1
