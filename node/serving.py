"""What peers that catch up are told: batches and states, read from the ledger."""

from collections.abc import Sequence

from crdt.facts import find_epoch_began
from node.ledger import ExecutedBatch, Ledger
from protocols.messages import (
    BATCHES_MAX,
    FRAME_BYTES_MAX,
    Batches,
    CommittedBatch,
    Hop,
    OfferState,
)
from protocols.pbft.state_server import give_chunks
from protocols.state_tree import StateTree
from protocols.step import Serve, ServeBatches, ServeChunks, ServeOffer

BYTES_MAX = FRAME_BYTES_MAX // 2
CERTIFICATE_LOOKS_MAX = 8
"""So many of the last batches of an answer are asked for a certificate: the newest are being
signed."""
TREES_MAX = 4
"""States whose trees are remembered, one for each of the last ones that were asked for."""


class Serving:
    """Answers one question at a time; who may ask how much is the core's decision."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._trees: dict[tuple[bytes, int], StateTree] = {}

    async def answer(self, serve: Serve) -> list[Hop]:
        """The hop messages that answer. Raises LedgerError."""
        match serve:
            case ServeBatches():
                return [await self._find_batches(serve)]
            case ServeOffer():
                return await self._offer(serve)
            case ServeChunks():
                return await self._find_chunks(serve)

    async def _find_batches(self, serve: ServeBatches) -> Batches:
        """None at all where the first one is not held: the peer asks another."""
        found = await self._ledger.read_batches(
            serve.committee, serve.start, count_max=BATCHES_MAX, bytes_max=BYTES_MAX
        )
        whole = [b for place, b in enumerate(found) if b.position == serve.start + place]
        certified = await self._find_certified(whole)
        batches = [await self._make_committed(batch, certified) for batch in whole]
        return Batches(committee=serve.committee, batches=tuple(batches))

    async def _find_certified(self, batches: Sequence[ExecutedBatch]) -> int | None:
        """The last of these positions that a certificate is held of: who only follows gets no
        votes to make one of."""
        for batch in reversed(batches[-CERTIFICATE_LOOKS_MAX:]):
            if await self._ledger.get_certificate(batch.committee, batch.position) is not None:
                return batch.position
        return None

    async def _make_committed(self, batch: ExecutedBatch, certified: int | None) -> CommittedBatch:
        """A batch for a peer; with its certificate if it is the `certified` one or ends an epoch:
        then the next one begins with that."""
        certificate = None
        if batch.position == certified or find_epoch_began(batch.entry.items) is not None:
            certificate = await self._ledger.get_certificate(batch.committee, batch.position)
        parts = (batch.position, batch.time_ms, batch.operations, batch.proof)
        return CommittedBatch(*parts, certificate or b"")

    async def _offer(self, serve: ServeOffer) -> list[Hop]:
        states = await self._ledger.read_snapshots(serve.committee)
        if not states or states[0].position <= serve.after:
            return []
        state = states[0]
        return [
            OfferState(
                committee=serve.committee,
                certificate=state.certificate,
                size=state.size,
                root=state.root,
            )
        ]

    async def _find_chunks(self, serve: ServeChunks) -> list[Hop]:
        """Chunks without data where the state is not held any more."""
        place = (serve.committee, serve.position)
        tree = await self._get_tree(*place)
        held = {} if tree is None else await self._ledger.read_chunks(*place, serve.chunks)
        return list(give_chunks(serve, tree, held))

    async def _get_tree(self, committee: bytes, position: int) -> StateTree | None:
        tree = self._trees.get((committee, position))
        if tree is None:
            state = await self._ledger.get_snapshot(committee, position)
            if state is None:
                return None
            tree = self._trees[committee, position] = StateTree(state.leaves)
            if len(self._trees) > TREES_MAX:
                del self._trees[next(iter(self._trees))]
        return tree
