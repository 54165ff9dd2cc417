"""A client of the local API's routes about markets and variables. Synchronous."""

from collections.abc import Callable
from typing import Any

import httpx
import msgspec

from crdt.facts_market import VariableTerms
from node import service_market as service
from node.service_anomalies import Anomalies

Send = Callable[..., httpx.Response]
GetList = Callable[..., Any]
Decode = Callable[[httpx.Response, Any], Any]


class MarketClient:
    """One method for each route. Failures are Problems, as the API sent them. `get(path, params)`,
    `get_list(path, kind, items, params)` and `post(path, body, params)` ask the node."""

    def __init__(self, get: Send, get_list: GetList, post: Send, decode: Decode) -> None:
        self._get, self._get_list, self._post, self._decode = get, get_list, post, decode

    def prices(self) -> service.MarketPrices:
        return self._get_list("/v1/market/prices", service.MarketPrices, "prices")

    def price_history(self, capability: str, limit: int = 100) -> service.PriceHistory:
        path = "/v1/market/prices/history"
        return self._ask(path, service.PriceHistory, capability=capability, limit=limit)

    def halts(self, capability: str | None = None, limit: int = 100) -> service.MarketHalts:
        path = "/v1/market/halts"
        return self._ask(path, service.MarketHalts, capability=capability, limit=limit)

    def screens(self, positions: int = 2_000, *, everything: bool = False) -> service.Screened:
        params = {"positions": positions, "everything": everything}
        return self._get_list("/v1/market/screens", service.Screened, "evidence", params)

    def anomalies(self) -> Anomalies:
        found: Anomalies = self._ask("/v1/anomalies", Anomalies)
        return found

    def variables(self) -> service.Variables:
        return self._get_list("/v1/variables", service.Variables, "variables")

    def variable(self, name: str) -> service.Variable:
        return self._ask("/v1/variables/show", service.Variable, name=name)

    def variable_history(self, name: str) -> service.VariableHistory:
        path = "/v1/variables/history"
        return self._get_list(path, service.VariableHistory, "events", {"name": name})

    def open_variable(self, terms: VariableTerms) -> service.VariableDone:
        return self._tell("/v1/variables", terms)

    def set_variable(self, name: str, value: str) -> service.VariableDone:
        return self._tell("/v1/variables/value", service.VariableValue(value=value), name=name)

    def report(self, name: str, objective_ppm: int) -> service.VariableDone:
        body = service.VariableReport(objective_ppm=objective_ppm)
        return self._tell("/v1/variables/report", body, name=name)

    def _ask(self, path: str, kind: Any, **params: Any) -> Any:
        return self._decode(self._get(path, params), kind)

    def _tell(self, path: str, body: msgspec.Struct, **params: Any) -> service.VariableDone:
        done: service.VariableDone = self._decode(
            self._post(path, body, params), service.VariableDone
        )
        return done
