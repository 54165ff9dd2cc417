"""econode task plan: what tasks would come to, before any credits move."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands.common import (
    MAIN,
    CommitteeOption,
    HomeOption,
    JsonOption,
    open_client,
    parse_duration,
    render_pairs,
    show,
)

if TYPE_CHECKING:
    from node.service_auctions import TaskPlan

BUDGET_DEFAULT = 100
BUDGET_MAX = (1 << 63) - 1
COUNT_MAX = 100_000


def plan(
    capability: Annotated[str, typer.Option(metavar="NAME", help="What shall be done.")],
    count: Annotated[int, typer.Option(min=1, max=COUNT_MAX, help="How many tasks.")] = 1,
    budget: Annotated[
        int, typer.Option(min=1, max=BUDGET_MAX, help="Credits a task may cost at most.")
    ] = BUDGET_DEFAULT,
    deadline: Annotated[
        str, typer.Option(metavar="TIME", help="Time for each task: 500ms, 60s, 5m, 1h.")
    ] = "60s",
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show what `task submit` would auction, why, and what it would cost. Nothing is submitted.

    Ends with 1 if it would be refused now.

    \b
    Example:
      econode task plan --capability file-stats --count 20
    """
    duration_ms = parse_duration(deadline)
    with open_client(home, committee) as client:
        found = client.auctions.plan_tasks(capability, count, budget, duration_ms)
    show(found, json, lambda: _render(found, budget))
    if found.obstacles:
        raise typer.Exit(1)


def _render(plan: "TaskPlan", budget: int) -> list[str]:
    expected = "unknown: none was awarded yet"
    if plan.price is not None:
        source = "posted" if plan.price_from == "posted" else "median of recent awards"
        expected = f"{plan.price} each ({source})"
        if plan.price > budget:
            expected += f": more than the budget of {budget}, perhaps nobody bids"
    operations = f"{plan.operations_min} to {plan.operations_max}"
    if plan.operations_min == plan.operations_max:
        operations = str(plan.operations_min)
    pairs: list[tuple[str, Any]] = [
        ("tasks", f"{plan.count} of {plan.capability}"),
        ("auction", f"{plan.direction} {plan.kind}, one for each task and round"),
        *(("why" if number == 0 else "", line) for number, line in enumerate(plan.why)),
        ("bidders", len(plan.bidders)),
        ("verifiers", f"{plan.verifiers} of {plan.verifiers_eligible} members, for each result"),
        ("expected price", expected),
        ("escrow", f"{plan.escrow} credits, {plan.fees} more as fees; the rest comes back"),
        ("bids lock", f"{plan.deposit} credits each"),
        ("operations", f"{operations}, by all together"),
        ("messages", f"{plan.messages_min} at least; {plan.messages_per_batch} for each batch"),
        ("waves", plan.waves),
        ("time", f"{plan.round_ms_max / 1000:g} s a round at most, much less if nobody is silent"),
        ("deadline", f"{plan.shortest_ms / 1000:g} s at least"),
    ]
    for number, reason in enumerate(plan.obstacles):
        pairs.append(("refused now" if number == 0 else "", reason.replace("_", " ")))
    return render_pairs(pairs)
