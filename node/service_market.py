"""What a node tells its owner of markets and variables, and takes for them. The contract is
`NodeService`'s. Capabilities are named by their ids, and by name where somebody offers them."""

from typing import Annotated, Any, Literal, Protocol

import msgspec

from crdt.facts_market import PPM, VariableTerms
from node.answer import Answer
from node.service_anomalies import Anomalies

HISTORY_MAX = 1_000
POSITIONS_SCREENED_MAX = 20_000
VALUE_CHARS_MAX = 64
VariableState = Literal["auction", "term", "report", "report_reveal", "closed"]


class MarketPrice(Answer, frozen=True):
    """The market of a capability. `price` is posted, None before the first award; `mean` is that
    of the `awards` that a halt is measured against. `agents` may be invited now."""

    capability: str
    name: str | None
    price: int | None
    mean: int | None
    awards: int
    agents: int
    halted_until_ms: int | None


class MarketPrices(Answer, frozen=True):
    """Each capability that is offered or was awarded, by name."""

    agreed_time_ms: int
    prices: tuple[MarketPrice, ...]


class PricePoint(Answer, frozen=True):
    """A posted price, in the entry at `position`, and the numbers it follows from."""

    position: int
    time_ms: int
    price: int
    former: int
    agreements: int
    capacity: int
    utilisation_ppm: int
    intervals: int


class PriceHistory(Answer, frozen=True):
    """Posted prices of a capability, the newest first."""

    capability: str
    name: str | None
    points: tuple[PricePoint, ...]


class MarketHalt(Answer, frozen=True):
    """A halt, in the entry at `position`. `price` was off the `mean` of `awards`."""

    capability: str
    name: str | None
    position: int
    time_ms: int
    price: int
    mean: int
    awards: int
    since_ms: int
    deadline_ms: int
    is_over: bool


class MarketHalts(Answer, frozen=True):
    """The newest first."""

    halts: tuple[MarketHalt, ...]


class ScreenEvidence(Answer, frozen=True):
    """What a screen says of `parties`, `about` a capability or an opener, with its numbers. It is
    a reason to look, not a verdict."""

    screen: Literal["cover_bids", "rotation", "shill", "wash_trading"]
    parties: tuple[str, ...]
    about: str | None
    suspicious: bool
    numbers: dict[str, int]


class Screened(Answer, frozen=True):
    """What the screens say of the entries from `first` to `last`."""

    first: int
    last: int
    evidence: tuple[ScreenEvidence, ...]


class VariableSummary(Answer, frozen=True):
    """A variable. `auction` is the one of the present round's right; `deadline_ms` is when the
    stage ends, None in an auction and after the end."""

    id: str
    name: str
    state: VariableState
    value: str
    round: int
    rounds: int
    sponsor: str
    holder: str | None
    pool: int
    auction: str | None
    deadline_ms: int | None


class Variables(Answer, frozen=True):
    """Variables under way, in the order they were opened."""

    variables: tuple[VariableSummary, ...]


class Variable(Answer, frozen=True):
    """All of a variable. `reported` sealed a report on the present term."""

    summary: VariableSummary
    terms: VariableTerms
    reward_max: int
    changes: int
    reported: tuple[str, ...]


class VariableEvent(Answer, frozen=True):
    """A fact about a variable, in the entry at `position`."""

    position: int
    time_ms: int
    fact: dict[str, Any]


class VariableHistory(Answer, frozen=True):
    """What happened to a variable, the oldest first."""

    id: str
    name: str
    events: tuple[VariableEvent, ...]


class VariableDone(Answer, frozen=True):
    """What was done to a variable, in the entry at `position`. A `sealed` report is done once it
    is opened: `reported`. `auction` is where the right to a variable just opened is sold."""

    id: str
    name: str
    said: Literal["opened", "set", "sealed", "reported"]
    round: int
    value: str
    position: int
    auction: str | None = None


class VariableValue(Answer, frozen=True, forbid_unknown_fields=True):
    """A request to set a variable: a number, or the name of a choice."""

    value: Annotated[str, msgspec.Meta(min_length=1, max_length=VALUE_CHARS_MAX)]


class VariableReport(Answer, frozen=True, forbid_unknown_fields=True):
    """A request to report on a term: how far the objective was reached, in millionths. The same
    request seals the report, and opens it when the time has come."""

    objective_ppm: Annotated[int, msgspec.Meta(ge=0, le=PPM)]


class MarketService(Protocol):
    """Markets and variables of one committee. See NodeService for what holds for all methods.
    `capability` is a name or an id, `variable` a name or the first digits of an id. Problems of
    all that name one: not-found, ambiguous; of those that change something: the reasons of
    docs/protocol-economy.md with - for _."""

    async def prices(self) -> MarketPrices: ...

    async def price_history(self, capability: str, limit: int) -> PriceHistory: ...

    async def halts(self, capability: str | None, limit: int) -> MarketHalts: ...

    async def screens(self, positions: int, *, everything: bool) -> Screened:
        """Screen the newest `positions` entries; `everything`: what is not suspicious, too."""
        ...

    async def anomalies(self) -> Anomalies:
        """What is unusual now, of the screens too."""
        ...

    async def variables(self) -> Variables: ...

    async def variable(self, variable: str) -> Variable: ...

    async def variable_history(self, variable: str) -> VariableHistory:
        """At most HISTORY_MAX facts, the newest ones."""
        ...

    async def open_variable(self, terms: VariableTerms) -> VariableDone: ...

    async def set_variable(self, variable: str, value: str) -> VariableDone: ...

    async def report(self, variable: str, objective_ppm: int) -> VariableDone:
        """Problems: not-asked, too-early, too-late, another-report (it was sealed with another
        number), already-reported."""
        ...
