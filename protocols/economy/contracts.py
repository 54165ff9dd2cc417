"""From a task to an agreement: opening, the queue, sealed bids, the award.

Opening a task escrows all it can cost. Queued tasks are auctioned at the pace at which agents
have room: an agent never holds more than `awards_active_max` agreements that are not graded.
"""

from collections.abc import Iterable
from typing import Literal

from crdt.facts import (
    COMMON,
    ROUND_MAX,
    AuctionOpened,
    Awarded,
    BidCommitted,
    BidRevealed,
    BidsClosed,
    Move,
    TaskBid,
    TaskOpened,
    Unsold,
    Verification,
)
from identity.errors import InvalidBytes
from protocols.auction import mechanisms
from protocols.auction.commit_reveal import compute_bid_commitment
from protocols.economy import prices
from protocols.economy.books import Books, Part, compute_moves
from protocols.economy.endings import end_task, open_pool
from protocols.economy.model import (
    Bid,
    OrderedOperation,
    Refused,
    Task,
    compute_share,
    compute_task_id,
)
from protocols.economy.operations import BidCommitment, BidOpening, OpenTasks, TaskSpec
from protocols.economy.slashing import pause
from protocols.economy.terms import (
    check_terms,
    compute_bond_min,
    compute_escrow,
    compute_lease_ms,
    count_draws,
)

BLOCKED_MAX = 16
"""Queued tasks of one capability that are looked at in vain per batch, before it is left."""


# --- opening -----------------------------------------------------------------------------------


def open_tasks(books: Books, ordered: OrderedOperation, body: OpenTasks) -> list[tuple[int, str]]:
    """Open all tasks, or none: then the obstacles as (index, reason)."""
    holders = count_holders(books, body.receipts)
    if len(books.tasks) + len(body.tasks) > books.parameters.tasks_open_max:
        raise Refused("too_many_tasks")
    rejected: list[tuple[int, str]] = []
    checked: list[tuple[TaskSpec, Verification]] = []
    escrow = body.pool
    for index, spec in enumerate(body.tasks):
        try:
            if len(holders.get(spec.input, ())) <= books.committee.f:
                raise Refused("input_not_held")
            mode = _check_spec(books, ordered.signer, spec)
            escrow += compute_escrow(
                books.parameters, books.committee.n, spec.budget, spec.terms, mode
            )
            books.require_free(ordered.signer, escrow)
        except Refused as refused:
            rejected.append((index, refused.reason))
        else:
            checked.append((spec, mode))
    if not rejected:
        nonce, place = ordered.operation.nonce, books.committee
        ids = [
            compute_task_id(place.network, place.id, ordered.signer, nonce, index)
            for index in range(len(checked))
        ]
        for id_, (spec, mode) in zip(ids, checked, strict=True):
            _open_task(books, ordered.signer, id_, spec, mode)
        if body.pool:
            open_pool(books, ordered.signer, body.pool, ids)
    return rejected


def count_holders(books: Books, receipts: Iterable[bytes]) -> dict[bytes, set[bytes]]:
    """Members that signed for holding a blob, by its digest. Raises Refused."""
    holders: dict[bytes, set[bytes]] = {}
    for data in receipts:
        try:
            signer, receipt = books.check_receipt(data)
        except InvalidBytes:
            raise Refused("invalid_receipt") from None
        if books.committee.is_member(signer):
            for blob in receipt.blobs:
                holders.setdefault(blob, set()).add(signer)
    return holders


def _check_spec(books: Books, requester: bytes, spec: TaskSpec) -> Verification:
    """How the result will be checked. Raises Refused."""
    rules, terms = books.parameters, spec.terms
    check_terms(rules, terms, spec.duration_ms)
    eligible = books.list_eligible(spec.capability, requester, terms.verification)
    if not eligible and books.is_offered_otherwise(spec.capability, terms.verification):
        raise Refused("offered_otherwise")
    verification = terms.verification
    if verification == "exact":
        members = sum(books.committee.is_member(key) for key in eligible)
        if members >= books.agreeing_min:
            bond_min = compute_bond_min(rules, terms, spec.budget)
            if all(books.get_standing_bond(key) < bond_min for key in eligible):
                raise Refused("bonds_too_small_to_sample")
        elif terms.or_judged:
            verification = "judged"
        else:
            raise Refused("too_few_verifiers")
    if verification == "judged" and len(eligible) <= terms.panel:
        raise Refused("too_few_judges")
    if not eligible:
        raise Refused("not_offered")
    return verification


def _open_task(
    books: Books, requester: bytes, id_: bytes, spec: TaskSpec, verification: Verification
) -> None:
    rules, terms = books.parameters, spec.terms
    escrow = compute_escrow(rules, books.committee.n, spec.budget, terms, verification)
    books.opened_count += 1
    is_sampled = verification == "exact"
    task = Task(
        number=books.opened_count,
        id=id_,
        requester=requester,
        capability=spec.capability,
        input=spec.input,
        input_bytes=spec.input_bytes,
        budget=spec.budget,
        opened_ms=books.time_ms,
        deadline_ms=books.time_ms + spec.duration_ms,
        escrow=escrow,
        deposit=compute_share(spec.budget, rules.deposit_ppm),
        verification=verification,
        terms=terms,
        bond_min=compute_bond_min(rules, terms, spec.budget) if is_sampled else rules.bond_min,
    )
    task.draws_max = count_draws(rules, books.committee.n, task)
    books.emit(
        TaskOpened(
            task=id_,
            requester=requester,
            capability=spec.capability,
            input=spec.input,
            input_bytes=spec.input_bytes,
            budget=spec.budget,
            deadline_ms=task.deadline_ms,
            verification=verification,
            terms=terms,
            moves=compute_moves((requester, "free", requester, "escrow", escrow)),
        )
    )
    books.add_task(task)


def fail_task(books: Books, task: Task) -> None:
    """End a task without a result: the escrow and open deposits go back."""
    refund: Part = (task.requester, "escrow", task.requester, "free", task.escrow)
    moves = compute_moves(refund) + return_deposits(task, task.bids)
    end_task(books, task, "failed", moves)


# --- the queue ---------------------------------------------------------------------------------


def open_auctions(books: Books) -> None:
    """Open auctions for queued tasks while invited agents have room for what is being sold."""
    for capability in sorted(books.queue):
        if prices.is_halted(books, capability):
            continue
        blocked = 0
        while blocked < BLOCKED_MAX and (tasks := books.queue.get(capability)):
            task = next(iter(tasks.values()))
            outcome = _open_auction(books, task)
            if outcome == "full":
                break
            if outcome == "blocked":
                blocked += 1
                if blocked >= len(tasks):
                    break
                del tasks[task.number]
                tasks[task.number] = task


def _open_auction(books: Books, task: Task) -> Literal["left", "blocked", "full"]:
    """left: the task is in an auction, or ended because nobody remains that may work on it.
    blocked: whoever remains is paused or has its hands full. full: there are auctions enough, or
    a second bidder will soon have room: one alone would be paid the whole budget."""
    excluded = task.excluded
    eligible = [key for key in books.list_workers(task) if key not in excluded]
    if not eligible:
        fail_task(books, task)
        return "left"
    room_max = books.parameters.awards_active_max
    invited: dict[bytes, int] = {}
    rooms = []
    for key in eligible:
        agent = books.agents[key]
        if not agent.paused and agent.active < room_max:
            invited[key] = books.reputation.weight_ppm(key)
            rooms.append(room_max - agent.active)
    if not invited:
        return "blocked"
    # Two bidders have room for every auction under way, so that none ends with a single bid only
    # because the other bidder won its share meanwhile.
    room = sorted(rooms)[-2:][0]
    active = sum(not books.agents[key].paused for key in eligible)
    is_lone = len(invited) < min(2, active) and books.time_ms < books.lone_auction_ms(task)
    if is_lone or len(books.auctions) >= room:
        return "full"
    task.round += 1
    task.invited, task.bids = invited, {}
    phase_ms = books.parameters.bid_phase_ms
    books.enter_stage(task, "bid_commit", invited, phase_ms)
    books.emit(
        AuctionOpened(
            task=task.id,
            round=task.round,
            bidders=tuple(invited),
            weights_ppm=tuple(invited.values()),
            deadline_ms=task.stage_deadline_ms,
        )
    )
    return "left"


def retry_task(books: Books, task: Task, failed: bytes | None = None) -> None:
    """A round ended in no result: queue the task again without the agent that failed it, or end
    it when its rounds or its time are used up."""
    task.failures += 1
    if failed is not None:
        task.excluded = tuple(sorted({*task.excluded, failed}))
    requeue_task(books, task)


def requeue_task(books: Books, task: Task) -> None:
    """Queue the task again; the round does not count as a failure."""
    task.bids, task.invited = {}, {}
    task.executor, task.price = None, 0
    task.awarded_ms, task.lease_ms, task.committed_ms = 0, 0, None
    task.beat_ms, task.progress_ppm, task.answer_ppm = 0, 0, None
    task.verifiers, task.holders, task.works = (), (), {}
    if (
        task.failures >= books.parameters.rounds_max
        or task.round >= ROUND_MAX
        or books.time_ms >= books.last_auction_ms(task)
    ):
        fail_task(books, task)
    else:
        books.enqueue(task)


# --- bids --------------------------------------------------------------------------------------


def commit_bid(books: Books, signer: bytes, item: BidCommitment) -> None:
    """Take a sealed bid with its deposit, or a pass. Raises Refused."""
    task = find_round(books, item.task, item.round)
    if task.stage != "bid_commit":
        raise Refused("too_late")
    if signer not in task.waiting:
        raise Refused("already_bid" if signer in task.bids else "not_invited")
    deposit = task.deposit if item.commitment is not None else 0
    books.require_free(signer, deposit)
    task.bids[signer] = Bid(item.commitment)
    books.emit(
        BidCommitted(
            task=task.id,
            round=task.round,
            bidder=signer,
            commitment=item.commitment,
            moves=compute_moves((signer, "free", signer, "locked", deposit)),
        )
    )
    books.hear(task, signer)


def reveal_bid(books: Books, signer: bytes, item: BidOpening) -> None:
    """Open a sealed bid. Raises Refused."""
    task = find_round(books, item.task, item.round)
    if task.stage != "bid_reveal":
        raise Refused("too_early" if task.stage == "bid_commit" else "too_late")
    if signer not in task.waiting:
        raise Refused("nothing_to_reveal")
    place = books.committee
    seal = compute_bid_commitment(
        place.network, place.id, task.id, task.round, signer, item.price, item.salt
    )
    if seal != task.bids[signer].commitment:
        raise Refused("commitment_mismatch")
    task.bids[signer].price = item.price
    books.emit(BidRevealed(task=task.id, round=task.round, bidder=signer, price=item.price))
    books.hear(task, signer)


def close_bids(books: Books, task: Task) -> None:
    """Every invited agent spoke, or the silent ones are proven late: now bids are opened."""
    for agent in tuple(task.waiting):
        pause(books, agent)
    sealed = [key for key, bid in task.bids.items() if bid.commitment is not None]
    if not sealed:
        books.emit(Unsold(task=task.id, round=task.round))
        retry_task(books, task)
        return
    books.enter_stage(task, "bid_reveal", sealed, books.parameters.bid_phase_ms)
    task.seed = books.seed
    books.emit(
        BidsClosed(
            task=task.id, round=task.round, seed=task.seed, deadline_ms=task.stage_deadline_ms
        )
    )


def award(books: Books, task: Task) -> None:
    """The auction's result. Deposits of those that did not reveal burn: were they the requester's,
    its sybils could seal many bids, open those that lower the price, and lose nothing by the
    others."""
    silent = tuple(task.waiting)
    for key in silent:
        pause(books, key)
    room_max = books.parameters.awards_active_max
    bids, skipped = [], False
    for key, bid in sorted(task.bids.items()):
        if bid.price is None or bid.price > task.budget:
            continue
        agent = books.agents[key]
        if agent.paused or agent.active >= room_max:
            skipped = True
        else:
            bids.append(mechanisms.Bid(key, bid.price, task.invited[key]))
    result = mechanisms.award_reverse(bids, task.budget, task.seed, task.id)
    moves = compute_moves(*((key, "locked", COMMON, "burned", task.deposit) for key in silent))
    if not result:
        moves += return_deposits(task, (key for key in task.bids if key not in silent))
        books.emit(Unsold(task=task.id, round=task.round, moves=moves))
        task.bids = {}
        if skipped:
            requeue_task(books, task)
        else:
            retry_task(books, task)
        return
    winner = result[0]
    spared = (key for key in task.bids if key not in silent and key != winner.bidder)
    moves += return_deposits(task, spared)
    counted = tuple(TaskBid(bid.bidder, bid.price, bid.weight_ppm) for bid in bids)
    _start_lease(books, task, winner, counted, moves)


def _start_lease(
    books: Books,
    task: Task,
    winner: mechanisms.Award,
    bids: tuple[TaskBid, ...],
    moves: tuple[Move, ...],
) -> None:
    bid = task.bids[winner.bidder].price
    assert bid is not None
    price = bid if task.terms.mechanism == "first_price" else winner.price
    task.executor, task.price, task.awarded_ms = winner.bidder, price, books.time_ms
    task.bids = {}
    task.beat_ms = books.time_ms
    books.agents[winner.bidder].active += 1
    lease_ms = compute_lease_ms(books.parameters, task.terms)
    task.lease_ms = books.time_ms + lease_ms
    first_ms = lease_ms + task.terms.grace_ms
    if task.terms.heartbeat_ms:
        first_ms = min(first_ms, task.terms.heartbeat_ms)
    books.enter_stage(task, "lease", (winner.bidder,), first_ms)
    books.emit(
        Awarded(
            task=task.id,
            round=task.round,
            winner=winner.bidder,
            bid=bid,
            price=price,
            deadline_ms=task.lease_ms,
            budget=task.budget,
            seed=task.seed,
            bids=bids,
            moves=moves,
        )
    )
    prices.note_award(books, task.capability, task.price)


def return_deposits(task: Task, bidders: Iterable[bytes]) -> tuple[Move, ...]:
    return compute_moves(
        *(
            (key, "locked", key, "free", task.deposit)
            for key in sorted(bidders)
            if task.bids[key].commitment is not None
        )
    )


def find_round(books: Books, id_: bytes, round_: int) -> Task:
    """The task whose present round is `round_`. Raises Refused."""
    task = books.tasks.get(id_)
    if task is None:
        raise Refused("unknown_task")
    if task.round != round_ or task.stage == "queued":
        raise Refused("wrong_round")
    return task
