"""What a committee ordered, as log lines: the same ids and events in the log of every node.

A task's way is `operation_submitted` at its requester, then at every node `operation_ordered` and
the facts by their kinds: `task_opened`, `auction_opened`, `bid_committed`, `awarded`,
`work_committed`, `verifiers_drawn`, `work_revealed`, `accepted`, `settled`, `task_ended`; and
`capability_ended` where the work was done.
"""

import logging
from typing import TYPE_CHECKING, Any

from crdt.facts import Fact
from node.describe import PEER_FIELDS, name_account
from node.log_lines import about
from protocols.economy.model import compute_task_id
from protocols.economy.operations import OpenTasks
from protocols.pbft.pool import Request
from protocols.step import Certified, Executed, Transferred

if TYPE_CHECKING:
    from node.place import Place
    from protocols.committee import Committee

logger = logging.getLogger("econode.facts")

SUBJECTS = ("task", "auction", "variable", "pool", "offence")
"""Fields of facts that name what goes on under one id for a while."""
TOLD = (
    *("round", "capability", "requester", "bidder", "winner", "party", "executor", "verifiers"),
    *("agent", "account", "opener", "holder", "offender", "member", "operation", "reason"),
    *("budget", "bid", "price", "amount", "grade", "outcome", "score", "paid_ppm", "progress_ppm"),
    *("input", "output", "epoch", "due_ms", "deadline_ms"),
)
"""Further fields that stand in a line: ids, names of the protocol and numbers, no texts of others,
nothing that is sealed."""
QUIET = frozenset({"minted", "charged", "paid", "bonded", "offered", "snapshot"})
"""Facts of nothing that goes on: told at level debug, as `operation_ordered` says it already."""


class FactLines:
    """A driver's listener that writes a line for each fact and each operation of one committee."""

    def __init__(self, place: "Place") -> None:
        self._place = place

    def on_executed(self, executed: Executed) -> None:
        if not logger.isEnabledFor(logging.INFO):
            return
        place = {"committee": self._place.name, "position": executed.seq}
        for digest in executed.operation_digests:
            logger.info("", extra=about("operation_ordered", operation=digest, **place))
        for fact in executed.facts:
            kind = str(fact.__struct_config__.tag)
            level = logging.DEBUG if kind in QUIET else logging.INFO
            if logger.isEnabledFor(level):
                fields = describe(fact)
                time_ms = executed.time_ms
                logger.log(level, "", extra=about(kind, **fields, **place, agreed_ms=time_ms))

    def on_certified(self, certified: Certified) -> None:
        """Certificates are many and say no more than the position."""

    def on_transferred(self, transferred: Transferred) -> None:
        """The driver's own line says it."""


def describe(fact: Fact) -> dict[str, Any]:
    """The fields of a fact that its line tells, what it is about first."""
    fields: dict[str, Any] = {}
    for name in (*SUBJECTS, *TOLD):
        value = getattr(fact, name, None)
        if value is not None and value != ():
            fields[name] = _name(value) if name in PEER_FIELDS else value
    return fields


def tell_submitted(request: Request, committee: "Committee", name: str) -> None:
    """A line for an own operation that goes out now, with the ids of what it is about."""
    if not logger.isEnabledFor(logging.INFO):
        return
    operation = request.operation
    fields = {"committee": name, "operation": request.digest, "nonce": operation.nonce}
    kind = str(operation.body.__struct_config__.tag)
    fields |= _list_subjects(request, committee) | {"kind": kind}
    logger.info("", extra=about("operation_submitted", **fields))


def _list_subjects(request: Request, committee: "Committee") -> dict[str, Any]:
    operation, body = request.operation, request.operation.body
    if isinstance(body, OpenTasks):
        place = (committee.network, committee.id, request.signer, operation.nonce)
        return {"tasks": [compute_task_id(*place, i) for i in range(len(body.tasks))]}
    for field in ("bids", "works", "held", "beats", "scores"):
        items = getattr(body, field, None)
        if items:
            return {"tasks": list(dict.fromkeys(item.task for item in items))}
    return {name: getattr(body, name, None) for name in SUBJECTS}


def _name(value: Any) -> Any:
    if isinstance(value, tuple):
        return [name_account(key) for key in value]
    return name_account(value)
