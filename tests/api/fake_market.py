"""The fake node's markets and variables: one price, and variables that their sponsor holds."""

import hashlib

from crdt.facts_market import VariableTerms
from node import service_market as service
from node.problem import not_found
from node.service_anomalies import Anomalies, AnomalyFound

CAPABILITY = "ab" * 32


class FakeMarket:
    """Implements node.service_market.MarketService; reports are opened at once."""

    def __init__(self, peer_id: str) -> None:
        self._peer_id = peer_id
        self._held: dict[str, tuple[VariableTerms, int]] = {}

    async def prices(self) -> service.MarketPrices:
        price = service.MarketPrice(
            capability=CAPABILITY,
            name="upper",
            price=7,
            mean=8,
            awards=3,
            agents=1,
            halted_until_ms=None,
        )
        return service.MarketPrices(agreed_time_ms=1, prices=(price,))

    async def price_history(self, capability: str, limit: int) -> service.PriceHistory:
        if capability != "upper":
            raise not_found("capability", capability)
        point = service.PricePoint(
            position=1,
            time_ms=1,
            price=7,
            former=8,
            agreements=1,
            capacity=8,
            utilisation_ppm=125_000,
            intervals=1,
        )
        return service.PriceHistory(capability=CAPABILITY, name="upper", points=(point,)[:limit])

    async def halts(self, capability: str | None, limit: int) -> service.MarketHalts:
        return service.MarketHalts(halts=())

    async def screens(self, positions: int, *, everything: bool) -> service.Screened:
        found = service.ScreenEvidence(
            screen="rotation",
            parties=(self._peer_id,),
            about="upper",
            suspicious=not everything,
            numbers={"windows": 12, "full": 12},
        )
        return service.Screened(first=0, last=positions, evidence=(found,))

    async def anomalies(self) -> Anomalies:
        found = AnomalyFound(
            kind="fails_often",
            subjects=(self._peer_id,),
            capability=None,
            unit="ppm",
            observed=900_000,
            low=None,
            high=50_000,
            count=20,
            since_ms=1,
            numbers={},
            rule="as in docs/anomalies.md",
        )
        return Anomalies(first=0, last=40, skipped=0, anomalies=(found,))

    async def variables(self) -> service.Variables:
        return service.Variables(variables=tuple(map(self._summarize, self._held)))

    async def variable(self, variable: str) -> service.Variable:
        terms, _ = self._find(variable)
        summary = self._summarize(terms.name)
        return service.Variable(summary=summary, terms=terms, reward_max=0, changes=0, reported=())

    async def variable_history(self, variable: str) -> service.VariableHistory:
        terms, value = self._find(variable)
        fact = {"kind": "variable_set", "round": 1, "holder": self._peer_id, "value": value}
        event = service.VariableEvent(position=1, time_ms=1, fact=fact)
        return service.VariableHistory(id=_digest(terms.name), name=terms.name, events=(event,))

    async def open_variable(self, terms: VariableTerms) -> service.VariableDone:
        self._held[terms.name] = (terms, terms.initial)
        return self._tell(terms.name, "opened", str(terms.initial))

    async def set_variable(self, variable: str, value: str) -> service.VariableDone:
        terms, _ = self._find(variable)
        self._held[terms.name] = (terms, int(value))
        return self._tell(terms.name, "set", value)

    async def report(self, variable: str, objective_ppm: int) -> service.VariableDone:
        terms, _ = self._find(variable)
        return self._tell(terms.name, "reported", str(objective_ppm))

    def _find(self, named: str) -> tuple[VariableTerms, int]:
        for name, held in self._held.items():
            if named in (name, _digest(name)):
                return held
        raise not_found("variable", named)

    def _summarize(self, name: str) -> service.VariableSummary:
        terms, value = self._held[name]
        return service.VariableSummary(
            id=_digest(name),
            name=name,
            state="term",
            value=str(value),
            round=1,
            rounds=terms.rounds,
            sponsor=self._peer_id,
            holder=self._peer_id,
            pool=terms.pool,
            auction=None,
            deadline_ms=1,
        )

    def _tell(self, name: str, said: str, value: str) -> service.VariableDone:
        return service.VariableDone(
            id=_digest(name), name=name, said=said, round=1, value=value, position=1
        )


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
