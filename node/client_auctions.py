"""A client of the local API's routes about general auctions. Synchronous."""

from collections.abc import Callable
from typing import Any

import httpx
import msgspec

from node import service_auctions as service

Get = Callable[[str, dict[str, Any] | None], httpx.Response]
Post = Callable[[str, msgspec.Struct | None], httpx.Response]
Decode = Callable[[httpx.Response, Any], Any]
Quote = Callable[[str], str]
"""A prefix of an id as a path segment; raises Problem for anything else."""


class AuctionClient:
    """One method for each route. Failures are Problems, as the API sent them."""

    def __init__(self, get: Get, post: Post, decode: Decode, quote: Quote) -> None:
        self._get, self._post, self._decode, self._quote = get, post, decode, quote

    def open(self, wanted: service.AuctionOrder) -> service.AuctionOpened:
        return self._decode(self._post("/v1/auctions", wanted), service.AuctionOpened)

    def list(
        self,
        state: str | None = None,
        *,
        mine: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> service.AuctionPage:
        params = {"state": state, "mine": mine, "limit": limit, "cursor": cursor}
        return self._decode(self._get("/v1/auctions", params), service.AuctionPage)

    def show(self, prefix: str) -> service.Auction:
        return self._decode(self._get(self._path(prefix), None), service.Auction)

    def bid(
        self,
        prefix: str,
        price: int | None = None,
        bundles: tuple[service.AuctionBundle, ...] = (),
    ) -> service.AuctionBidDone:
        """Without a price and bundles: pass."""
        wanted = service.AuctionBidOrder(price=price, bundles=bundles)
        return self._decode(self._post(self._path(prefix, "/bids"), wanted), service.AuctionBidDone)

    def cancel(self, prefix: str) -> service.AuctionSummary:
        done = self._post(self._path(prefix, "/cancel"), None)
        return self._decode(done, service.AuctionSummary)

    def deliver(
        self, prefix: str, winner: str | None = None, blob: str | None = None, note: str = ""
    ) -> service.AuctionAward:
        wanted = service.AuctionDeliverOrder(winner=winner, blob=blob, note=note)
        return self._decode(
            self._post(self._path(prefix, "/deliveries"), wanted), service.AuctionAward
        )

    def accept(self, prefix: str, winner: str | None, paid_ppm: int) -> service.AuctionAward:
        wanted = service.AuctionAcceptOrder(winner=winner, paid_ppm=paid_ppm)
        path = self._path(prefix, "/acceptances")
        return self._decode(self._post(path, wanted), service.AuctionAward)

    def plan_tasks(
        self, capability: str, count: int, budget: int, duration_ms: int
    ) -> service.TaskPlan:
        wanted = service.TaskPlanOrder(
            capability=capability, count=count, budget=budget, duration_ms=duration_ms
        )
        return self._decode(self._post("/v1/tasks/plan", wanted), service.TaskPlan)

    def certificate(self, prefix: str, *, wait: bool = False) -> bytes:
        return self._get(self._path(prefix, "/certificate"), {"wait": wait}).content

    def _path(self, prefix: str, rest: str = "") -> str:
        return f"/v1/auctions/{self._quote(prefix)}{rest}"
