"""Tasks in one committee that are paid with credits from another: a saga of ordered steps.

Credits leave `source`, arrive in `target`, pay the tasks there, and what is left goes back. Each
step is an operation of this node's account or something that others do; the node notes a signed
operation before it sends it, and what came of it, so that a restart goes on where it was and
orders nothing twice. docs/adr/0017 tells why.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

from crdt.facts import Exported, Fact, Rejected, TaskEnded, TaskOpened, decode_fact
from identity.errors import EconodeError, InvalidBytes
from node import funding_notes
from node.account import Ordered, Refused
from node.driver import read_clock_ms
from node.funding_notes import ENDED, Funding, Stage
from node.log_lines import about
from node.problem import Problem
from node.projections import compute_deltas
from node.receipts import NotHeld
from protocols.economy.model import compute_task_id
from protocols.economy.operations import AnyBody, Export, OpenTasks, TaskSpec
from protocols.economy.terms import compute_escrow
from protocols.requests import parse_request
from protocols.step import Certified, Executed, Transferred

if TYPE_CHECKING:
    from node.node import Node
    from node.place import Place

logger = logging.getLogger("econode.funding")

OPEN_MAX = 64
"""Fundings of one node that are under way at once."""
FACTS_PAGE = 500
RECEIPT_TRIES_MAX = 5
RECEIPT_PAUSE_SECONDS = 2.0
PREPARE_PAUSE_SECONDS = 0.2
"""Between two attempts to sign while too many operations are under way."""


class _Failed(EconodeError):
    """The step cannot be done; its message is the reason."""


class Funder:
    """A driver's listener in every committee; `run` takes the steps."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._open: dict[bytes, Funding] = {}
        self._resumed: dict[bytes, Ordered] = {}
        """By funding: operations that were signed before the start and not executed by then."""
        self._news = trio.Event()
        self._started: set[bytes] = set()
        self._steps: dict[Stage, Callable[[Funding], Awaitable[Funding]]] = {
            "leaving": self._leave,
            "crossing": self._cross,
            "opening": self._begin_tasks,
            "working": self._work,
            "returning": self._return,
            "homeward": self._come_home,
        }

    # --- the driver's listener ----------------------------------------------------------------

    def on_executed(self, executed: Executed) -> None:
        self._wake()

    def on_transferred(self, transferred: Transferred) -> None:
        self._wake()

    def on_certified(self, certified: Certified) -> None:
        """Nothing to do: what crosses is carried by others."""

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()

    # --- what others ask ----------------------------------------------------------------------

    def is_busy(self, committee: bytes) -> bool:
        """True while credits in `committee` belong to a funding that is under way."""
        return any(committee == funding.target for funding in self._open.values())

    async def begin(self, source: "Place", target: "Place", tasks: Sequence[TaskSpec]) -> Funding:
        """Returns once the first operation is noted. Raises Problem."""
        if len(self._open) >= OPEN_MAX:
            raise Problem(
                "too-many-fundings",
                f"{OPEN_MAX} submissions paid from other committees are under way",
                remedy="wait until one has ended",
                status=409,
            )
        amount = compute_amount(target, tasks)
        ordered = source.account.prepare(Export(target.id, self._node.key.public, amount))
        if ordered is None:
            raise Problem("too-many-operations", "too many operations are under way", status=409)
        funding = Funding(
            id=ordered.request.digest,
            source=source.id,
            target=target.id,
            tasks=tuple(tasks),
            amount=amount,
            created_ms=read_clock_ms(),
            stage="leaving",
            statement=ordered.request.data,
            signed_at=source.chain.get_position(),
        )
        self._pin(funding)
        self._resumed[funding.id] = ordered
        with trio.CancelScope(shield=True):  # a nonce that is never sent would stop the account
            await self._keep(funding)
            source.account.release(ordered)
        self._wake()
        return funding

    # --- running ------------------------------------------------------------------------------

    async def load(self) -> None:
        """Take up what was under way, before anything else is signed. Raises LedgerError."""
        notes = await self._node.ledger.read_fundings(only_open=True, count_max=OPEN_MAX)
        found = []
        for data in notes:
            try:
                found.append(funding_notes.decode(data))
            except InvalidBytes as error:
                logger.error(
                    "a note of a funding is damaged: %s", error, extra=about("funding_note_damaged")
                )
        for funding in sorted(found, key=self._get_nonce):
            self._open[funding.id] = funding
            self._pin(funding)
            place = self._find_signer(funding)
            if funding.statement and place is not None:
                ordered = place.account.resume(funding.statement)
                if ordered is not None:
                    self._resumed[funding.id] = ordered

    async def run(self) -> None:
        """Take the steps until cancelled. Raises LedgerError."""
        async with trio.open_nursery() as nursery:
            while True:
                news = self._news
                for id_ in [id_ for id_ in self._open if id_ not in self._started]:
                    self._started.add(id_)
                    nursery.start_soon(self._run, id_)
                await news.wait()

    async def _run(self, id_: bytes) -> None:
        funding = self._open[id_]
        sides = {funding.source, funding.target}
        await self._wait_for(lambda: sides <= self._node.places.keys())
        while funding.stage not in ENDED:
            try:
                funding = await self._steps[funding.stage](funding)
            except _Failed as failed:
                funding = replace(funding, stage="failed", reason=str(failed))
            await self._keep(funding)
            logger.info(
                "task funding %s: %s %s",
                id_.hex()[:8],
                funding.stage,
                funding.reason,
                extra=about("funding_stage", funding=id_, stage=funding.stage),
            )
        self._started.discard(id_)

    async def _keep(self, funding: Funding) -> None:
        is_open = funding.stage not in ENDED
        self._node.ledger.put_funding(funding.id, is_open, funding_notes.encode(funding))
        await self._node.ledger.flush()
        if is_open:
            self._open[funding.id] = funding
        else:
            self._open.pop(funding.id, None)
            self._unpin(funding)

    # --- steps: each gives what is known after it ---------------------------------------------

    async def _leave(self, funding: Funding) -> Funding:
        source, target = self._get_places(funding)
        body = Export(target.id, self._node.key.public, funding.amount)
        try:
            fact, position = await self._order(funding, source, body)
        except Refused as refused:
            raise _Failed(f"{source.name} refused the export: {refused.reason}") from None
        assert isinstance(fact, Exported)
        return replace(
            funding,
            stage="crossing",
            statement=b"",
            sent_number=fact.number,
            exported_position=position,
        )

    async def _cross(self, funding: Funding) -> Funding:
        source, target = self._get_places(funding)
        await self._wait_arrival(source, target, funding.sent_number)
        return replace(funding, stage="opening")

    async def _begin_tasks(self, funding: Funding) -> Funding:
        """A refusal is no end: what came has to go back."""
        _, target = self._get_places(funding)
        try:
            receipts = () if funding.statement else await self._gather(funding, target)
            body = OpenTasks(funding.tasks, receipts)
            fact, position = await self._order(funding, target, body)
        except Refused as refused:
            cost = target.chain.state.parameters.operation_fee
            return self._plan_return(funding, -cost, f"the tasks were refused: {refused.reason}")
        except NotHeld as error:
            return self._plan_return(funding, 0, str(error))
        assert isinstance(fact, TaskOpened)
        ids = self._compute_ids(funding, target)
        return replace(
            funding, stage="working", statement=b"", opened=ids, opened_position=position
        )

    async def _work(self, funding: Funding) -> Funding:
        _, target = self._get_places(funding)
        state = target.chain.state
        await self._wait_for(
            lambda: (
                target.chain.get_position() >= funding.opened_position
                and not any(state.get_task(task) for task in funding.opened)
            )
        )
        return self._plan_return(funding, await self._compute_change(funding, target), "")

    def _plan_return(self, funding: Funding, change: int, reason: str) -> Funding:
        """`change`: what the account has there more than the credits that came, less than 0."""
        fee = self._get_places(funding)[1].chain.state.parameters.operation_fee
        rest = max(0, funding.amount + change - fee)
        return replace(funding, stage="returning", statement=b"", returned=rest, reason=reason)

    async def _return(self, funding: Funding) -> Funding:
        source, target = self._get_places(funding)
        state, me = target.chain.state, self._node.key.public
        amount = funding.returned
        if not funding.statement:
            free = state.stake.get(me, "free") - state.parameters.operation_fee
            amount = max(0, min(amount, free))
        if not amount:
            return replace(funding, stage=_get_end(funding), returned=0)
        funding = replace(funding, returned=amount)
        try:
            fact, position = await self._order(funding, target, Export(source.id, me, amount))
        except Refused as refused:
            raise _Failed(f"{target.name} refused the way back: {refused.reason}") from None
        assert isinstance(fact, Exported)
        return replace(
            funding,
            stage="homeward",
            statement=b"",
            returned=fact.amount,
            back_number=fact.number,
            returned_position=position,
        )

    async def _come_home(self, funding: Funding) -> Funding:
        source, target = self._get_places(funding)
        await self._wait_arrival(target, source, funding.back_number)
        return replace(funding, stage=_get_end(funding))

    # --- parts of steps -----------------------------------------------------------------------

    async def _order(self, funding: Funding, place: "Place", body: AnyBody) -> tuple[Fact, int]:
        """The fact that the operation of this stage led to, and where. Raises Refused, _Failed."""
        while True:
            ordered = self._resumed.pop(funding.id, None)
            if ordered is None and not funding.statement:
                ordered = await _prepare(place, body)
                funding = replace(
                    self._open[funding.id],
                    statement=ordered.request.data,
                    signed_at=place.chain.get_position(),
                    returned=funding.returned,
                )
                with trio.CancelScope(shield=True):  # as in `begin`
                    await self._keep(funding)
                    place.account.release(ordered)
            if ordered is not None:
                try:
                    await ordered.wait()
                except Refused:
                    raise
                except EconodeError:
                    pass  # another operation took its nonce, or it was executed unseen
            await self._wait_for(lambda: not place.seat.catch_up.is_behind())
            await place.flush()
            found = await self._find_outcome(funding, place)
            if found is not None:
                return found
            funding = replace(funding, statement=b"")

    async def _find_outcome(self, funding: Funding, place: "Place") -> tuple[Fact, int] | None:
        """What the log says of the operation that was noted; None when it never took effect.
        Raises Refused, and _Failed where the log is not held."""
        ledger, me = self._node.ledger, self._node.key.public
        request, _ = parse_request(funding.statement, place.committee)
        ids = self._compute_ids(funding, place)
        after: tuple[int, int] | None = (funding.signed_at, 0)
        while after is not None:
            rows = await ledger.read_facts(place.id, count_max=FACTS_PAGE, after=after, account=me)
            for row in rows:
                fact = decode_fact(row.data)
                if isinstance(fact, Rejected) and fact.operation == request.digest:
                    raise Refused(fact)
                if (isinstance(fact, Exported) and fact.operation == request.digest) or (
                    isinstance(request.operation.body, OpenTasks)
                    and isinstance(fact, TaskOpened)
                    and fact.task == ids[0]
                    and fact.input == funding.tasks[0].input
                ):
                    return fact, row.position
            after = (rows[-1].position, rows[-1].item) if len(rows) == FACTS_PAGE else None
        gaps = await ledger.read_gaps(place.id)
        if any(end > funding.signed_at for _, end in gaps):
            raise _Failed(
                f"this node fetched a state of {place.name} across the operation: see the log of "
                "another node, and `econode stake show`"
            )
        return None

    def _compute_ids(self, funding: Funding, place: "Place") -> tuple[bytes, ...]:
        """Ids of the tasks, if the noted operation opens them."""
        note = self._open[funding.id]
        nonce = parse_request(note.statement, place.committee)[0].operation.nonce
        network, me = self._node.network, self._node.key.public
        return tuple(
            compute_task_id(network, place.id, me, nonce, index)
            for index in range(len(funding.tasks))
        )

    async def _compute_change(self, funding: Funding, target: "Place") -> int:
        """What the tasks' facts moved from (below 0) or to the account, in all its buckets. Where
        the log is not held, all that a task can cost."""
        ledger, me = self._node.ledger, self._node.key.public
        await target.flush()
        total = 0
        for spec, task in zip(funding.tasks, funding.opened, strict=True):
            rows = await ledger.read_facts(target.id, count_max=FACTS_PAGE, task=task)
            facts = [decode_fact(row.data) for row in rows]
            if facts and isinstance(facts[0], TaskOpened) and isinstance(facts[-1], TaskEnded):
                deltas = compute_deltas(facts)
                total += sum(amount for (account, _), amount in deltas.items() if account == me)
            else:
                total -= _compute_escrow(target, spec)
        return total

    async def _gather(self, funding: Funding, target: "Place") -> tuple[bytes, ...]:
        """Receipts that show the inputs held. Raises NotHeld after RECEIPT_TRIES_MAX."""
        inputs = {spec.input: spec.input_bytes for spec in funding.tasks}
        others = [key for key in target.committee.members if key != self._node.key.public]
        for _ in range(RECEIPT_TRIES_MAX - 1):
            try:
                return tuple(await target.receipts.gather(inputs, others))
            except NotHeld:
                await trio.sleep(RECEIPT_PAUSE_SECONDS)
        return tuple(await target.receipts.gather(inputs, others))

    async def _wait_arrival(self, source: "Place", target: "Place", number: int) -> None:
        """Until a transfer has arrived. Raises _Failed when the border is frozen instead."""

        def is_over() -> bool:
            border = target.chain.state.get_border(source.id)
            return border is not None and (border.imported >= number or border.frozen)

        await self._wait_for(is_over)
        border = target.chain.state.get_border(source.id)
        if border is not None and border.imported < number:
            raise _Failed(f"{target.name} has frozen the border: the credits stay in transit")

    async def _wait_for(self, is_done: Callable[[], bool]) -> None:
        while not is_done():
            with trio.move_on_after(1.0):  # what is no news of a committee is seen then
                await self._news.wait()

    # --- small ones ---------------------------------------------------------------------------

    def _get_places(self, funding: Funding) -> "tuple[Place, Place]":
        return self._node.places[funding.source], self._node.places[funding.target]

    def _find_signer(self, funding: Funding) -> "Place | None":
        """Where the operation of the stage is ordered."""
        id_ = funding.source if funding.stage == "leaving" else funding.target
        return self._node.places.get(id_)

    def _get_nonce(self, funding: Funding) -> int:
        place = self._find_signer(funding)
        if place is None or not funding.statement:
            return 0
        return parse_request(funding.statement, place.committee)[0].operation.nonce

    def _pin(self, funding: Funding) -> None:
        """Keep the inputs until the tasks are over."""
        store = self._node.blobs.store.store
        for digest in {spec.input for spec in funding.tasks}:
            if store.has(digest):
                store.pin(digest)

    def _unpin(self, funding: Funding) -> None:
        store = self._node.blobs.store.store
        for digest in {spec.input for spec in funding.tasks}:
            if store.has(digest):
                store.unpin(digest)


async def _prepare(place: "Place", body: AnyBody) -> Ordered:
    while (ordered := place.account.prepare(body)) is None:
        await trio.sleep(PREPARE_PAUSE_SECONDS)
    return ordered


def _get_end(funding: Funding) -> Stage:
    return "failed" if funding.reason else "done"


def _compute_escrow(target: "Place", spec: TaskSpec) -> int:
    rules, members = target.chain.state.parameters, target.committee.n
    return compute_escrow(rules, members, spec.budget, spec.terms)


def compute_amount(target: "Place", tasks: Sequence[TaskSpec]) -> int:
    """What the tasks put into escrow, and the fees of opening them and of the way back."""
    fees = 2 * target.chain.state.parameters.operation_fee
    return sum(_compute_escrow(target, spec) for spec in tasks) + fees
