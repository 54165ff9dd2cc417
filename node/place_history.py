"""The past of one committee behind the local API: `HistoryService` over the ledger."""

from functools import partial
from itertools import islice

import trio

from crdt.auctions import AuctionRow
from crdt.facts import decode_fact
from crdt.tasks import TaskRow
from identity.keys import compute_peer_id
from node import service_history as service
from node.api_checks import is_hex
from node.auction_words import describe_summary
from node.describe import describe_fact
from node.ledger_history import Newest, Row, find_ids, make_place, read_newest
from node.node_service import PlaceService
from node.pages import parse_place
from node.place import Place
from node.proofs import ProofService
from node.service import TaskState
from node.service_auctions import AuctionState


class PlaceHistory:
    """See `HistoryService` for the contract. `of` is this node in the same committee."""

    def __init__(self, place: Place, of: PlaceService, proofs: ProofService) -> None:
        self._place, self._node, self._of, self._proofs = place, place.node, of, proofs

    async def tasks(
        self, state: TaskState | None, limit: int, cursor: str | None
    ) -> service.TaskHistory:
        found = await self._read(TaskRow, state, limit, cursor)
        tasks = tuple(map(self._of.describe_task, found.rows))
        return service.TaskHistory(counts=found.counts, tasks=tasks, next=found.next)

    async def auctions(
        self, state: AuctionState | None, limit: int, cursor: str | None
    ) -> service.AuctionHistory:
        found = await self._read(AuctionRow, state, limit, cursor)
        auctions = tuple(map(describe_summary, found.rows))
        return service.AuctionHistory(counts=found.counts, auctions=auctions, next=found.next)

    async def _read(
        self, kind: type[Row], state: str | None, limit: int, cursor: str | None
    ) -> Newest[Row]:
        await self._node.ledger.flush()
        path, place = self._node.home.ledger_path, self._place.id
        read = partial(read_newest, path, place, kind, state=state, limit=limit, before=cursor)
        return await trio.to_thread.run_sync(read)

    async def story(self, subject: bytes, limit: int, cursor: str | None) -> service.Story:
        await self._node.ledger.flush()
        rows = await self._node.ledger.read_facts(
            self._place.id,
            count_max=limit,
            task=subject,
            after=None if cursor is None else parse_place(cursor),
        )
        certified = self._place.seat.core.heads.certified
        facts = tuple(
            service.StoryFact(
                position=row.position,
                item=row.item,
                time_ms=row.time_ms,
                certified=row.position <= certified,
                fact=describe_fact(decode_fact(row.data)),
            )
            for row in rows
        )
        following = make_place(rows[-1].position, rows[-1].item) if len(rows) == limit else None
        return service.Story(id=subject.hex(), facts=facts, next=following)

    async def find(self, text: str) -> service.Found:
        await self._node.ledger.flush()
        found: list[service.FoundThing] = []
        if is_hex(text.lower()):
            tasks, auctions = await trio.to_thread.run_sync(self._find_ids, text.lower())
            found += [service.FoundThing(kind="task", id=id_.hex()) for id_ in tasks]
            found += [service.FoundThing(kind="auction", id=id_.hex()) for id_ in auctions]
        state = self._place.chain.state
        if any(variable.terms.name == text for variable in state.variables()):
            found.append(service.FoundThing(kind="variable", id=text))
        peers = map(compute_peer_id, state.stake.accounts())
        accounts = (peer for peer in peers if peer.endswith(text))
        for peer in islice(accounts, service.FOUND_MAX):
            found.append(service.FoundThing(kind="account", id=peer))
        return service.Found(found=tuple(found))

    def _find_ids(self, prefix: str) -> tuple[list[bytes], list[bytes]]:
        where = (self._node.home.ledger_path, self._place.id)
        tasks = find_ids(*where, TaskRow, prefix, service.FOUND_MAX)
        return tasks, find_ids(*where, AuctionRow, prefix, service.FOUND_MAX)

    async def prove_entry(self, position: int) -> bytes:
        await self._node.ledger.flush()
        return await self._proofs.of_entry(self._place.id, position)
