"""Carries credits over borders: orders the imports of what other committees exported.

A node that takes part in both sides of a border, or follows one of them, sees in the two states
which transfers wait; nothing is remembered that a restart could lose. Whoever a transfer belongs
to goes first, then the members of the formed committee take turns: any one of them is enough, and
two would pay a second fee for nothing. Nobody is paid for it.

The same look renews borders before they grow stale (`unbonding_ms`). That goes by this node's
clock: agreed time stands still in a committee that orders nothing. Such a one is made to order
something, or it would have no newer certificate to show.
"""

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import trio

from crdt.facts import Exported, decode_fact
from identity.errors import EconodeError
from node.account import Ordered, Refused
from node.crossing_prove import prove_import, prove_renewal
from node.driver import read_clock_ms
from node.log_lines import about
from protocols.economy.operations import Import, Transfer
from protocols.step import Certified, Executed, Transferred

if TYPE_CHECKING:
    from node.place import Place

logger = logging.getLogger("econode.carrier")

LOOK_SECONDS = 1.0
"""Time between two looks at the borders when nothing happens."""
PROOF_SECONDS = 0.2
"""Time between two attempts to prove what is not certified yet."""
TURN_SECONDS = 3.0
"""How long each carrier leaves a transfer to the one before it."""
RETRY_SECONDS = 5.0
"""After an import that was refused; doubles with each further one."""
RETRY_SECONDS_MAX = 3_600.0
EXPORTS_MAX = 256
"""Transfers that are looked through for whose they are, and shown."""
RENEW_PAUSE_SECONDS = 10.0
"""Between two renewals of one border: a node whose clock is wrong pays no more fees than that."""
RENEW_SHARE = 3
"""A border is renewed once a third of `unbonding_ms` has gone by since what it knows."""


@dataclass(slots=True)
class _Task:
    """What waits at one border. `number` is the first transfer that waits, 0 for none; `since` is
    when this node first saw that, `senders` are the accounts that those transfers come from."""

    number: int = 0
    since: float = 0.0
    senders: frozenset[bytes] = frozenset()
    refusals: int = 0
    not_before: float = 0.0
    renew_not_before: float = 0.0
    is_under_way: bool = False


class Carrier:
    """A driver's listener in every committee; `run` carries. `places` is the node's, by id."""

    def __init__(self, places: "dict[bytes, Place]") -> None:
        self._places = places
        self._tasks: dict[tuple[bytes, bytes], _Task] = {}
        """By source and target; as many as there are borders between places."""
        self._news = trio.Event()

    def on_executed(self, executed: Executed) -> None:
        self._news.set()

    def on_transferred(self, transferred: Transferred) -> None:
        self._news.set()

    def on_certified(self, certified: Certified) -> None:
        self._news.set()

    async def run(self) -> None:
        """Carry until cancelled. Raises LedgerError."""
        async with trio.open_nursery() as nursery:
            while True:
                with trio.move_on_after(LOOK_SECONDS):
                    await self._news.wait()
                self._news = trio.Event()
                for source, target in list(list_pairs(self._places)):
                    task = self._tasks.setdefault((source.id, target.id), _Task())
                    await self._look(source, target, task)
                    if not task.is_under_way and self._is_due(source, target, task):
                        task.is_under_way = True
                        nursery.start_soon(self._carry, source, target, task)

    async def _look(self, source: "Place", target: "Place", task: _Task) -> None:
        """Note what waits, where that has changed."""
        border = target.chain.state.get_border(source.id)
        assert border is not None
        waiting = count_waiting(source, target)
        number = border.imported + 1 if waiting else 0
        if number != task.number or not (waiting or is_old(target, border.time_ms)):
            task.number, task.since, task.refusals = number, trio.current_time(), 0
            task.senders = frozenset()
        if number and not task.senders:
            found = await list_exports(source, target, number)
            task.senders = frozenset(fact.account for _, fact in found)

    def _is_due(self, source: "Place", target: "Place", task: _Task) -> bool:
        """True when this node should order an import now."""
        now, border = trio.current_time(), target.chain.state.get_border(source.id)
        assert border is not None
        if border.frozen or not (task.number or is_old(target, border.time_ms)):
            return False
        if task.number and not task.senders:
            return False  # executed, but not in the ledger yet
        turn = compute_turn(source, target, task.senders, task.number)
        is_behind = source.seat.catch_up.is_behind() or target.seat.catch_up.is_behind()
        return bool(
            turn is not None
            and not is_behind
            and now >= max(task.since + turn * TURN_SECONDS, task.not_before)
            and (task.number or now >= task.renew_not_before)
        )

    async def _carry(self, source: "Place", target: "Place", task: _Task) -> None:
        try:
            if task.number:
                await self._import(source, target, task)
            else:
                await self._renew(source, target, task)
        finally:
            task.is_under_way = False
        self._news.set()

    async def _import(self, source: "Place", target: "Place", task: _Task) -> None:
        body = await _prove(source, target)
        ordered = None if body is None else target.account.try_submit(body)
        if ordered is None:
            await trio.sleep(PROOF_SECONDS)
        else:
            await self._wait(source, target, ordered, task)

    async def _renew(self, source: "Place", target: "Place", task: _Task) -> None:
        task.renew_not_before = trio.current_time() + RENEW_PAUSE_SECONDS
        me = source.node.key.public
        if is_old(source, source.chain.get_time_ms()) and _can_pay(source, me):
            logger.info(
                "%s is idle: a payment to itself gives it a newer certificate",
                source.name,
                extra=about("crossing_waits", committee=source.name),
            )
            ordered = source.account.try_submit(Transfer(me, 1))
            while (
                ordered is not None
                and is_old(source, source.chain.get_time_ms())
                and not count_waiting(source, target)
            ):
                await trio.sleep(PROOF_SECONDS)
        await self._import(source, target, task)

    async def _wait(self, source: "Place", target: "Place", ordered: Ordered, task: _Task) -> None:
        try:
            await ordered.wait()
        except Refused as refused:
            # Somebody else was faster; anything else must not be asked for again and again.
            log = logger.info if refused.reason in _OTHERS_WERE_FASTER else logger.warning
            log(
                "%s refused an import from %s: %s",
                target.name,
                source.name,
                refused.reason,
                extra=about("crossing_refused", committee=target.name, reason=refused.reason),
            )
            pause = min(RETRY_SECONDS * 2**task.refusals, RETRY_SECONDS_MAX)
            task.refusals = min(task.refusals + 1, 32)
            task.not_before = trio.current_time() + pause
        except EconodeError as error:
            logger.info(
                "an import from %s into %s: %s",
                source.name,
                target.name,
                error,
                extra=about("crossing_failed", committee=target.name),
            )
        else:
            logger.info(
                "an import from %s is done in %s",
                source.name,
                target.name,
                extra=about("crossing_done", committee=target.name),
            )


_OTHERS_WERE_FASTER = ("already_imported", "nothing_new")


async def _prove(source: "Place", target: "Place") -> Import | None:
    """The import that comes next, or None where it cannot be made yet."""
    border, node = target.chain.state.get_border(source.id), target.node
    if border is None:
        return None
    await source.flush()  # what is proven is read from there
    path, place = node.home.ledger_path, (node.network, source.id)
    if count_waiting(source, target):
        prove = partial(prove_import, path, *place, target.id, border)
    else:
        prove = partial(prove_renewal, path, *place, border)
    return await trio.to_thread.run_sync(prove)


def list_pairs(places: "dict[bytes, Place]") -> Iterator[tuple["Place", "Place"]]:
    """Source and target of each border whose sides this node has both."""
    for target in places.values():
        for border in target.chain.state.borders():
            source = places.get(border.committee)
            if source is not None and source.chain.state.get_border(target.id) is not None:
                yield source, target


def count_waiting(source: "Place", target: "Place") -> int:
    """Transfers from `source` to `target` that have not arrived, as this node sees both."""
    sent = source.chain.state.get_border(target.id)
    come = target.chain.state.get_border(source.id)
    return 0 if sent is None or come is None else max(0, sent.exported - come.imported)


async def list_exports(source: "Place", target: "Place", first: int) -> list[tuple[int, Exported]]:
    """The transfers from `source` to `target` numbered `first` or higher, among the last
    EXPORTS_MAX that left `source`; in order, each with its position."""
    rows = await source.node.ledger.read_facts(
        source.id, count_max=EXPORTS_MAX, kind="exported", newest_first=True
    )
    found = ((row.position, decode_fact(row.data)) for row in reversed(rows))
    return [
        (position, fact)
        for position, fact in found
        if isinstance(fact, Exported) and fact.committee == target.id and fact.number >= first
    ]


def compute_turn(
    source: "Place", target: "Place", senders: Collection[bytes], number: int
) -> int | None:
    """How many go before this node at the transfer of that number, None for who leaves it to
    others. A sender that can pay the fee there goes first; then the formed committee's members.
    """
    me = target.node.key.public
    if not _can_pay(target, me):
        return None
    if me in senders:
        return 0
    border = target.chain.state.get_border(source.id)
    formed = target if border is not None and border.is_parent else source
    carriers = [key for key in formed.committee.members if _can_pay(target, key)]
    if me not in carriers:
        return None
    after = any(_can_pay(target, sender) for sender in senders)
    return after + (carriers.index(me) - number) % len(carriers)


def _can_pay(target: "Place", account: bytes) -> bool:
    state = target.chain.state
    return state.stake.get(account, "free") >= max(1, state.parameters.operation_fee)


def is_old(place: "Place", time_ms: int) -> bool:
    """True when it is time to renew what is known as of an agreed time."""
    unbonding_ms = place.chain.state.parameters.unbonding_ms
    return read_clock_ms() - time_ms > unbonding_ms // RENEW_SHARE
