"""The whole state as deterministic CBOR, and back.

Everything that can be derived (indexes, duties, the heap of deadlines) is left out and built again,
so two equal states have one encoding whatever way they came about.
"""

from typing import Any

import msgspec

from crdt.facts import Bucket, OfferedCapability, TaskTerms, Verification
from crdt.reputation import ReputationView
from identity import cbor, schema
from identity.errors import InvalidSchema
from protocols.committee import Committee
from protocols.economy.books import Books
from protocols.economy.market_model import Market, Variable
from protocols.economy.model import (
    Agent,
    Announced,
    Bid,
    Border,
    Formed,
    Pool,
    Proposal,
    Stage,
    Task,
    Work,
)
from protocols.economy.semantics import FIRST, SUPPORTED, UnsupportedSemantics
from protocols.economy.statefile_auctions import AuctionRecord, dump_auction, load_auction
from protocols.economy.unbondings import Unbonding, Unbondings
from protocols.state_tree import STATE_BYTES_MAX

VERSION = 4


class AgentRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    key: bytes
    capabilities: tuple[OfferedCapability, ...]
    paused: bool
    banned: bool


class BidRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    bidder: bytes
    commitment: bytes | None
    price: int | None


class WorkRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    party: bytes
    commitment: bytes | None
    output: bytes | None
    output_bytes: int
    score: int | None


class TaskRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """`Task` with its maps as sorted lists."""

    number: int
    id: bytes
    requester: bytes
    capability: bytes
    input: bytes
    input_bytes: int
    budget: int
    opened_ms: int
    deadline_ms: int
    escrow: int
    deposit: int
    verification: Verification
    terms: TaskTerms
    draws_max: int
    bond_min: int
    pool: bytes | None
    round: int
    failures: int
    excluded: tuple[bytes, ...]
    stage: Stage
    stage_deadline_ms: int
    queued_ms: int
    overdue: bool
    due_ms: int
    waiting: tuple[bytes, ...]
    inventories: tuple[tuple[bytes, tuple[bytes, ...]], ...]
    invited: tuple[tuple[bytes, int], ...]
    bids: tuple[BidRecord, ...]
    seed: bytes
    executor: bytes | None
    price: int
    awarded_ms: int
    lease_ms: int
    committed_ms: int | None
    beat_ms: int
    progress_ppm: int
    answer_ppm: int | None
    holders: tuple[bytes, ...]
    verifiers: tuple[bytes, ...]
    works: tuple[WorkRecord, ...]


class EpochRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    epoch: int
    start: int
    members: tuple[bytes, ...]


class StateRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What has a default is left out of the bytes while it says nothing."""

    version: int
    position: int
    time_ms: int
    opened_count: int
    epochs: tuple[EpochRecord, ...]
    balances: tuple[tuple[bytes, Bucket, int], ...]
    accounts: tuple[bytes, ...]
    reputation: Any
    snapshot_ms: int
    nonces: tuple[tuple[bytes, int], ...]
    agents: tuple[AgentRecord, ...]
    tasks: tuple[TaskRecord, ...]
    queued: tuple[bytes, ...]
    pools: tuple[Pool, ...]
    auctions: tuple[AuctionRecord, ...]
    unbondings: tuple[Unbonding, ...]
    proposals: tuple[Proposal, ...]
    formed: tuple[Formed, ...]
    borders: tuple[Border, ...]
    markets: tuple[Market, ...]
    bidders: tuple[tuple[bytes, int], ...]
    variables: tuple[Variable, ...]
    announced: tuple[Announced, ...] = ()
    consents: tuple[tuple[bytes, int], ...] = ()
    switches: tuple[tuple[int, int], ...] = ()


def dump(books: Books) -> bytes:
    """The encoding of `books` between two batches."""
    queued = (task.id for _, tasks in sorted(books.queue.items()) for task in tasks.values())
    record = StateRecord(
        version=VERSION,
        position=books.position,
        time_ms=books.time_ms,
        opened_count=books.opened_count,
        epochs=tuple(EpochRecord(each.epoch, each.start, each.members) for each in books.epochs),
        balances=tuple((*key, value) for key, value in books.stake.balances().items()),
        accounts=tuple(books.stake.accounts()),
        reputation=books.reputation.dump(),
        snapshot_ms=books.snapshot_ms,
        nonces=tuple(sorted(books.nonces.items())),
        agents=tuple(
            AgentRecord(key, agent.capabilities, agent.paused, agent.banned)
            for key, agent in sorted(books.agents.items())
        ),
        tasks=tuple(_dump_task(task) for task in books.tasks.values()),
        queued=tuple(queued),
        pools=tuple(pool for _, pool in sorted(books.pools.items())),
        auctions=tuple(map(dump_auction, books.general_auctions.values())),
        unbondings=tuple(books.unbondings),
        proposals=tuple(proposal for _, proposal in sorted(books.proposals.items())),
        formed=tuple(books.formed.values()),
        borders=tuple(border for _, border in sorted(books.borders.items())),
        markets=tuple(market for _, market in sorted(books.markets.items())),
        bidders=tuple(sorted(books.bidders.items())),
        variables=tuple(books.variables.values()),
        announced=tuple(told for _, told in sorted(books.announced.items())),
        consents=tuple(sorted(books.consents.items())),
        switches=tuple(books.switches),
    )
    return schema.encode(record)


def load(data: bytes, books: Books) -> None:
    """Fill new `books`. Raises InvalidCbor or InvalidSchema."""
    record = _read_record(cbor.decode(data, size_max=STATE_BYTES_MAX))
    if record.version != VERSION:
        raise InvalidSchema(f"a state of version {record.version}, this program reads {VERSION}")
    books.position, books.time_ms = record.position, record.time_ms
    books.opened_count = record.opened_count
    books.switches = list(record.switches)
    books.epochs = [_load_epoch(each, books) for each in record.epochs]
    if not books.epochs:
        raise InvalidSchema("the state names no members")
    books.committee = books.epochs[-1]
    books.stake.restore(record.balances, record.accounts)
    books.reputation = ReputationView.load(record.reputation)
    books.snapshot_ms = record.snapshot_ms
    books.nonces = dict(record.nonces)
    books.agents = {
        agent.key: Agent(agent.capabilities, agent.paused, agent.banned) for agent in record.agents
    }
    books.unbondings = Unbondings(record.unbondings)
    books.proposals = {proposal.committee: proposal for proposal in record.proposals}
    for border in record.borders:
        _check_border(border, books.committee)
        books.borders[border.committee] = border
    books.formed = {formed.committee: formed for formed in record.formed}
    books.markets = {market.capability: market for market in record.markets}
    books.bidders = dict(record.bidders)
    books.variables = {variable.id: variable for variable in record.variables}
    books.announced = {told.member: told for told in record.announced}
    books.consents = dict(record.consents)
    books.pools = {pool.id: pool for pool in record.pools}
    books.tasks = {task.id: _load_task(task) for task in record.tasks}
    books.general_auctions = {each.id: load_auction(each) for each in record.auctions}
    try:
        books.restore_indexes(record.queued)
    except KeyError as error:
        raise InvalidSchema(f"the state names {error}, which it does not hold") from None


def _read_record(value: Any) -> StateRecord:
    """Raises UnsupportedSemantics where a newer version explains why the form is not known."""
    try:
        return schema.convert(value, StateRecord)
    except InvalidSchema:
        match value:
            case {"switches": [*_, [int(), int(needed)]], "position": int(position)} if (
                needed > SUPPORTED
            ):
                raise UnsupportedSemantics(needed, position) from None
        raise


def _load_epoch(record: EpochRecord, books: Books) -> Committee:
    place, semantics = books.committee, FIRST
    for epoch, version in books.switches:
        semantics = version if epoch <= record.epoch else semantics
    at = (place.network, place.id, record.epoch, record.members, record.start)
    try:
        return Committee(*at, semantics=semantics)
    except ValueError as error:
        raise InvalidSchema(f"epoch {record.epoch}: {error}") from None


def _check_border(border: Border, place: Committee) -> None:
    """Raises InvalidSchema unless its epochs are ones that proofs can be checked with."""
    if not border.epochs:
        raise InvalidSchema("a border names no members")
    for each in border.epochs:
        try:
            Committee(place.network, border.committee, each.epoch, each.members, each.start)
        except ValueError as error:
            raise InvalidSchema(f"epoch {each.epoch} beyond a border: {error}") from None


def _dump_task(task: Task) -> TaskRecord:
    return TaskRecord(
        number=task.number,
        id=task.id,
        requester=task.requester,
        capability=task.capability,
        input=task.input,
        input_bytes=task.input_bytes,
        budget=task.budget,
        opened_ms=task.opened_ms,
        deadline_ms=task.deadline_ms,
        escrow=task.escrow,
        deposit=task.deposit,
        verification=task.verification,
        terms=task.terms,
        draws_max=task.draws_max,
        bond_min=task.bond_min,
        pool=task.pool,
        round=task.round,
        failures=task.failures,
        excluded=task.excluded,
        stage=task.stage,
        stage_deadline_ms=task.stage_deadline_ms,
        queued_ms=task.queued_ms,
        overdue=task.overdue,
        due_ms=task.due_ms,
        waiting=tuple(sorted(task.waiting)),
        inventories=tuple(sorted(task.inventories.items())),
        invited=tuple(sorted(task.invited.items())),
        bids=tuple(BidRecord(k, b.commitment, b.price) for k, b in sorted(task.bids.items())),
        seed=task.seed,
        executor=task.executor,
        price=task.price,
        awarded_ms=task.awarded_ms,
        lease_ms=task.lease_ms,
        committed_ms=task.committed_ms,
        beat_ms=task.beat_ms,
        progress_ppm=task.progress_ppm,
        answer_ppm=task.answer_ppm,
        holders=task.holders,
        verifiers=task.verifiers,
        works=tuple(
            WorkRecord(k, w.commitment, w.output, w.output_bytes, w.score)
            for k, w in sorted(task.works.items())
        ),
    )


def _load_task(record: TaskRecord) -> Task:
    plain = {name: getattr(record, name) for name in record.__struct_fields__}
    plain["waiting"] = dict.fromkeys(record.waiting)
    plain["inventories"] = dict(record.inventories)
    plain["invited"] = dict(record.invited)
    plain["bids"] = {bid.bidder: Bid(bid.commitment, bid.price) for bid in record.bids}
    plain["works"] = {
        work.party: Work(work.commitment, work.output, work.output_bytes, work.score)
        for work in record.works
    }
    return Task(**plain)
