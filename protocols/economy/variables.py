"""Coordination variables: quantities that agents tune through an auction for the right to set them.

A sponsor opens a variable with a pool. In each round the right to set it for a term is sold in a
general auction (forward, Vickrey: whoever expects most of it pays what the next one would have),
and the price joins the pool. The holder has a deposit at stake; it sets the value, and when the
term is over members say under seal how far the objective was reached. The median decides: with
2f + 1 reports it lies between two honest ones. The holder itself has no say.

No inventories close the phases of the reports: they are longer than two view changes, and a median
of those that came in is as honest as one of all.
"""

from msgspec.structs import replace

from crdt.facts import (
    COMMON,
    ReportsAsked,
    TermBegan,
    TermEnded,
    VariableClosed,
    VariableOpened,
    VariableSet,
)
from crdt.facts_auctions import AuctionAward, AuctionTerms, Lot
from crdt.facts_market import TermOutcome, VariableTerms
from protocols.economy.auctions import begin_auction
from protocols.economy.books import Books, Part, compute_moves
from protocols.economy.market_model import (
    Variable,
    compute_right_id,
    compute_variable_id,
    find_right,
)
from protocols.economy.model import OrderedOperation, Refused, compute_share
from protocols.economy.operations_market import OpenVariable, SetVariable
from protocols.genesis import Parameters

PHASE_MS_MAX = 30 * 24 * 3_600_000
"""Longest term, and longest phase of an auction of a right."""


def open_variable(books: Books, ordered: OrderedOperation, body: OpenVariable) -> None:
    """Open a variable and the auction of its first term. Raises Refused."""
    sponsor, terms = ordered.signer, body.terms
    if books.is_banned(sponsor):
        raise Refused("banned")
    if len(books.variables) >= books.parameters.variables_open_max:
        raise Refused("too_many_variables")
    if any(other.terms.name == terms.name for other in books.variables.values()):
        raise Refused("name_taken")
    check_terms(books.parameters, terms)
    books.require_free(sponsor, terms.pool)
    place = books.committee
    id_ = compute_variable_id(place.network, place.id, sponsor, ordered.operation.nonce)
    moves = compute_moves((sponsor, "free", sponsor, "escrow", terms.pool))
    books.emit(VariableOpened(variable=id_, sponsor=sponsor, terms=terms, moves=moves))
    _sell_right(books, Variable(id_, sponsor, terms, terms.initial, terms.pool))


def set_variable(books: Books, signer: bytes, body: SetVariable) -> None:
    """Set the value for the rest of the term. Raises Refused."""
    variable = find_variable(books, body.variable, body.round)
    if variable.stage != "term" or signer != variable.holder:
        raise Refused("not_the_holder")
    if books.is_banned(signer):
        raise Refused("banned")
    if variable.changes >= variable.terms.changes_max:
        raise Refused("too_many_changes")
    if not is_in_domain(variable.terms, body.value):
        raise Refused("value_out_of_bounds")
    _keep(books, replace(variable, value=body.value, changes=variable.changes + 1))
    books.emit(
        VariableSet(variable=variable.id, round=variable.round, holder=signer, value=body.value)
    )


def check_terms(rules: Parameters, terms: VariableTerms) -> None:
    """Raise Refused, with the first reason, for terms that no variable can have."""
    if terms.choices:
        if len(set(terms.choices)) < len(terms.choices) or len(terms.choices) < 2:
            raise Refused("choices_not_distinct")
        if (terms.low, terms.high, terms.step) != (0, 0, 1):
            raise Refused("choices_or_numbers")
    elif terms.high <= terms.low or (terms.high - terms.low) % terms.step:
        raise Refused("empty_domain")
    if not is_in_domain(terms, terms.initial):
        raise Refused("value_out_of_bounds")
    if terms.cap < terms.reserve:
        raise Refused("cap_below_reserve")
    if min(terms.bid_ms, terms.reveal_ms) < rules.auction_phase_ms_min:
        raise Refused("phase_too_short")
    if terms.term_ms < rules.variable_phase_ms_min:
        raise Refused("term_too_short")
    if max(terms.bid_ms, terms.reveal_ms, terms.term_ms) > PHASE_MS_MAX:
        raise Refused("duration_too_long")


def is_in_domain(terms: VariableTerms, value: int) -> bool:
    if terms.choices:
        return value < len(terms.choices)
    return terms.low <= value <= terms.high and not (value - terms.low) % terms.step


def find_variable(books: Books, id_: bytes, round_: int) -> Variable:
    """The variable in its round `round_`. Raises Refused."""
    variable = books.variables.get(id_)
    if variable is None:
        raise Refused("unknown_variable")
    if variable.round != round_:
        raise Refused("wrong_round")
    return variable


# --- rounds ------------------------------------------------------------------------------------


def next_due_ms(books: Books) -> int | None:
    """When the next stage ends. Auctions of rights have deadlines of their own."""
    stages = (each.deadline_ms for each in books.variables.values() if each.stage != "auction")
    return min(stages, default=None)


def note_result(books: Books, auction: bytes, awards: tuple[AuctionAward, ...]) -> None:
    """An auction ended: if it sold the right to a variable, the term begins. The price, which the
    sponsor was paid a moment ago, joins the pool."""
    variable = find_right(books.variables.values(), auction)
    if variable is None:
        return
    sponsor, terms = variable.sponsor, variable.terms
    reward_max = compute_share(variable.pool, terms.reward_ppm)
    holder, price = (awards[0].winner, awards[0].price) if awards else (None, 0)
    parts: list[Part] = [(sponsor, "free", sponsor, "escrow", price)]
    if holder is not None:
        if books.is_banned(holder) or books.stake.get(holder, "free") < terms.deposit:
            holder = None
        else:
            parts.append((holder, "free", holder, "locked", terms.deposit))
    variable = replace(
        variable,
        stage="term",
        deadline_ms=books.time_ms + terms.term_ms,
        pool=variable.pool + price,
        holder=holder,
        reward_max=reward_max if holder is not None else 0,
        changes=0,
        reports=(),
    )
    _keep(books, variable)
    books.emit(
        TermBegan(
            variable=variable.id,
            round=variable.round,
            holder=holder,
            price=price,
            reward_max=variable.reward_max,
            deadline_ms=variable.deadline_ms,
            moves=compute_moves(*parts),
        )
    )


def end_term(books: Books, variable: Variable) -> None:
    """The term is over: ask for reports if there is something to measure."""
    if variable.holder is None:
        begin_round(books, variable)
    elif not variable.changes:
        settle_term(books, variable, "unset")
    else:
        deadline_ms = books.time_ms + books.parameters.variable_report_ms
        variable = replace(variable, stage="report", deadline_ms=deadline_ms)
        _keep(books, variable)
        books.emit(
            ReportsAsked(variable=variable.id, round=variable.round, deadline_ms=deadline_ms)
        )


def settle_term(
    books: Books,
    variable: Variable,
    outcome: TermOutcome,
    objective_ppm: int | None = None,
    right: tuple[bytes, ...] = (),
) -> None:
    """Pay the holder and the reporters that were `right`, end the deposit, go on."""
    terms, holder, sponsor = variable.terms, variable.holder, variable.sponsor
    assert holder is not None
    reward = 0
    if outcome == "met" and objective_ppm is not None:
        reward = compute_share(variable.reward_max, objective_ppm)
    slash_ppm = {"missed": terms.missed_slash_ppm, "unset": terms.unset_slash_ppm}.get(outcome, 0)
    slashed = compute_share(terms.deposit, slash_ppm)
    fee = min(terms.report_fee, (variable.pool - reward) // len(right)) if right else 0
    moves = compute_moves(
        (sponsor, "escrow", holder, "free", reward),
        *((sponsor, "escrow", reporter, "free", fee) for reporter in right),
        (holder, "locked", COMMON, "burned", slashed),
        (holder, "locked", holder, "free", terms.deposit - slashed),
    )
    books.emit(
        TermEnded(
            variable=variable.id,
            round=variable.round,
            holder=holder,
            outcome=outcome,
            value=variable.value,
            objective_ppm=objective_ppm,
            reporters=right,
            reward=reward,
            slashed=slashed,
            moves=moves,
        )
    )
    begin_round(books, replace(variable, pool=variable.pool - reward - fee * len(right)))


def begin_round(books: Books, variable: Variable) -> None:
    """Sell the right to the next term, or close the variable after its last."""
    if variable.round < variable.terms.rounds:
        _sell_right(books, replace(variable, round=variable.round + 1))
        return
    del books.variables[variable.id]
    sponsor = variable.sponsor
    moves = compute_moves((sponsor, "escrow", sponsor, "free", variable.pool))
    books.emit(VariableClosed(variable=variable.id, value=variable.value, moves=moves))


def _sell_right(books: Books, variable: Variable) -> None:
    terms = variable.terms
    right = compute_right_id(variable.id, variable.round)
    sold = AuctionTerms(
        kind="vickrey",
        direction="forward",
        lots=(Lot(terms.name, terms.reserve, "the right to set this variable for a term"),),
        bid_ms=terms.bid_ms,
        reveal_ms=terms.reveal_ms,
        cap=terms.cap,
    )
    _keep(
        books,
        replace(variable, stage="auction", deadline_ms=0, auction=right, holder=None, reward_max=0),
    )
    begin_auction(books, right, variable.sponsor, sold)


def _keep(books: Books, variable: Variable) -> None:
    books.variables[variable.id] = variable
