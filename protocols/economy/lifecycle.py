"""What moves a task on: complete stages, passed deadlines, inventories; and the snapshot.

A stage is complete when everybody it waits for has spoken: then it closes at once. Otherwise, from
its deadline on, members order inventories of what they hold, and it closes without the silent
parties once `may_close` holds, or after `inventory_phase_ms`.
"""

from protocols.auction.commit_reveal import may_close
from protocols.economy import (
    auction_bids,
    auction_results,
    auctions,
    bonds,
    committees,
    contracts,
    deliveries,
    floods,
    outputs,
    panel,
    prices,
    reports,
    variables,
    verification,
)
from protocols.economy.auction_model import Auction
from protocols.economy.auction_terms import LOTS_KINDS
from protocols.economy.books import Books
from protocols.economy.model import OrderedOperation, Refused, Task
from protocols.economy.operations import Held, Inventory
from protocols.economy.slashing import revoke_lease
from protocols.economy.stages import Staged

SETTLED_MAX = 10_000
"""Settlements that wait for a snapshot before it is taken early: each is part of the state."""


def pass_time(books: Books) -> None:
    """Everything that is due at the present time: proposals, then bonds on their way out, then
    markets and variables, then tasks and auctions, each in the order of their deadlines."""
    committees.lapse_due(books)
    bonds.release_due(books)
    prices.pass_time(books)
    floods.forget_idle(books)
    reports.pass_time(books)
    while (task := books.pop_due(books.time_ms)) is not None:
        if isinstance(task, Auction):
            _pass_auction(books, task)
            advance_touched(books)
            continue
        is_sold = task.stage not in ("queued", "bid_commit", "bid_reveal")
        if not is_sold and books.time_ms >= books.last_auction_ms(task):
            contracts.fail_task(books, task)
        elif task.stage == "queued":
            books.schedule(task, task.stage_deadline_ms)
        elif task.overdue:
            _close(books, task)
        else:
            books.set_overdue(task)
        advance_touched(books)


def next_due_ms(books: Books) -> int | None:
    """When the agreed time next changes something; None when nothing is under way."""
    due = (books.next_due_ms(), prices.next_due_ms(books), variables.next_due_ms(books))
    return min((due_ms for due_ms in due if due_ms is not None), default=None)


def record_inventories(
    books: Books, ordered: OrderedOperation, body: Inventory
) -> list[tuple[int, str]]:
    """Take a member's inventories of overdue stages. Raises Refused for strangers."""
    if not books.committee.is_member(ordered.signer):
        raise Refused("not_a_member")
    rejected = []
    for index, held in enumerate(body.held):
        task = books.find_staged(held.task)
        if task is None or not _is_asked(task, held):
            rejected.append((index, "not_overdue"))
            continue
        parties = tuple(sorted(key for key in set(held.parties) if _may_speak(books, task, key)))
        task.inventories[ordered.signer] = parties
        books.touch(task)
    return rejected


def advance_touched(books: Books) -> None:
    """Close every stage that is complete; closing one may complete others."""
    while (task := books.take_touched()) is not None:
        if isinstance(task, Auction):
            if auctions.is_complete(books, task):
                _close_auction(books, task)
            continue
        if task.stage == "queued":
            continue
        executor = task.executor
        if task.stage == "lease" and executor in task.waiting and books.is_banned(executor):
            revoke_lease(books, task, executor)
            contracts.retry_task(books, task, executor)
        elif not task.waiting or (task.overdue and _may_close(books, task)):
            _close(books, task)


def take_snapshot(books: Books) -> None:
    """Fix the scores for the auctions to come, when enough has been settled since the last time
    and that is long enough ago, or too much waits to be counted."""
    rules, settled = books.parameters, books.reputation.settled_since
    is_time = books.time_ms - books.snapshot_ms >= rules.snapshot_ms_min
    if settled >= (rules.snapshot_settlements if is_time else SETTLED_MAX):
        books.emit(books.reputation.compute_snapshot())
        books.snapshot_ms = books.time_ms


def _is_asked(task: Staged, held: Held) -> bool:
    return task.overdue and task.round == held.round and task.stage == held.phase


def _may_speak(books: Books, task: Staged, party: bytes) -> bool:
    if isinstance(task, Auction):
        return books.stake.has(party) and task.may_speak(party)
    return party in task.waiting


def _may_close(books: Books, task: Task) -> bool:
    place = books.committee
    inventories = {key: held for key, held in task.inventories.items() if place.is_member(key)}
    return may_close(inventories, task.waiting, place.q, place.f)


def _pass_auction(books: Books, auction: Auction) -> None:
    if auction.overdue or auctions.is_complete(books, auction):
        _close_auction(books, auction)
    else:
        auctions.set_overdue(books, auction)


def _close_auction(books: Books, auction: Auction) -> None:
    """Winners among several lots are searched once a batch, so that many auctions that end at one
    time cannot stop the committee: the others wait for the next batches."""
    if auction.terms.kind in LOTS_KINDS and auction.stage in ("auction_reveal", "auction_solution"):
        if books.has_searched:
            books.schedule(auction, books.time_ms + 1)
            return
        books.has_searched = True
    match auction.stage:
        case "auction_commit":
            auction_bids.close_commits(books, auction)
        case "auction_reveal":
            auction_results.end_sealed(books, auction)
        case "auction_solution":
            auction_results.end_solution(books, auction)
        case "auction_bid" | "auction_accept":
            auction_bids.close_open(books, auction)
        case "auction_delivery":
            deliveries.close_delivery(books, auction)
        case "auction_acceptance":
            deliveries.close_acceptance(books, auction)


def _close(books: Books, task: Task) -> None:
    match task.stage:
        case "bid_commit":
            contracts.close_bids(books, task)
        case "bid_reveal":
            contracts.award(books, task)
        case "lease":
            verification.close_lease(books, task)
        case "work_commit" | "extra_commit":
            verification.close_work(books, task)
        case "work_reveal" | "extra_reveal" if task.verification == "judged":
            panel.evaluate(books, task)
        case "work_reveal" | "extra_reveal":
            verification.evaluate(books, task)
        case "delivery":
            outputs.close_delivery(books, task)
        case "acceptance":
            outputs.close_acceptance(books, task)
