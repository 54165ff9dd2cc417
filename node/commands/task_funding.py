"""What `econode task` says and does about tasks that are paid from another committee."""

import time
from typing import TYPE_CHECKING, Any

from node.commands.common import hint

if TYPE_CHECKING:
    from node.client import NodeClient
    from node.crossing_answers import Funding

POLL_S = 0.2
"""Time between two questions how far a funding is."""
_OPENED = ("working", "returning", "homeward", "done", "failed")
_ENDED = ("done", "failed")


def follow(
    client: "NodeClient", fundings: "list[Funding]", json: bool, *, to_end: bool
) -> "list[Funding]":
    """Wait until the tasks of each are opened, or until all have ended and the rest is back.

    Tells each step on standard error. Raises Problem for one that failed.
    """
    return [_follow(client, funding, json, _ENDED if to_end else _OPENED) for funding in fundings]


def _follow(client: "NodeClient", now: "Funding", json: bool, until: tuple[str, ...]) -> "Funding":
    from node.problem import Problem

    told = ""
    while True:
        if now.stage != told:
            told = now.stage
            hint(_describe_step(now), json)
        if now.stage in until:
            break
        time.sleep(POLL_S)
        now = client.funding(now.id)
    if now.stage == "failed":
        raise Problem(
            "funding-failed",
            f"{now.reason}; {now.returned or 0} of {now.amount} credits went back to {now.source}",
            where=f"econode task show {now.id[:16]} --committee {now.target}",
            status=409,
        )
    return now


def _describe_step(now: "Funding") -> str:
    match now.stage:
        case "leaving":
            return f"{now.amount} credits leave {now.source}"
        case "crossing":
            return f"{now.amount} credits left {now.source} at position {now.exported_position}"
        case "opening":
            return f"they are in {now.target}: the tasks are being opened"
        case "working":
            return f"the tasks are open in {now.target}, position {now.opened_position}"
        case "returning":
            return f"the rest leaves {now.target}"
        case "homeward":
            return f"{now.returned} credits left {now.target} at position {now.returned_position}"
        case "done":
            return f"{now.returned} credits are back in {now.source}"
        case _:
            return f"it failed: {now.reason}"


def describe(funding: "Funding") -> list[tuple[str, Any]]:
    """What there is to say about it, for `task show`."""
    pairs: list[tuple[str, Any]] = [
        ("funding", f"{funding.stage}: {_describe_step(funding)}"),
        ("paid from", f"{funding.source} ({funding.amount} credits)"),
    ]
    if funding.returned is not None:
        pairs.append(("sent back", f"{funding.returned} credits"))
    if funding.reason:
        pairs.append(("reason", funding.reason))
    return pairs


def find(client: "NodeClient", prefix: str) -> "Funding | None":
    """The funding of that id or of that task, if there is one."""
    from node.problem import Problem

    try:
        return client.funding(prefix)
    except Problem as problem:
        if problem.type != "not-found":
            raise
        return None
