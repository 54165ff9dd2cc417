"""What must hold of every run, whatever failed in it: pure functions over histories.

The devnet and the simulator share them. Each gives the violations it found, none when all is
well; the names (S1, C1, A3, ...) are those of docs/invariants.md.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from crdt import facts
from crdt.facts import COMMON, Fact, Move
from crdt.stake import StakeView, Unbalanced
from devnet.history import History, HistoryEntry
from identity.keys import compute_peer_id

Round = tuple[bytes, int]
"""A task and the number of its auction round."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One breach: the invariant's short name, where it shows, and what was seen."""

    invariant: str
    node: str
    detail: str

    def __str__(self) -> str:
        return f"{self.invariant} ({self.node}): {self.detail}"


def check_all(histories: Sequence[History], liars: Collection[bytes]) -> list[Violation]:
    """Every invariant over the histories of one committee.

    What concerns the content is checked in each history: nodes may differ, that is the point.
    """
    found = [*check_agreement(histories)]
    for history in histories:
        found += check_chain(history)
        found += check_conservation(history)
        found += check_debits(history)
        found += check_slashes(history, liars)
        found += check_deposits(history)
        found += check_auctions(history)
        found += check_results(history)
    return found


def check_agreement(histories: Sequence[History]) -> Iterator[Violation]:
    """S1: one digest and one head per position, across nodes."""
    first: dict[int, tuple[str, HistoryEntry]] = {}
    for history in histories:
        for entry in history.entries:
            name, known = first.setdefault(entry.position, (history.node, entry))
            for what in ("digest", "hash"):
                mine, theirs = getattr(entry, what), getattr(known, what)
                if mine != theirs:
                    yield Violation(
                        "S1 one digest per position",
                        history.node,
                        f"{what} {mine.hex()[:16]} at position {entry.position}, "
                        f"{name} has {theirs.hex()[:16]}",
                    )


def check_chain(history: History) -> Iterator[Violation]:
    """Positions count from 0 without a gap, and agreed time never goes back."""
    time_ms = 0
    for expected, entry in enumerate(history.entries):
        if entry.position != expected:
            yield Violation(
                "S7 nothing is lost",
                history.node,
                f"position {entry.position} after {expected - 1}",
            )
            return
        if entry.time_ms < time_ms:
            yield Violation("agreed time", history.node, f"goes back at position {entry.position}")
        time_ms = entry.time_ms


def check_kept(reported: Mapping[int, bytes], history: History) -> Iterator[Violation]:
    """S7: every head that a node ever reported stands in its ledger, restarts or not."""
    held = {entry.position: entry.hash for entry in history.entries}
    for position, head in sorted(reported.items()):
        if held.get(position) != head:
            yield Violation(
                "S7 nothing is lost",
                history.node,
                f"reported {head.hex()[:16]} at position {position}, its ledger has "
                f"{held[position].hex()[:16] if position in held else 'nothing'} there",
            )


def check_roots(roots: Mapping[str, Mapping[int, bytes]]) -> Iterator[Violation]:
    """S5: state roots that nodes reported (by node, by position) agree where they meet."""
    first: dict[int, tuple[str, bytes]] = {}
    for node, mine in roots.items():
        for position, root in mine.items():
            name, known = first.setdefault(position, (node, root))
            if known != root:
                yield Violation(
                    "S5 equal state roots",
                    node,
                    f"{root.hex()[:16]} at position {position}, {name} has {known.hex()[:16]}",
                )


def check_equal_ends(histories: Sequence[History]) -> Iterator[Violation]:
    """L3: once the network is at rest every node has caught up with the longest history."""
    longest = max((len(history.entries) for history in histories), default=0)
    for history in histories:
        if len(history.entries) < longest:
            detail = f"ends at position {len(history.entries) - 1} of {longest - 1}"
            yield Violation("L3 laggards catch up", history.node, detail)


def check_conservation(history: History) -> Iterator[Violation]:
    """C1 and C2: at every step each credit ever minted is in one bucket, none is negative, and
    nothing is minted after genesis but what came from another committee."""
    view = StakeView()
    for entry, fact in history.facts():
        where = f"position {entry.position}, {_kind(fact)}"
        if entry.position and not isinstance(fact, facts.Imported) and _mints(fact):
            yield Violation("C1 conservation", history.node, f"{where}: mints after genesis")
        try:
            view.apply(fact)
        except Unbalanced as error:
            yield Violation("C2 nothing negative", history.node, f"{where}: {error}")
            return  # balances beyond this point mean nothing
        if not view.is_conserved():
            yield Violation("C1 conservation", history.node, f"{where}: {view.totals()}")
            return


def check_crossing(parent: History, child: History) -> Iterator[Violation]:
    """C1 over a border: what went to the child is in the child, or on its way in one direction.

    Both histories are complete up to one moment; `child` is a committee that `parent` formed.
    """
    down, up = _Direction(parent, child), _Direction(child, parent)
    for direction in (down, up):
        yield from direction.check()
    if down.is_ahead() or up.is_ahead():
        return  # reported, or one history is shorter: the sums below would mean nothing
    there = _count_in_transit(parent, child.committee)
    minted = sum(
        move.amount
        for _, fact in child.facts()
        for move in fact.moves
        if move.source_bucket == "minted"
    )
    inside = minted - _count_in_transit(child, parent.committee)
    if there != inside + down.count_waiting() + up.count_waiting():
        yield Violation(
            "C1 conservation",
            child.node,
            f"{there} credits went to the committee, {inside} are there, {down.count_waiting()} "
            f"and {up.count_waiting()} on their way there and back",
        )


class _Direction:
    """Transfers from one committee to another, in the order of both logs."""

    def __init__(self, source: History, target: History) -> None:
        self._node = target.node
        self._sent = [
            (fact.number, fact.operation, fact.account, fact.to, fact.amount)
            for _, fact in source.facts()
            if isinstance(fact, facts.Exported) and fact.committee == target.committee
        ]
        self._received = [
            (fact.number, fact.operation, fact.account, fact.to, fact.amount)
            for _, fact in target.facts()
            if isinstance(fact, facts.Imported) and fact.committee == source.committee
        ]

    def check(self) -> Iterator[Violation]:
        """Each transfer arrives once, as it was sent, in order."""
        for number, received in enumerate(self._received, 1):
            sent = self._sent[number - 1] if number <= len(self._sent) else None
            if received[0] != number or sent not in (None, received):
                detail = f"transfer {number} arrived as {received}, sent was {sent}"
                yield Violation("C1 conservation", self._node, detail)
                return

    def is_ahead(self) -> bool:
        """True when more arrived than the source's history has sent."""
        return self._received != self._sent[: len(self._received)]

    def count_waiting(self) -> int:
        return sum(transfer[-1] for transfer in self._sent[len(self._received) :])


def _count_in_transit(history: History, committee: bytes) -> int:
    view = StakeView()
    for _, fact in history.facts():
        view.apply(fact)
    return view.get(facts.compute_transit_account(committee), "transit")


def check_debits(history: History) -> Iterator[Violation]:
    """C3 and S6: no account pays more fees than it signed distinct nonces, each operation has
    one outcome of its own, and nonces follow one another."""
    nonces: defaultdict[bytes, set[int]] = defaultdict(set)
    debits: Counter[bytes] = Counter()
    outcomes: Counter[bytes] = Counter()
    for entry in history.entries:
        for operation in entry.operations:
            nonces[operation.signer].add(operation.nonce)
        for fact in entry.facts:
            if isinstance(fact, facts.Charged | facts.Rejected):
                outcomes[fact.operation] += 1
            for move in filter(_is_fee, fact.moves):
                debits[move.source] += 1
                if debits[move.source] > len(nonces[move.source]):
                    yield Violation(
                        "C3 one debit per nonce",
                        history.node,
                        f"{_name(move.source)} pays fee {debits[move.source]} with "
                        f"{len(nonces[move.source])} nonces at position {entry.position}",
                    )
    for account, used in nonces.items():
        if used != set(range(1, len(used) + 1)):
            yield Violation("S6 executes once", history.node, f"{_name(account)} skips a nonce")
    for digest, count in outcomes.items():
        if count > 1:
            detail = f"operation {digest.hex()[:16]} has {count} outcomes"
            yield Violation("S6 executes once", history.node, detail)


def check_slashes(history: History, liars: Collection[bytes]) -> Iterator[Violation]:
    """C4 and C5: one slash per offence, and nobody honest is slashed or graded byzantine."""
    offences: set[bytes] = set()
    for entry, fact in history.facts():
        if isinstance(fact, facts.Slashed):
            if fact.offence in offences:
                detail = f"offence {fact.offence.hex()[:16]} again at position {entry.position}"
                yield Violation("C4 one slash per offence", history.node, detail)
            offences.add(fact.offence)
            suspect = fact.offender
        elif isinstance(fact, facts.Settled) and fact.grade == "byzantine":
            suspect = fact.executor
        else:
            continue
        if suspect not in liars:
            detail = f"{_name(suspect)} ({_kind(fact)}) at position {entry.position}"
            yield Violation("C5 nobody honest is slashed", history.node, detail)


def check_deposits(history: History) -> Iterator[Violation]:
    """A5: for each task, what was locked or put into escrow has come out to the unit once the
    task has ended, and never more than went in.

    A slash also gives back what the offender had locked in auctions under way (its bids there do
    not count any more), exactly that.
    """
    held: defaultdict[tuple[bytes, bytes, str], int] = defaultdict(int)
    bidding: set[bytes] = set()
    ended: set[bytes] = set()
    for entry, fact in history.facts():
        task = getattr(fact, "task", None)
        where = f"{_kind(fact)} at position {entry.position}"
        _follow_task(fact, bidding, ended)
        for (account, bucket), change in _changes(fact.moves):
            if isinstance(fact, facts.Slashed) and account == fact.offender and bucket == "locked":
                keys = [(other, account, bucket) for other in bidding]
                change += sum(held.pop(key, 0) for key in keys)
            elif task is not None:
                held[(task, account, bucket)] += change
                change = min(0, held[(task, account, bucket)])
            if change:
                detail = f"{where}: {change:+} {bucket} of {_name(account)} unaccounted for"
                yield Violation("A5 deposits end once", history.node, detail)
    for (task, account, bucket), amount in held.items():
        if task in ended and amount > 0:
            detail = f"{amount} {bucket} of {_name(account)} left in task {task.hex()[:16]}"
            yield Violation("A5 deposits end once", history.node, detail)


def _follow_task(fact: Fact, bidding: set[bytes], ended: set[bytes]) -> None:
    match fact:
        case facts.AuctionOpened(task=task):
            bidding.add(task)
        case facts.Awarded(task=task) | facts.Unsold(task=task):
            bidding.discard(task)
        case facts.TaskEnded(task=task):
            bidding.discard(task)
            ended.add(task)


def check_auctions(history: History) -> Iterator[Violation]:
    """A3 and A4: whoever wins had sealed a bid before the close and opened it after; nobody opens
    a bid or a result before sealing is over."""
    sealed: defaultdict[Round, set[bytes]] = defaultdict(set)
    opened: defaultdict[Round, set[bytes]] = defaultdict(set)
    bids_closed: set[Round] = set()
    works_closed: set[Round] = set()
    for entry, fact in history.facts():
        # A slash for two votes in one slot is about no task: its `task` is None.
        place = (getattr(fact, "task", None) or b"", getattr(fact, "round", 0))
        where = f"task {place[0].hex()[:16]} round {place[1]}, position {entry.position}"
        match fact:
            case facts.BidCommitted(bidder=bidder, commitment=commitment):
                if place in bids_closed:
                    yield Violation("A3 sealed in time", history.node, f"late seal: {where}")
                elif commitment is not None:
                    sealed[place].add(bidder)
            case facts.BidsClosed():
                bids_closed.add(place)
            case facts.BidRevealed(bidder=bidder):
                if place not in bids_closed:
                    yield Violation("A4 no early reveal", history.node, f"a bid: {where}")
                opened[place].add(bidder)
            case facts.Awarded(winner=winner, bid=bid, price=price):
                if price < bid:
                    detail = f"{_name(winner)} is paid {price} below its bid {bid}: {where}"
                    yield Violation("A2 payment rule", history.node, detail)
                if winner not in sealed[place] or winner not in opened[place]:
                    detail = f"{_name(winner)} wins without a bid in time: {where}"
                    yield Violation("A3 sealed in time", history.node, detail)
            case facts.VerifiersDrawn():
                works_closed.discard(place)  # more members were asked: sealing begins again
            case facts.WorkClosed():
                works_closed.add(place)
            case facts.WorkRevealed():
                if place not in works_closed:
                    yield Violation("A4 no early reveal", history.node, f"a result: {where}")


def check_results(history: History) -> Iterator[Violation]:
    """A task ends once, and a settled one with the result that was accepted for it."""
    accepted: dict[bytes, bytes] = {}
    ended: set[bytes] = set()
    for entry, fact in history.facts():
        if isinstance(fact, facts.Accepted):
            accepted[fact.task] = fact.output
        elif isinstance(fact, facts.TaskEnded):
            where = f"task {fact.task.hex()[:16]} at position {entry.position}"
            if fact.task in ended:
                yield Violation("one end per task", history.node, f"{where} ends again")
            ended.add(fact.task)
            wanted = accepted.get(fact.task) if fact.outcome == "settled" else None
            if fact.output != wanted:
                yield Violation("one end per task", history.node, f"{where}: not what was accepted")


def list_slashed(history: History) -> set[bytes]:
    return {fact.offender for _, fact in history.facts() if isinstance(fact, facts.Slashed)}


def _changes(moves: Iterable[Move]) -> Iterator[tuple[tuple[bytes, str], int]]:
    """What moves do to deposits and escrow, summed per fact so that their order is no matter."""
    changes: Counter[tuple[bytes, str]] = Counter()
    for move in moves:
        if move.target_bucket in ("locked", "escrow"):
            changes[(move.target, move.target_bucket)] += move.amount
        if move.source_bucket in ("locked", "escrow"):
            changes[(move.source, move.source_bucket)] -= move.amount
    yield from changes.items()


def _mints(fact: Fact) -> bool:
    return any(move.source_bucket == "minted" for move in fact.moves)


def _is_fee(move: Move) -> bool:
    return move.source_bucket == "free" and (move.target, move.target_bucket) == (
        COMMON,
        "treasury",
    )


def _kind(fact: Fact) -> str:
    return str(fact.__struct_config__.tag)


def _name(account: bytes) -> str:
    return compute_peer_id(account)[-8:]
