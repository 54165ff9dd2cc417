"""econode task accept, reject, cancel: what a requester says of its tasks; and the options of
econode task submit that say how they are to be done."""

from typing import Annotated, Any

import typer

from node.commands.common import (
    MAIN,
    CommitteeOption,
    HomeOption,
    JsonOption,
    open_client,
    parse_duration,
    render_pairs,
    shorten,
    show,
)

PPM = 1_000_000
AMOUNT_MAX = (1 << 63) - 1

TaskArgument = Annotated[
    str, typer.Argument(metavar="ID", help="A task's id, or its first digits (at least 4).")
]
VerificationOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOW",
        help="exact, judged or accepted, where agents offer the capability in several ways.",
        show_default=False,
    ),
]
OrJudgedOption = Annotated[
    bool,
    typer.Option("--or-judged", help="With too few members to verify, have a panel judge it."),
]
LeaseOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Time for the executor: 30s, 1h.", show_default=False),
]
GraceOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="How much later a result still counts, for a part of the price.",
        show_default=False,
    ),
]
HeartbeatOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="The executor must say at least this often that it is alive.",
        show_default=False,
    ),
]
AnswerOption = Annotated[
    str | None,
    typer.Option(
        "--answer-within",
        metavar="TIME",
        help="Time for `task accept`; then the task pays in full.",
        show_default=False,
    ),
]
PanelOption = Annotated[int, typer.Option(min=1, max=15, help="Judges of a judged result.")]
AuditOption = Annotated[
    int,
    typer.Option(
        min=1,
        max=PPM,
        help="How often an exact result is verified, in millionths; agents' bonds must be larger "
        "the rarer it is.",
    ),
]
MechanismOption = Annotated[
    str, typer.Option(metavar="RULE", help="vickrey (second price) or first_price.")
]
PoolOption = Annotated[
    int,
    typer.Option(
        "--bonus-pool",
        min=0,
        max=AMOUNT_MAX,
        help="Credits that the excellent executions among these tasks share.",
    ),
]
PaidOption = Annotated[
    int,
    typer.Option(min=1, max=PPM, help="Millionths of the price that you pay; the rest burns."),
]


def make_options(durations: dict[str, str | None], **values: Any) -> Any:
    """`TaskOptions` of these texts and values. Raises Problem for what is none."""
    import msgspec

    from node.problem import Problem
    from node.task_options import TaskOptions

    times = {name: parse_duration(text) for name, text in durations.items() if text is not None}
    try:
        return msgspec.convert(values | times, TaskOptions)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at ")
        raise Problem(
            "invalid-option",
            message,
            where=where.strip("`$."),
            remedy="see `econode task submit --help`",
        ) from None


def accept(
    task: TaskArgument,
    paid_ppm: PaidOption = PPM,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Accept a delivered result, and pay for it.

    What you hold back is burned, nobody gets it back. Say nothing, and it is paid in full when
    the time to answer is over.

    \b
    Example:
      econode task accept 3f9a
    """
    _answer(task, paid_ppm, committee, home, json)


def reject(
    task: TaskArgument,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Reject a delivered result: the whole price burns.

    \b
    Example:
      econode task reject 3f9a
    """
    _answer(task, 0, committee, home, json)


def _answer(task: str, paid_ppm: int, committee: str, home: Any, json: bool) -> None:
    with open_client(home, committee) as client:
        found = client.answer_task(client.task(task).id, paid_ppm)
    _show(found, json)


def cancel(
    task: TaskArgument,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Take a task back.

    Before it is awarded everything comes back. While it is being worked on the executor is paid
    for its time. Once its result is sealed it is too late.

    \b
    Example:
      econode task cancel 3f9a
    """
    with open_client(home, committee) as client:
        found = client.cancel_task(client.task(task).id)
    _show(found, json)


def _show(task: Any, json: bool) -> None:
    pairs = [
        ("task", shorten(task.id)),
        ("state", task.state),
        ("price", task.price),
        ("grade", task.grade),
        ("reason", task.reason),
    ]
    known = [(name, value) for name, value in pairs if value not in (None, "")]
    show(task, json, lambda: render_pairs(known))
