"""Vectors of executed batches: what an honest committee's log holds next, and what it does not."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from crdt import log
from devnet.vectors.cases import StepCase
from devnet.vectors.draft import Draft, make_file
from devnet.vectors.form import Layer, Setting, VectorFile
from devnet.vectors.places import digest
from devnet.vectors.sales import SALE_STORIES
from devnet.vectors.stories import STORIES
from devnet.vectors.village import list_tags
from identity import envelope, schema
from protocols.economy.operations import Inventory, decode_operation
from protocols.requests import STATEMENT_BYTES_MAX

KINDS = {
    "settlement": (
        "settled",
        "Batches that settle an agreement: grades, payments, burned deposits.",
    ),
    "award": ("awarded", "Batches that award an agreement: from opened bids to the log."),
    "membership": ("epoch_began", "Batches that end an epoch: who is a member from now on."),
    "verdict": ("accepted", "Batches in which a result is accepted by those who opened it."),
    "bonding": ("unbonding_began", "Batches in which a bond is taken back."),
    "crossing": ("committee_formed", "Batches in which a further committee is formed."),
    "answer": ("work_answered", "Batches in which the requester says what a result is worth."),
    "sale": ("auction_ended", "Batches that end a general auction: winners, payments, deposits."),
    "delivery": ("delivery_ended", "Batches that end the agreement with a winner of an auction."),
}
"""By kind: the fact that a batch must give rise to."""


def make_files() -> Iterator[VectorFile]:
    stories = (STORIES | SALE_STORIES).values()
    told = [step for story in stories for step in story().steps]
    for kind, (tag, about) in KINDS.items():
        chosen = [case for case, facts in told if tag in list_tags(facts)]
        yield make_file(kind, "step", about, Setting(), _list_drafts(chosen, tag))


def _list_drafts(cases: Sequence[StepCase], tag: str) -> Iterator[Draft]:
    for case in cases:
        yield _draft("Valid", f"with {tag}", case)
    case = cases[0]
    items = case.entry.items
    for flag, comment, changed in (
        ("WrongResult", "a fact left out", items[:-1]),
        ("WrongResult", "a fact twice", (*items, items[-1])),
        ("WrongResult", "facts in another order", items[::-1] if len(items) > 1 else (*items, b"")),
    ):
        header = case.entry.header
        entry = log.append(header.author, header.position, header.previous, header.time_ms, changed)
        yield _draft(flag, comment, msgspec.structs.replace(case, entry=entry), "semantics")
    yield _change("WrongHash", "another state afterwards", case, {"state_digest": digest("x")})
    yield _change("WrongHash", "on top of another head", case, {"head": digest("x")})
    yield _change("WrongInput", "at another time", case, {"time_ms": case.time_ms + 1})
    yield _change("WrongInput", "without its operations", case, {"operations": ()})
    twice = msgspec.structs.replace(case, operations=case.operations * 2)
    yield _draft("Replay", "its operations twice: each executes once", twice)
    yield _change(
        "WrongPosition", "at another position", case, {"position": case.position + 1}, "schema"
    )
    yield from _drop_inventories(cases)
    first = case.operations[0]
    spoiled = (first[:-1] + bytes([first[-1] ^ 1]), *case.operations[1:])
    yield _change(
        "BadSignatureInside",
        "a signature that does not hold",
        case,
        {"operations": spoiled},
        "cose",
    )


def _drop_inventories(cases: Sequence[StepCase]) -> Iterator[Draft]:
    """Batches that closed a phase by inventories, with too few of them."""
    for case in cases:
        others = tuple(data for data in case.operations if not _is_inventory(data))
        held = tuple(data for data in case.operations if _is_inventory(data))
        if not held:
            continue
        for comment, operations in (
            ("one inventory less than a quorum's", (*others, *held[1:])),
            ("one member's inventory twice", (*others, *held[:-1], held[0])),
            ("no inventory", others),
        ):
            change = {"operations": operations}
            yield _change("MissingInventory", comment, case, change)


def _is_inventory(data: bytes) -> bool:
    statement = envelope.parse(data, size_max=STATEMENT_BYTES_MAX)
    return isinstance(decode_operation(statement.payload).body, Inventory)


def _draft(flag: str, comment: str, case: StepCase, layer: Layer | None = None) -> Draft:
    """Without the notation, which would double the size and show little: states are long."""
    return Draft(flag, comment, schema.encode(case), layer)


def _change(
    flag: str,
    comment: str,
    case: StepCase,
    change: Mapping[str, object],
    layer: Layer = "semantics",
) -> Draft:
    return _draft(flag, comment, msgspec.structs.replace(case, **change), layer)
