"""This node in the general auctions of one committee: its agent bids, and what was sealed is
opened, by hand or by the agent, also after a restart."""

import logging
from typing import TYPE_CHECKING

import trio

from crdt.facts import AuctionCancelled, AuctionEnded, Fact, decode_fact
from crdt.facts_auctions import Bundles
from identity.errors import EconodeError
from node import config
from node.account import Ordered, Refused
from node.driver import read_clock_ms
from node.ledger import LedgerFull
from node.log_lines import about
from node.problem import Problem
from protocols.agents.plan_auctions import Act, Trader
from protocols.agents.strategies import STRATEGIES
from protocols.agents.wants import Want
from protocols.economy.operations import AnyBody
from protocols.economy.operations_auctions import CommitAuctionBid
from protocols.step import Certified, Executed, Transferred

if TYPE_CHECKING:
    from node.place import Place

logger = logging.getLogger("econode.bidder")

LOOK_SECONDS = 5.0
"""Longest time between two looks at what is under way."""
RETRY_SECONDS = 1.0
"""After a bid was refused, until the agent bids in that auction again: each costs a fee."""
TRIED_MAX = 1_024
FACTS_PAGE = 500


class Bidder:
    """A driver's listener; `run` acts. See `protocols.agents.plan_auctions` for what it does."""

    def __init__(self, place: "Place", secret: bytes) -> None:
        self._place = place
        self._node = node = place.node
        self._book = node.bids
        self.trader = Trader(
            committee=place.committee,
            me=node.key.public,
            secret=secret,
            wants=tuple(list_wants(node.config)),
            passes=node.config.agent.enabled and node.config.agent.passes,
        )
        self._tried: dict[bytes, float] = {}
        """When the agent may bid again, by auction, after a refusal."""
        self._ended: list[tuple[bytes, int]] = []
        self._has_gap = True
        """Auctions may have ended that `on_executed` did not tell of."""
        self._news = trio.Event()

    # --- the driver's listener ----------------------------------------------------------------

    def on_executed(self, executed: Executed) -> None:
        for fact in executed.facts:
            match fact:
                case AuctionEnded() | AuctionCancelled():
                    self._ended.append((fact.auction, self._count_won(fact)))
        self._news.set()

    def on_transferred(self, transferred: Transferred) -> None:
        self._has_gap = True
        self._news.set()

    def on_certified(self, certified: Certified) -> None:
        """Nothing to do: what to do follows from what is executed."""

    # --- by hand ------------------------------------------------------------------------------

    async def bid(self, body: AnyBody, auction: bytes, bundles: Bundles) -> Ordered:
        """Keep what a bid by hand says, then send it. Raises Problem, LedgerError."""
        await self._book.keep(self._place.id, auction, bundles, "")
        return await self._place.account.submit(body)

    # --- running ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Act until cancelled. Raises LedgerError."""
        async with trio.open_nursery() as nursery:
            pause_s = LOOK_SECONDS
            self._news.set()
            while True:
                with trio.move_on_after(pause_s):
                    await self._news.wait()
                self._news = trio.Event()
                pause_s = LOOK_SECONDS
                if not self._place.seat.catch_up.is_behind():
                    pause_s = await self._act(nursery)

    async def _act(self, nursery: trio.Nursery) -> float:
        """Submit what is to be said now; seconds until the next look."""
        await self._close_ended()
        place, now_ms = self._place, self._estimate_time()
        if (
            not self.trader.wants
            and not self.trader.passes
            and not self._book.list_auctions(place.id)
        ):
            return LOOK_SECONDS
        taken = self._book.count_taken()
        left = {want.name: want.units_max - taken[want.name] for want in self.trader.wants}
        plan = self.trader.plan(
            place.chain.state,
            self._book.list_sealed(place.id),
            left,
            now_ms,
            place.account.get_pending(),
        )
        for act in plan.acts:
            await self._submit(act, nursery)
        if plan.wake_ms is None:
            return LOOK_SECONDS
        return min(LOOK_SECONDS, max(plan.wake_ms - now_ms, 1) / 1000)

    async def _submit(self, act: Act, nursery: trio.Nursery) -> None:
        auction = act.auction
        if act.bundles and self._is_paused(auction):
            return
        known = self._book.list_auctions(self._place.id)
        if act.want is not None and (auction not in known or _is_seal(act.body)):
            try:
                await self._book.keep(self._place.id, auction, act.bundles, act.want.name)
            except (Problem, LedgerFull) as error:
                logger.warning(
                    "auction %s: no bid: %s",
                    auction.hex()[:8],
                    error,
                    extra=about("bid_failed", auction=auction),
                )
                self._pause(auction)
                return
        ordered = self._place.account.try_submit(act.body)
        if ordered is not None:
            nursery.start_soon(self._await, auction, ordered)

    async def _await(self, auction: bytes, ordered: Ordered) -> None:
        try:
            await ordered.wait()
        except Refused as refused:
            logger.info(
                "auction %s: refused: %s",
                auction.hex()[:8],
                refused,
                extra=about("bid_refused", auction=auction),
            )
            self._pause(auction)
        except EconodeError as error:  # its nonce went to another operation: `_act` looks again
            logger.info("auction %s: %s", auction.hex()[:8], error)
            self._news.set()

    def _is_paused(self, auction: bytes) -> bool:
        return trio.current_time() < self._tried.get(auction, float("-inf"))

    def _pause(self, auction: bytes) -> None:
        if len(self._tried) >= TRIED_MAX:
            del self._tried[next(iter(self._tried))]
        self._tried[auction] = trio.current_time() + RETRY_SECONDS

    def _estimate_time(self) -> int:
        """What the committee's time will be about when an operation is ordered: its members'
        clocks are this one, and it never goes back."""
        return max(read_clock_ms(), self._place.chain.get_time_ms())

    # --- what has ended -----------------------------------------------------------------------

    async def _close_ended(self) -> None:
        ended, self._ended = self._ended, []
        if self._has_gap:
            self._has_gap = False
            await self._forget_ended()
        mine = self._book.list_auctions(self._place.id)
        for auction, won in ended:
            if auction in mine:
                await self._node.ledger.wait_room(0)
                self._book.close(self._place.id, auction, won)

    async def _forget_ended(self) -> None:
        """What ended while this node was away: its log tells, as far as it is held."""
        await self._place.flush()
        state = self._place.chain.state
        mine = self._book.list_auctions(self._place.id)
        gone = {auction for auction in mine if state.get_auction(auction) is None}
        after: tuple[int, int] | None = None
        while gone:
            rows = await self._node.ledger.read_facts(
                self._place.id,
                count_max=FACTS_PAGE,
                after=after,
                kind="auction_ended",
                newest_first=True,
            )
            for row in rows:
                fact = decode_fact(row.data)
                if isinstance(fact, AuctionEnded) and fact.auction in gone:
                    gone.discard(fact.auction)
                    self._book.close(self._place.id, fact.auction, self._count_won(fact))
            if len(rows) < FACTS_PAGE:
                break
            after = (rows[-1].position, rows[-1].item)
        for auction in gone:
            logger.warning(
                "auction %s ended unseen",
                auction.hex()[:8],
                extra=about("auction_ended_unseen", auction=auction),
            )
            self._book.close(self._place.id, auction, 0)

    def _count_won(self, fact: Fact) -> int:
        if not isinstance(fact, AuctionEnded):
            return 0
        me = self._node.key.public
        return sum(len(award.lots) for award in fact.awards if award.winner == me)


def _is_seal(body: AnyBody) -> bool:
    return isinstance(body, CommitAuctionBid)


def list_wants(settings: config.Config) -> "list[Want]":
    """What the config says that the agent buys and sells."""
    agent = settings.agent
    if not agent.enabled:
        return []
    wants = [
        Want(
            name=name_trade("want", each.lots),
            direction="forward",
            lots=each.lots,
            amount=each.value,
            units_max=each.units_max,
            strategy=STRATEGIES[each.strategy or agent.strategy],
            margin_ppm=agent.margin_ppm,
        )
        for each in settings.want
    ]
    return wants + [
        Want(
            name=name_trade("sell", each.lots),
            direction="reverse",
            lots=each.lots,
            amount=each.cost,
            units_max=each.units_max,
            strategy=STRATEGIES[each.strategy or agent.strategy],
            margin_ppm=agent.margin_ppm,
        )
        for each in settings.sell
    ]


def name_trade(table: str, lots: tuple[str, ...]) -> str:
    """What bids of a [[want]] or [[sell]] are counted under."""
    return f"{table} {' + '.join(lots)}"
