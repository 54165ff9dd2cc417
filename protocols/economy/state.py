"""The ordered economy: committed batches in, facts out.

A pure, deterministic function of genesis and the batches before: no clock, no randomness, no
floats, no order of a set. Members that executed the same batches hold the same `dump()`, and its
digest is what a checkpoint certifies. The life of a task is told in docs/protocol-economy.md.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from crdt.auctions import AuctionRow
from crdt.facts import Fact, OfferedCapability, Rejected
from crdt.reputation import ReputationView
from crdt.stake import StakeView
from crdt.tasks import TaskRow
from identity.errors import InvalidSchema
from protocols.committee import Committee
from protocols.economy import (
    accounts,
    auction_dispatch,
    bonds,
    borders,
    committees,
    company,
    contracts,
    leases,
    lifecycle,
    membership,
    outputs,
    panel,
    reports,
    slashing,
    statefile,
    upgrades,
    variables,
    verification,
)
from protocols.economy.auction_model import AuctionDuty, AuctionView, SolutionWanted
from protocols.economy.auction_rows import make_auction_row
from protocols.economy.auction_views import (
    list_auction_duties,
    list_solutions_wanted,
    quote_price,
    view_auction,
)
from protocols.economy.books import Books, CheckReceipt
from protocols.economy.market_model import Market, Variable
from protocols.economy.model import (
    AgentView,
    Announced,
    Border,
    Duty,
    Formed,
    OrderedOperation,
    Proposal,
    Refused,
    TaskView,
    describe_rejections,
    view_task,
)
from protocols.economy.operations import (
    Accuse,
    AccuseCommittee,
    Bond,
    CommitBids,
    CommitWork,
    ConsentCommittee,
    Export,
    FormCommittee,
    Import,
    Inventory,
    JoinCommittee,
    LeaveCommittee,
    Offer,
    OpenTasks,
    Operation,
    RevealBids,
    RevealWork,
    Transfer,
    Unbond,
)
from protocols.economy.operations_market import (
    CommitReport,
    OpenVariable,
    RevealReport,
    SetVariable,
)
from protocols.economy.operations_tasks import AcceptWork, CancelTask, Heartbeat, RevealScores
from protocols.economy.operations_upgrades import AnnounceSemantics, ConsentUpgrade
from protocols.economy.task_rows import make_task_row
from protocols.economy.unbondings import Unbonding
from protocols.genesis import Founding, Parameters

__all__ = ["EconomyState", "OrderedOperation"]

T = TypeVar("T")

DETAIL_MAX = 512
"""Characters of `Rejected.detail`."""


class EconomyState:
    """The economy of one committee. See the module's docstring.

    `check_receipt(statement)` gives (signer, Receipt) of a receipt statement or raises
    InvalidBytes; it must be deterministic.
    """

    def __init__(
        self, genesis: Founding, committee: Committee, check_receipt: CheckReceipt
    ) -> None:
        self._genesis = genesis
        self._books = Books(genesis, committee, check_receipt)
        if isinstance(genesis, committees.FormedGenesis):
            self._books.borders[genesis.border.committee] = genesis.border
        self._genesis_facts = tuple(accounts.mint(genesis))
        for fact in self._genesis_facts:
            self._books.emit(fact)
        self._books.facts.clear()

    @property
    def stake(self) -> StakeView:
        return self._books.stake

    @property
    def reputation(self) -> ReputationView:
        return self._books.reputation

    @property
    def parameters(self) -> Parameters:
        return self._books.parameters

    @property
    def time_ms(self) -> int:
        """Agreed time of the last executed batch; genesis' creation before the first."""
        return self._books.time_ms

    @property
    def position(self) -> int:
        """The last executed position; 0 is genesis."""
        return self._books.position

    @property
    def committee(self) -> Committee:
        """The members of the epoch that orders the next batch."""
        return self._books.committee

    def find_committee(self, epoch: int) -> Committee | None:
        """The committee of the present epoch or of one that is still remembered."""
        return membership.find_committee(self._books, epoch)

    def genesis_facts(self) -> tuple[Fact, ...]:
        """What position 0 of the committee's log holds."""
        return self._genesis_facts

    def admit(self, signer: bytes, operation: Operation) -> str | None:
        """Why `operation` is not worth ordering now, in one word; None when it is."""
        return accounts.find_obstacle(self._books, signer, operation)

    def awaits_company(self, operations: Iterable[tuple[bytes, Operation]]) -> bool:
        """True while these are only a part of what several parties are about to say at once."""
        return company.awaits_company(self._books, operations)

    def next_nonce(self, account: bytes) -> int:
        return self._books.nonces.get(account, 0) + 1

    def execute(
        self,
        position: int,
        time_ms: int,
        batch_digest: bytes,
        operations: Sequence[OrderedOperation],
    ) -> tuple[Fact, ...]:
        """Execute the batch at `position`; the facts are in the order they came true.

        What falls due at `time_ms` happens first, then each operation, then openings of auctions,
        a reputation snapshot, and the next epoch if the members changed. Time never goes back.
        Raises ValueError for a position that does not follow: that is the caller's error, not a
        batch's.
        """
        books = self._books
        if position != books.position + 1:
            raise ValueError(f"position {position} does not follow {books.position}")
        books.position = position
        books.time_ms = max(books.time_ms, time_ms)
        books.seed = batch_digest
        books.has_searched = False
        lifecycle.pass_time(books)
        for ordered in operations:
            if accounts.take_nonce(books, ordered.signer, ordered.operation):
                self._execute(ordered)
                lifecycle.advance_touched(books)
        contracts.open_auctions(books)
        lifecycle.advance_touched(books)
        lifecycle.take_snapshot(books)
        membership.end_batch(books)
        facts, books.facts = tuple(books.facts), []
        return facts

    def get_offer(self, key: bytes) -> tuple[OfferedCapability, ...] | None:
        """What an agent is invited for; None when it offers nothing or is paused."""
        agent = self._books.agents.get(key)
        if agent is None or agent.paused:
            return None
        return agent.capabilities or None

    def is_banned(self, key: bytes) -> bool:
        """True for an agent that was slashed: no auction invites it any more."""
        return self._books.is_banned(key)

    def offers(self) -> Iterator[tuple[bytes, tuple[OfferedCapability, ...]]]:
        """Agents that can be invited now, ascending, with what they offer."""
        for key in sorted(self._books.agents):
            offered = self.get_offer(key)
            if offered is not None and not self.is_banned(key):
                yield key, offered

    def next_deadline_ms(self) -> int | None:
        """The earliest agreed time at which something is due; None when nothing is under way."""
        return lifecycle.next_due_ms(self._books)

    def get_standing_bond(self, account: bytes) -> int:
        """What the account has bonded without a way out: this much opens doors."""
        return self._books.get_standing_bond(account)

    def unbondings(self, account: bytes) -> list[Unbonding]:
        """The parts of the account's bond that are on their way out, in the order they are due."""
        return self._books.unbondings.list_of(account)

    def duties(self, me: bytes) -> list[Duty]:
        """What `me` should submit now. It follows from the state alone, so a node that was
        restarted resumes; a duty stays until its operation was executed or its stage is over."""
        return self._books.list_duties(me)

    def get_agent(self, key: bytes) -> AgentView | None:
        """An agent that offers, or ever offered, something; None for anybody else."""
        agent = self._books.agents.get(key)
        if agent is None:
            return None
        return AgentView(agent.capabilities, agent.paused, agent.banned, agent.active)

    def get_task(self, task: bytes) -> TaskView | None:
        """A task under way; None once it ended (its end stands in the log)."""
        found = self._books.tasks.get(task)
        return None if found is None else view_task(found)

    def tasks(self) -> Iterator[TaskView]:
        """Tasks under way, in the order they were opened."""
        return (view_task(task) for task in self._books.tasks.values())

    def task_rows(self) -> Iterator[TaskRow]:
        """Tasks under way as the ledger's projection shows them."""
        return map(make_task_row, self._books.tasks.values())

    def get_auction(self, auction: bytes) -> AuctionView | None:
        """A general auction under way; None once it ended (its end stands in the log)."""
        found = self._books.general_auctions.get(auction)
        return None if found is None else view_auction(self._books, found)

    def auctions(self) -> Iterator[AuctionView]:
        """General auctions under way, in the order they were opened."""
        return (view_auction(self._books, each) for each in self._books.general_auctions.values())

    def auction_duties(self, me: bytes) -> list[AuctionDuty]:
        """What `me` is asked for in general auctions now, as `duties` says it of tasks."""
        return list_auction_duties(self._books, me)

    def solutions_wanted(self, me: bytes) -> list[SolutionWanted]:
        """General auctions for which `me` may submit better winners."""
        return list_solutions_wanted(self._books, me)

    def quote(self, auction: bytes, bidder: bytes, now_ms: int) -> int | None:
        """The price of the next english bid, or of a dutch auction at `now_ms`, for `bidder`; None
        where there is none."""
        found = self._books.general_auctions.get(auction)
        return None if found is None else quote_price(self._books, found, bidder, now_ms)

    def may_speak(self, auction: bytes, party: bytes) -> bool:
        """True when an auction's present phase may still take a word of `party`."""
        found = self._books.general_auctions.get(auction)
        return found is not None and found.may_speak(party)

    def auction_rows(self) -> Iterator[AuctionRow]:
        """General auctions under way as the ledger's projection shows them."""
        return map(make_auction_row, self._books.general_auctions.values())

    def proposals(self) -> Iterator[Proposal]:
        """Committees that wait for consents, in ascending order of their ids."""
        return (proposal for _, proposal in sorted(self._books.proposals.items()))

    def formed(self) -> Iterator[Formed]:
        """Committees that this one formed, in that order."""
        return iter(self._books.formed.values())

    def markets(self) -> Iterator[Market]:
        """Markets since their first award, in ascending order of their capabilities."""
        return (market for _, market in sorted(self._books.markets.items()))

    def get_market(self, capability: bytes) -> Market | None:
        """The market of a capability; None before its first award."""
        return self._books.markets.get(capability)

    def variables(self) -> Iterator[Variable]:
        """Variables under way, in the order they were opened."""
        return iter(self._books.variables.values())

    def announced(self) -> dict[bytes, Announced]:
        """What members said that their programs execute; who said nothing executes version 1."""
        return dict(self._books.announced)

    def consents(self) -> dict[bytes, int]:
        """The version of the semantics that each member consented to, while it does not hold."""
        return dict(self._books.consents)

    def switches(self) -> list[tuple[int, int]]:
        """The first epoch of each version of the semantics but the first, and that version."""
        return list(self._books.switches)

    def borders(self) -> Iterator[Border]:
        """Committees that credits cross to and from, in ascending order of their ids."""
        return (border for _, border in sorted(self._books.borders.items()))

    def get_border(self, committee: bytes) -> Border | None:
        return self._books.borders.get(committee)

    def convicts(self, body: AccuseCommittee) -> bool:
        """True when the accusation would freeze a border now."""
        try:
            borders.check_accusation(self._books, body)
        except Refused:
            return False
        return True

    def dump(self) -> bytes:
        """The whole state in deterministic CBOR."""
        return statefile.dump(self._books)

    def restore(self, data: bytes, position: int) -> None:
        """Become the state that `dump` wrote at `position`, or raise InvalidBytes and stay what it
        is. Whoever holds this object sees the new state."""
        former = self._books
        books = Books(self._genesis, former.committee, former.check_receipt)
        statefile.load(data, books)
        if books.position != position:
            raise InvalidSchema(f"a state of position {books.position} instead of {position}")
        self._books = books

    @classmethod
    def load(
        cls, data: bytes, genesis: Founding, committee: Committee, check_receipt: CheckReceipt
    ) -> "EconomyState":
        """The state that `dump` wrote. Raises InvalidCbor or InvalidSchema.

        Check the digest of `data` against a certified checkpoint first: the form is checked
        here, the truth of its numbers is not.
        """
        state = cls.__new__(cls)
        state._genesis = genesis
        state._books = Books(genesis, committee, check_receipt)
        state._genesis_facts = tuple(accounts.mint(genesis))
        statefile.load(data, state._books)
        return state

    def _execute(self, ordered: OrderedOperation) -> None:
        """One operation: all of it, or each item of it, takes effect or is rejected."""
        self._books.start_operation(ordered.signer)
        try:
            rejected = self._dispatch(ordered)
        except Refused as refused:
            self._reject(ordered, refused.reason, "")
        else:
            if rejected:
                detail = describe_rejections(rejected, DETAIL_MAX)
                self._reject(ordered, rejected[0][1], detail)
            accounts.charge(self._books, ordered)

    def _reject(self, ordered: OrderedOperation, reason: str, detail: str) -> None:
        self._books.emit(
            Rejected(operation=ordered.digest, account=ordered.signer, reason=reason, detail=detail)
        )

    def _dispatch(self, ordered: OrderedOperation) -> list[tuple[int, str]]:
        """Rejected items as (index, reason). Raises Refused when all of it is refused."""
        books = self._books
        match ordered.operation.body:
            case Accuse() as body:
                slashing.accuse(books, body)
            case Transfer() as body:
                accounts.transfer(books, ordered, body)
            case Bond() as body:
                bonds.bond(books, ordered, body)
            case Unbond() as body:
                bonds.unbond(books, ordered, body)
            case FormCommittee() as body:
                committees.propose(books, ordered, body)
            case ConsentCommittee() as body:
                committees.consent(books, ordered, body)
            case Export() as body:
                borders.export(books, ordered, body)
            case Import() as body:
                borders.import_transfers(books, ordered, body)
            case AccuseCommittee() as body:
                borders.accuse(books, ordered, body)
            case JoinCommittee() | LeaveCommittee() | AnnounceSemantics() | ConsentUpgrade():
                _change_epoch(books, ordered)
            case Offer() as body:
                accounts.offer(books, ordered, body)
            case OpenTasks() as body:
                return contracts.open_tasks(books, ordered, body)
            case CommitBids() as body:
                return _each(books, ordered, body.bids, contracts.commit_bid)
            case RevealBids() as body:
                return _each(books, ordered, body.bids, contracts.reveal_bid)
            case CommitWork() as body:
                return _each(books, ordered, body.works, verification.commit_work)
            case RevealWork() as body:
                return verification.reveal_works(books, ordered, body)
            case OpenVariable() as body:
                variables.open_variable(books, ordered, body)
            case SetVariable() as body:
                variables.set_variable(books, ordered.signer, body)
            case CommitReport() as body:
                reports.commit_report(books, ordered.signer, body)
            case RevealReport() as body:
                reports.reveal_report(books, ordered.signer, body)
            case Heartbeat() as body:
                return _each(books, ordered, body.beats, leases.hear_beat)
            case RevealScores() as body:
                return _each(books, ordered, body.scores, panel.reveal_score)
            case AcceptWork() as body:
                outputs.accept_work(books, ordered.signer, body)
            case CancelTask() as body:
                leases.cancel(books, ordered, body)
            case Inventory() as body:
                return lifecycle.record_inventories(books, ordered, body)
            case body:
                auction_dispatch.execute(books, ordered, body)
        return []


def _change_epoch(books: Books, ordered: OrderedOperation) -> None:
    """Who the members are, and by which rules they execute."""
    match ordered.operation.body:
        case JoinCommittee() as body:
            membership.join(books, ordered, body)
        case LeaveCommittee():
            membership.leave(books, ordered)
        case AnnounceSemantics() as body:
            upgrades.announce(books, ordered, body)
        case ConsentUpgrade() as body:
            upgrades.consent(books, ordered, body)


def _each(
    books: Books,
    ordered: OrderedOperation,
    items: Sequence[T],
    handle: Callable[[Books, bytes, T], None],
) -> list[tuple[int, str]]:
    """Apply `handle` to each item on its own; the refused ones as (index, reason)."""
    rejected = []
    for index, item in enumerate(items):
        try:
            handle(books, ordered.signer, item)
        except Refused as refused:
            rejected.append((index, refused.reason))
    return rejected
