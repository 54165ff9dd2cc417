"""Markets of one committee behind the local API: prices, halts, screens over chain and ledger."""

import trio

from crdt.facts import MarketHalted, PricePosted, decode_fact
from identity.keys import compute_peer_id
from node import service_market as service
from node.anomaly_rules import RULES
from node.ledger_rows import ExecutedBatch
from node.place import Place
from node.problem import Problem, not_found
from node.service_anomalies import Anomalies, AnomalyFound
from protocols.anomalies.watch import Anomaly
from protocols.auction.screening import Evidence, Screening
from protocols.economy.market_model import Market

BATCHES_PER_PAGE = 64
BYTES_PER_PAGE = 8 * 1024 * 1024
PREFIX_MIN = 4


class PlaceMarket:
    """The reading half of `MarketService`."""

    def __init__(self, place: Place) -> None:
        self._place, self._node = place, place.node

    async def prices(self) -> service.MarketPrices:
        await trio.lowlevel.checkpoint()
        state, names = self._place.chain.state, self._list_names()
        markets = {market.capability: market for market in state.markets()}
        agents = dict.fromkeys(names, 0)
        for _, offered in state.offers():
            for item in offered:
                agents[item.id] += 1
        found = [
            _describe_price(id_, names.get(id_), markets.get(id_), agents.get(id_, 0))
            for id_ in {**names, **markets}
        ]
        found.sort(key=lambda each: (each.name or "", each.capability))
        return service.MarketPrices(agreed_time_ms=state.time_ms, prices=tuple(found))

    async def price_history(self, capability: str, limit: int) -> service.PriceHistory:
        id_ = self._find_capability(capability)
        rows = await self._node.ledger.read_facts(
            self._place.id, count_max=limit, kind="price_posted", task=id_, newest_first=True
        )
        points = []
        for row in rows:
            fact = decode_fact(row.data)
            assert isinstance(fact, PricePosted)
            points.append(
                service.PricePoint(
                    position=row.position,
                    time_ms=row.time_ms,
                    price=fact.price,
                    former=fact.former,
                    agreements=fact.agreements,
                    capacity=fact.capacity,
                    utilisation_ppm=fact.utilisation_ppm,
                    intervals=fact.intervals,
                )
            )
        return service.PriceHistory(
            capability=id_.hex(), name=self._list_names().get(id_), points=tuple(points)
        )

    async def halts(self, capability: str | None, limit: int) -> service.MarketHalts:
        id_ = None if capability is None else self._find_capability(capability)
        rows = await self._node.ledger.read_facts(
            self._place.id, count_max=limit, kind="market_halted", task=id_, newest_first=True
        )
        names, now_ms = self._list_names(), self._place.chain.state.time_ms
        halts = []
        for row in rows:
            fact = decode_fact(row.data)
            assert isinstance(fact, MarketHalted)
            halts.append(
                service.MarketHalt(
                    capability=fact.capability.hex(),
                    name=names.get(fact.capability),
                    position=row.position,
                    time_ms=row.time_ms,
                    price=fact.price,
                    mean=fact.total // max(1, fact.awards),
                    awards=fact.awards,
                    since_ms=fact.since_ms,
                    deadline_ms=fact.deadline_ms,
                    is_over=now_ms >= fact.deadline_ms,
                )
            )
        return service.MarketHalts(halts=tuple(halts))

    async def screens(self, positions: int, *, everything: bool) -> service.Screened:
        await self._node.ledger.flush()
        last = self._place.chain.get_position()
        first = place = max(0, last - positions + 1)
        screening = Screening()
        while place <= last:
            batches = await self._node.ledger.read_batches(
                self._place.id, place, count_max=BATCHES_PER_PAGE, bytes_max=BYTES_PER_PAGE
            )
            batches = [batch for batch in batches if batch.position <= last]
            if not batches:
                break
            await trio.to_thread.run_sync(_screen, screening, batches)
            place = batches[-1].position + 1
        found = await trio.to_thread.run_sync(
            lambda: screening.list_evidence(only_suspicious=not everything)
        )
        names = self._list_names()
        return service.Screened(
            first=first,
            last=last,
            evidence=tuple(self._describe(each, names) for each in found),
        )

    async def anomalies(self) -> Anomalies:
        desk = self._place.anomalies
        await desk.look()
        names = self._list_names()
        found = [_describe_anomaly(each, names) for each in desk.anomalies]
        found += [_describe_screened(self._describe(each, names)) for each in desk.evidence]
        return Anomalies(
            first=desk.first, last=desk.last, skipped=desk.skipped, anomalies=tuple(found)
        )

    def _describe(self, found: Evidence, names: dict[bytes, str]) -> service.ScreenEvidence:
        about = None
        if found.about is not None:
            is_account = self._place.chain.state.stake.has(found.about)
            about = names.get(found.about, found.about.hex())
            about = compute_peer_id(found.about) if is_account else about
        return service.ScreenEvidence(
            screen=found.screen,
            parties=tuple(map(compute_peer_id, found.parties)),
            about=about,
            suspicious=found.suspicious,
            numbers=found.numbers,
        )

    def _list_names(self) -> dict[bytes, str]:
        """Capabilities that are offered now."""
        return {
            item.id: item.name for _, items in self._place.chain.state.offers() for item in items
        }

    def _find_capability(self, named: str) -> bytes:
        """By name, or by the first digits of the id. Raises Problem."""
        names = self._list_names()
        known = {market.capability: "" for market in self._place.chain.state.markets()} | names
        found = [id_ for id_, name in known.items() if name == named]
        if not found and len(named) >= PREFIX_MIN:
            found = [id_ for id_ in known if id_.hex().startswith(named.lower())]
        if not found:
            raise not_found("capability", named, "`econode market prices` shows those there are")
        if len(found) > 1:
            raise Problem("ambiguous", f"several capabilities are {named!r}", remedy="give its id")
        return found[0]


def _describe_anomaly(found: Anomaly, names: dict[bytes, str]) -> AnomalyFound:
    capability = found.about
    return AnomalyFound(
        kind=found.kind,
        subjects=(compute_peer_id(found.subject),) if found.subject else (),
        capability=None if capability is None else names.get(capability, capability.hex()),
        unit=found.unit,
        observed=found.observed,
        low=found.low,
        high=found.high,
        count=found.count,
        since_ms=found.since_ms,
        numbers={},
        rule=RULES[found.kind].what,
    )


def _describe_screened(found: service.ScreenEvidence) -> AnomalyFound:
    return AnomalyFound(
        kind=found.screen,
        subjects=found.parties,
        capability=found.about,
        unit=None,
        observed=None,
        low=None,
        high=None,
        count=None,
        since_ms=None,
        numbers=found.numbers,
        rule=RULES[found.screen].what,
    )


def _screen(screening: Screening, batches: list[ExecutedBatch]) -> None:
    for batch in batches:
        for item in batch.entry.items:
            screening.apply(decode_fact(item), batch.entry.header.time_ms)


def _describe_price(
    id_: bytes, name: str | None, market: Market | None, agents: int
) -> service.MarketPrice:
    buckets = () if market is None else market.buckets
    awards = sum(bucket.awards for bucket in buckets)
    return service.MarketPrice(
        capability=id_.hex(),
        name=name,
        price=None if market is None else market.price,
        mean=sum(bucket.total for bucket in buckets) // awards if awards else None,
        awards=awards,
        agents=agents,
        halted_until_ms=None if market is None else market.halted_until_ms,
    )
