"""Variables of one committee behind the local API: `MarketService` over chain, ledger, account."""

from collections.abc import Awaitable, Callable

import trio

from crdt.facts import VariableClosed, VariableOpened, decode_fact
from crdt.facts_market import VariableTerms
from identity.keys import compute_peer_id
from node import service_market as service
from node.account import Ordered
from node.describe import describe_fact
from node.ledger_rows import FactRow
from node.place import Place
from node.place_market import PREFIX_MIN, PlaceMarket
from node.problem import Problem, not_found
from node.refusals import explain_reason
from protocols.economy import market_model as model
from protocols.economy.model import Refused
from protocols.economy.operations import AnyBody
from protocols.economy.operations_market import (
    CommitReport,
    OpenVariable,
    SetVariable,
)
from protocols.economy.variables import check_terms

Order = Callable[[AnyBody], Awaitable[Ordered]]


class PlaceVariables(PlaceMarket):
    """See `MarketService` for the contract. `order` has an operation executed; it raises Problem
    for a refusal."""

    def __init__(self, place: Place, order: Order) -> None:
        super().__init__(place)
        self._order = order
        self._me = place.node.key.public

    # --- reading --------------------------------------------------------------------------------

    async def variables(self) -> service.Variables:
        await trio.lowlevel.checkpoint()
        found = map(_summarize, self._place.chain.state.variables())
        return service.Variables(variables=tuple(found))

    async def variable(self, variable: str) -> service.Variable:
        opened, under_way = await self._find(variable)
        if under_way is not None:
            return service.Variable(
                summary=_summarize(under_way),
                terms=under_way.terms,
                reward_max=under_way.reward_max,
                changes=under_way.changes,
                reported=tuple(compute_peer_id(each.member) for each in under_way.reports),
            )
        assert opened is not None
        return service.Variable(
            summary=await self._summarize_closed(opened),
            terms=opened.terms,
            reward_max=0,
            changes=0,
            reported=(),
        )

    async def variable_history(self, variable: str) -> service.VariableHistory:
        opened, under_way = await self._find(variable)
        terms = opened.terms if under_way is None and opened else None
        id_ = opened.variable if under_way is None and opened else b""
        if under_way is not None:
            terms, id_ = under_way.terms, under_way.id
        assert terms is not None
        rows = await self._node.ledger.read_facts(
            self._place.id, count_max=service.HISTORY_MAX, task=id_, newest_first=True
        )
        return service.VariableHistory(
            id=id_.hex(), name=terms.name, events=tuple(map(_describe_event, reversed(rows)))
        )

    # --- changing -------------------------------------------------------------------------------

    async def open_variable(self, terms: VariableTerms) -> service.VariableDone:
        self._check_opening(terms)
        ordered = await self._order(OpenVariable(terms))
        nonce, place = ordered.request.operation.nonce, self._place
        id_ = model.compute_variable_id(self._node.network, place.id, self._me, nonce)
        return service.VariableDone(
            id=id_.hex(),
            name=terms.name,
            said="opened",
            round=1,
            value=render_value(terms, terms.initial),
            position=ordered.position,
            auction=model.compute_right_id(id_, 1).hex(),
        )

    async def set_variable(self, variable: str, value: str) -> service.VariableDone:
        found = await self._get_open(variable)
        if found.stage != "term" or found.holder != self._me:
            raise explain_reason("not_the_holder")
        if found.changes >= found.terms.changes_max:
            raise explain_reason("too_many_changes")
        number = parse_value(found.terms, value)
        ordered = await self._order(SetVariable(found.id, found.round, number))
        shown = render_value(found.terms, number)
        return _describe_done(ordered.position, found.id, found.terms, "set", found.round, shown)

    async def report(self, variable: str, objective_ppm: int) -> service.VariableDone:
        found = await self._get_open(variable)
        reporter = self._place.reporter
        mine = next((each for each in found.reports if each.member == self._me), None)
        if mine is not None and mine.commitment != reporter.compute_seal(found, objective_ppm):
            raise Problem(
                "another-report",
                "this node sealed another number for that term",
                remedy="nothing is left to do: the node opens what it sealed",
                status=409,
            )
        if found.stage not in ("report", "report_reveal"):
            raise explain_reason("too_early")
        if mine is None:
            if found.stage == "report_reveal":
                raise explain_reason("too_late")
            if not self._place.committee.is_member(self._me) or found.holder == self._me:
                raise explain_reason("not_asked")
        await reporter.keep(found, objective_ppm)
        position, said = self._place.chain.get_position(), "sealed"
        if mine is None:
            seal = reporter.compute_seal(found, objective_ppm)
            position = (await self._order(CommitReport(found.id, found.round, seal))).position
        elif mine.objective_ppm is not None:
            said = "reported"
        return _describe_done(
            position, found.id, found.terms, said, found.round, str(objective_ppm)
        )

    # --- small ones -----------------------------------------------------------------------------

    def _check_opening(self, terms: VariableTerms) -> None:
        """What the committee would refuse, for a fee, as far as it is known. Raises Problem."""
        state = self._place.chain.state
        try:
            check_terms(state.parameters, terms)
        except Refused as refused:
            raise explain_reason(refused.reason) from None
        if any(other.terms.name == terms.name for other in state.variables()):
            raise explain_reason("name_taken")
        if state.stake.get(self._me, "free") < terms.pool + state.parameters.operation_fee:
            raise explain_reason("insufficient_credits", f"the pool takes {terms.pool} credits")

    async def _get_open(self, named: str) -> model.Variable:
        _, under_way = await self._find(named)
        if under_way is None:
            raise Problem("variable-closed", f"variable {named!r} is closed", status=409)
        return under_way

    async def _find(self, named: str) -> tuple[VariableOpened | None, model.Variable | None]:
        """The variable under way, else what opened the newest closed one. Raises Problem."""
        await trio.lowlevel.checkpoint()
        known = {each.id: each for each in self._place.chain.state.variables()}
        names = {id_: each.terms.name for id_, each in known.items()}
        id_ = _choose(names, named)
        if id_ is not None:
            return None, known[id_]
        rows = await self._node.ledger.read_facts(
            self._place.id, count_max=service.HISTORY_MAX, kind="variable_opened", newest_first=True
        )
        opened = [fact for row in rows if isinstance(fact := decode_fact(row.data), VariableOpened)]
        by_name = [fact for fact in opened if fact.terms.name == named]
        if by_name:
            return by_name[0], None
        id_ = _choose({fact.variable: "" for fact in opened}, named)
        for fact in opened:
            if fact.variable == id_:
                return fact, None
        raise not_found("variable", named, "`econode variable list` shows those there are")

    async def _summarize_closed(self, opened: VariableOpened) -> service.VariableSummary:
        rows = await self._node.ledger.read_facts(
            self._place.id,
            count_max=1,
            kind="variable_closed",
            task=opened.variable,
            newest_first=True,
        )
        closed = [fact for row in rows if isinstance(fact := decode_fact(row.data), VariableClosed)]
        value = closed[0].value if closed else opened.terms.initial
        return service.VariableSummary(
            id=opened.variable.hex(),
            name=opened.terms.name,
            state="closed",
            value=render_value(opened.terms, value),
            round=opened.terms.rounds,
            rounds=opened.terms.rounds,
            sponsor=compute_peer_id(opened.sponsor),
            holder=None,
            pool=0,
            auction=None,
            deadline_ms=None,
        )


def render_value(terms: VariableTerms, value: int) -> str:
    """A value for people: a number, or the name of a choice."""
    return terms.choices[value] if terms.choices else str(value)


def parse_value(terms: VariableTerms, text: str) -> int:
    """Raises Problem for what is no value of the variable."""
    if terms.choices:
        if text in terms.choices:
            return terms.choices.index(text)
        wanted = f"one of {', '.join(terms.choices)}"
    else:
        value = int(text) if text.isascii() and text.isdigit() else -1
        if terms.low <= value <= terms.high and not (value - terms.low) % terms.step:
            return value
        wanted = f"from {terms.low} to {terms.high} in steps of {terms.step}"
    raise Problem("value-out-of-bounds", f"{text!r} is no value of {terms.name}: {wanted}")


def _choose(names: dict[bytes, str], named: str) -> bytes | None:
    """The id with that name, or that begins so. Raises Problem when several do."""
    found = [id_ for id_, name in names.items() if name == named]
    if not found and len(named) >= PREFIX_MIN:
        found = [id_ for id_ in names if id_.hex().startswith(named.lower())]
    if len(found) > 1:
        raise Problem("ambiguous", f"several variables begin with {named}", remedy="say more of it")
    return found[0] if found else None


def _describe_done(
    position: int, id_: bytes, terms: VariableTerms, said: str, round_: int, value: str
) -> service.VariableDone:
    return service.VariableDone(
        id=id_.hex(),
        name=terms.name,
        said=said,  # type: ignore[arg-type]
        round=round_,
        value=value,
        position=position,
    )


def _describe_event(row: FactRow) -> service.VariableEvent:
    return service.VariableEvent(
        position=row.position, time_ms=row.time_ms, fact=describe_fact(decode_fact(row.data))
    )


def _summarize(variable: model.Variable) -> service.VariableSummary:
    in_auction = variable.stage == "auction"
    return service.VariableSummary(
        id=variable.id.hex(),
        name=variable.terms.name,
        state=variable.stage,
        value=render_value(variable.terms, variable.value),
        round=variable.round,
        rounds=variable.terms.rounds,
        sponsor=compute_peer_id(variable.sponsor),
        holder=None if variable.holder is None else compute_peer_id(variable.holder),
        pool=variable.pool,
        auction=variable.auction.hex() if in_auction else None,
        deadline_ms=None if in_auction else variable.deadline_ms,
    )
