"""econode variable open, list, show, set, report, history: quantities that agents tune."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands.common import (
    MAIN,
    CommitteeOption,
    HomeOption,
    JsonOption,
    hint,
    make_app,
    open_client,
    parse_duration,
    render_pairs,
    render_table,
    shorten,
    show,
)

if TYPE_CHECKING:
    from node.service_market import Variable, VariableEvent

CREDITS_MAX = (1 << 63) - 1
PPM = 1_000_000

app = make_app("Quantities that agents tune, by auction.")

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="A variable's name, or first digits of its id.")
]


def _number(text: str, least: int = 0, most: int = CREDITS_MAX) -> Any:
    return typer.Option(min=least, max=most, help=text)


def _duration(text: str) -> Any:
    return typer.Option(metavar="TIME", help=text)


LowOption = Annotated[int, _number("The least number.")]
HighOption = Annotated[int, _number("The greatest number.")]
StepOption = Annotated[int, _number("From one number to the next.", 1)]
PoolOption = Annotated[int, _number("Credits for rewards.")]
RoundsOption = Annotated[int, _number("Terms, each with an auction of its own.", 1, 1_000)]
ReserveOption = Annotated[int, _number("Least price of the right.", 1)]
CapOption = Annotated[int, _number("The most that a bid may name, and its deposit.", 1)]
DepositOption = Annotated[int, _number("What a holder stands to lose.")]
ChangesOption = Annotated[int, _number("How often it may be set in a term.", 1, 64)]
RewardOption = Annotated[int, _number("Share of the pool a term can earn, in ppm.", 0, PPM)]
ObjectiveOption = Annotated[
    int, _number("Reported objective, in ppm, below which the term has failed.", 0, PPM)
]
MissedOption = Annotated[int, _number("Share of the deposit that burns then, in ppm.", 0, PPM)]
UnsetOption = Annotated[int, _number("Share that burns if it was never set, in ppm.", 0, PPM)]
FeeOption = Annotated[int, _number("For each member whose report is near the median.")]
ToleranceOption = Annotated[int, _number("What near is, in ppm.", 0, PPM)]
TextOption = Annotated[str, typer.Option(metavar="TEXT", help="What it is, for bidders.")]
ChoiceOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="A value it may take; repeatable. Else it is a number."),
]


@app.command("open")
def open_variable(
    name: Annotated[str, typer.Argument(help="What people call it.")],
    initial: Annotated[str, typer.Option(metavar="VALUE", help="Its first value.")],
    choice: ChoiceOption = None,
    low: LowOption = 0,
    high: HighOption = 0,
    step: StepOption = 1,
    pool: PoolOption = 0,
    rounds: RoundsOption = 1,
    term: Annotated[str, _duration("How long a holder may set it.")] = "1h",
    bid_for: Annotated[str, _duration("How long bids for the right are taken.")] = "60s",
    reveal_for: Annotated[str, _duration("How long they are opened.")] = "10s",
    reserve: ReserveOption = 1,
    cap: CapOption = 1_000,
    deposit: DepositOption = 0,
    changes: ChangesOption = 1,
    reward: RewardOption = 100_000,
    objective: ObjectiveOption = 0,
    slash_missed: MissedOption = 500_000,
    slash_unset: UnsetOption = PPM,
    report_fee: FeeOption = 0,
    tolerance: ToleranceOption = 50_000,
    text: TextOption = "",
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Open a variable, and the auction of the right to set it in its first term.

    The pool leaves this account; what is left of it comes back after the last term.

    \b
    Example:
      econode variable open batch-size --low 1 --high 64 --initial 8 --pool 1000 --deposit 100
      econode variable open mode --choice slow --choice fast --initial slow --pool 500
    """
    terms = _parse_domain(initial, choice or [], low, high, step)
    terms |= {"name": name, "text": text, "pool": pool, "rounds": rounds, "reserve": reserve}
    terms |= {"cap": cap, "deposit": deposit, "changes_max": changes, "reward_ppm": reward}
    terms |= {"objective_min_ppm": objective, "missed_slash_ppm": slash_missed}
    terms |= {"unset_slash_ppm": slash_unset, "report_fee": report_fee}
    terms |= {"tolerance_ppm": tolerance, "term_ms": parse_duration(term)}
    terms |= {"bid_ms": parse_duration(bid_for), "reveal_ms": parse_duration(reveal_for)}
    _open(terms, committee, home, json)


def _open(terms: dict[str, Any], committee: str, home: Path | None, json: bool) -> None:
    from crdt.facts_market import VariableTerms

    with open_client(home, committee) as client:
        done = client.market.open_variable(VariableTerms(**terms))
    pairs = [("variable", done.name), ("id", done.id), ("log position", done.position)]
    show(done, json, lambda: render_pairs([*pairs, ("auction", done.auction)]))
    hint(f"bid for the right: econode auction bid {shorten(done.auction)} PRICE", json)


@app.command("list")
def list_variables(
    committee: CommitteeOption = MAIN, home: HomeOption = None, json: JsonOption = False
) -> None:
    """List the variables that are open.

    \b
    Example:
      econode variable list
    """
    with open_client(home, committee) as client:
        found = client.market.variables()
    head = ("name", "value", "state", "round", "pool", "holder", "auction")
    rows = [
        (
            *(item.name, item.value, item.state, f"{item.round} of {item.rounds}", item.pool),
            *(item.holder, shorten(item.auction)),
        )
        for item in found.variables
    ]
    show(found, json, lambda: render_table(head, rows) if rows else ["no variable is open"])


@app.command("show")
def show_variable(
    name: NameArgument,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show a variable, its terms, and who holds it.

    \b
    Example:
      econode variable show batch-size
    """
    with open_client(home, committee) as client:
        found = client.market.variable(name)
    show(found, json, lambda: render_pairs(_describe(found)))


@app.command("set")
def set_variable(
    name: NameArgument,
    value: Annotated[str, typer.Argument(help="A number, or the name of a choice.")],
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Set a variable whose present term this node's account has won.

    \b
    Example:
      econode variable set batch-size 16
    """
    with open_client(home, committee) as client:
        done = client.market.set_variable(name, value)
    pairs = [("variable", done.name), ("value", done.value), ("log position", done.position)]
    show(done, json, lambda: render_pairs(pairs))


@app.command("report")
def report(
    name: NameArgument,
    objective: Annotated[
        int, typer.Argument(min=0, max=PPM, help="How far the objective was reached, in ppm.")
    ],
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Report, as a member, on the term of a variable that has just ended.

    The report is sealed, kept in this node's home, and opened by the node once all members have
    spoken or the time is over; keep it running until then, or start it again.

    \b
    Example:
      econode variable report batch-size 800000
    """
    with open_client(home, committee) as client:
        done = client.market.report(name, objective)
    pairs = [("variable", done.name), ("said", done.said), ("log position", done.position)]
    show(done, json, lambda: render_pairs(pairs))
    if done.said == "sealed":
        hint("the node opens it once the others have spoken: keep it running", json)


@app.command("history")
def history(
    name: NameArgument,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show what happened to a variable: who held it, what was set, what was reported.

    \b
    Example:
      econode variable history batch-size
    """
    with open_client(home, committee) as client:
        found = client.market.variable_history(name)
    head = ("position", "what", "round", "who", "how")
    rows = [_render_event(event) for event in found.events]
    show(found, json, lambda: render_table(head, rows))


def _parse_domain(
    initial: str, choices: list[str], low: int, high: int, step: int
) -> dict[str, Any]:
    """The values it may take, and the first one. A usage error for one that is none of them."""
    if choices and initial not in choices:
        raise typer.BadParameter(f"--initial {initial!r} is none of the choices")
    if not choices and not (initial.isascii() and initial.isdigit() and len(initial) < 20):
        raise typer.BadParameter(f"--initial {initial!r} is not a whole number from 0 on")
    value = choices.index(initial) if choices else min(int(initial), CREDITS_MAX)
    domain: dict[str, Any] = {"choices": tuple(choices), "initial": value}
    return domain | {"low": low, "high": high, "step": step}


def _describe(found: "Variable") -> list[tuple[str, Any]]:
    summary, terms = found.summary, found.terms
    domain = f"{terms.low} to {terms.high} in steps of {terms.step}"
    pairs: list[tuple[str, Any]] = [
        ("name", summary.name),
        ("id", summary.id),
        ("value", summary.value),
        ("values", ", ".join(terms.choices) if terms.choices else domain),
        ("state", summary.state),
        ("round", f"{summary.round} of {summary.rounds}"),
        ("sponsor", summary.sponsor),
        ("holder", summary.holder or "nobody"),
        ("pool", summary.pool),
        ("reward", f"{found.reward_max} at most in this term"),
        ("deposit", f"{terms.deposit} of the holder"),
        ("changes", f"{found.changes} of {terms.changes_max} in this term"),
    ]
    if summary.auction is not None:
        pairs.append(("auction", summary.auction))
    if summary.deadline_ms is not None:
        pairs.append(("deadline", f"{summary.deadline_ms} ms"))
    return pairs + [("reported", peer) for peer in found.reported]


def _render_event(event: "VariableEvent") -> tuple[Any, ...]:
    fact = event.fact
    who = fact.get("holder") or fact.get("member") or fact.get("sponsor") or ""
    told = ("value", "price", "reward_max", "objective_ppm", "outcome", "reward", "slashed")
    how = " ".join(f"{key}={fact[key]}" for key in told if fact.get(key) is not None)
    return event.position, fact["kind"], fact.get("round", ""), who, how
