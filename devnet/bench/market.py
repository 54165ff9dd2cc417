"""How many auctions and tasks a second the ordered economy settles on one core, without signatures.

Operations are made before the clock runs: what is measured is `EconomyState.execute`, the
encoding of its facts and their root, as a member spends it after the votes. Its four members bid.
"""

import gc
import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from crdt.facts import OfferedCapability, encode_fact
from crdt.facts_auctions import AuctionTerms, BundleBid, Lot
from crdt.log import compute_root
from devnet.bench.auctions import measure_rate
from devnet.bench.report import Recorder, Report
from devnet.sim.market.plan import make_genesis, make_key
from identity import cbor, schema
from identity.errors import InvalidSchema
from protocols.auction.commit_reveal import (
    compute_auction_commitment,
    compute_bid_commitment,
    compute_work_commitment,
)
from protocols.economy.operations import (
    ITEMS_MAX,
    AnyBody,
    BidCommitment,
    BidOpening,
    CommitBids,
    CommitWork,
    Offer,
    OpenTasks,
    Operation,
    Receipt,
    RevealBids,
    RevealWork,
    TaskSpec,
    WorkCommitment,
    WorkOpening,
)
from protocols.economy.operations_auctions import CommitAuctionBid, OpenAuction, RevealAuctionBid
from protocols.economy.state import EconomyState, OrderedOperation
from protocols.genesis import Parameters

MEMBERS = 4
CAPABILITY = OfferedCapability(hashlib.sha256(b"bench market").digest(), "work", "1")
BLOB = hashlib.sha256(b"bench blob").digest()
SALT = bytes(32)
AUCTIONS_AT_ONCE = 256
"""General auctions of one measured pass: as many as may be open by the standard parameters."""
TASKS_AT_ONCE = 32
"""Tasks of one measured pass: four members with room for eight each."""
BATCH_OPERATIONS = 64


class Ledger:
    """A state and the batches that it is fed with. `seconds` counts execution alone."""

    def __init__(self) -> None:
        rules = Parameters()
        self.genesis, self.committee = make_genesis(MEMBERS, MEMBERS, 1, 0, rules)
        self.state = EconomyState(self.genesis, self.committee, check_receipt)
        self.members = [make_key(f"m{i}") for i in range(MEMBERS)]
        self.owner = make_key("r0")
        self.seconds = 0.0
        self.nonces: dict[bytes, int] = {}
        self.run([(key, Offer((CAPABILITY,))) for key in self.members])

    def run(self, pairs: Sequence[tuple[bytes, AnyBody]]) -> None:
        """Execute these in batches; each is encoded and decoded as its signer and a member do."""
        for start in range(0, len(pairs), BATCH_OPERATIONS):
            batch = [self._order(*pair) for pair in pairs[start : start + BATCH_OPERATIONS]]
            position = self.state.position + 1
            seed = hashlib.sha256(position.to_bytes(8)).digest()
            began = time.process_time()
            facts = self.state.execute(position, self.state.time_ms + 1, seed, batch)
            compute_root([encode_fact(fact) for fact in facts])
            self.seconds += time.process_time() - began

    def _order(self, signer: bytes, body: AnyBody) -> OrderedOperation:
        self.nonces[signer] = self.nonces.get(signer, 0) + 1
        data = schema.encode(Operation(self.nonces[signer], body))
        digest = hashlib.sha256(signer + data).digest()
        return OrderedOperation(digest, signer, schema.decode(data, Operation, size_max=1 << 20))


def check_receipt(data: bytes) -> tuple[bytes, Receipt]:
    """Receipts here are [signer, [blob]] without a signature: signatures are not measured."""
    match cbor.decode(data, size_max=4_096):
        case [bytes(signer), [bytes(blob)]]:
            return signer, Receipt((blob,))
    raise InvalidSchema("not a receipt")


def run_auctions(ledger: Ledger) -> int:
    """Sell AUCTIONS_AT_ONCE things to the members; how many were sold."""
    members, place = ledger.members, ledger.committee
    terms = AuctionTerms(
        kind="vickrey",
        direction="forward",
        lots=(Lot("thing", 1),),
        cap=1_000,
        bid_ms=4_000,
        reveal_ms=4_000,
        bidders=tuple(sorted(members)),
    )
    ledger.run([(ledger.owner, OpenAuction(terms))] * AUCTIONS_AT_ONCE)
    ids = [auction.id for auction in ledger.state._books.general_auctions.values()]
    bids = {key: (BundleBid(b"\x00", 100 + 10 * i),) for i, key in enumerate(members)}
    seals: list[tuple[bytes, AnyBody]] = []
    opens: list[tuple[bytes, AnyBody]] = []
    for id_ in ids:
        for key, bundles in bids.items():
            priced = [(bundle.lots, bundle.price) for bundle in bundles]
            seal = compute_auction_commitment(place.network, place.id, id_, key, priced, SALT)
            seals.append((key, CommitAuctionBid(id_, seal)))
            opens.append((key, RevealAuctionBid(id_, bundles, SALT)))
    ledger.run(seals)
    ledger.run(opens)
    assert not ledger.state._books.general_auctions, "an auction did not end"
    return len(ids)


def run_tasks(ledger: Ledger) -> int:
    """Open TASKS_AT_ONCE tasks and carry them to their settlement; how many settled."""
    place, members = ledger.committee, ledger.members
    holders = place.members[: place.f + 1]
    receipts = tuple(cbor.encode([key, [BLOB]]) for key in holders)
    spec = TaskSpec(CAPABILITY.id, BLOB, 100, 1_000, 600_000)
    ledger.run([(ledger.owner, OpenTasks((spec,) * TASKS_AT_ONCE, receipts))])
    opened = list(ledger.state.tasks())
    prices = {key: 100 + 10 * i for i, key in enumerate(members)}
    who = (place.network, place.id)
    for _ in range(TASKS_AT_ONCE):
        for key in members:
            duties = ledger.state.duties(key)
            _answer(ledger, key, duties, who, prices[key])
        if next(ledger.state.tasks(), None) is None:
            return len(opened)
    raise AssertionError("a task did not end")


def _answer(
    ledger: Ledger, key: bytes, duties: Sequence[object], who: tuple[bytes, bytes], price: int
) -> None:
    """Whatever an honest agent says now, in as few operations as there are kinds."""
    bids, opens, works, shows = [], [], [], []
    for duty in duties:
        place = (duty.task, duty.round)  # type: ignore[attr-defined]
        match duty.kind:  # type: ignore[attr-defined]
            case "bid":
                seal = compute_bid_commitment(*who, *place, key, price, SALT)
                bids.append(BidCommitment(*place, seal))
            case "reveal_bid":
                opens.append(BidOpening(*place, price, SALT))
            case "work":
                seal = compute_work_commitment(*who, *place, key, BLOB, 10, SALT)
                works.append(WorkCommitment(*place, seal, None))
            case "reveal_work":
                shows.append(WorkOpening(*place, BLOB, 10, SALT))
    for kind, items in ((CommitBids, bids), (RevealBids, opens), (CommitWork, works)):
        if items:
            ledger.run([(key, kind(tuple(items[:ITEMS_MAX])))])  # type: ignore[arg-type]
    if shows:
        ledger.run([(key, RevealWork(tuple(shows[:ITEMS_MAX])))])


def measure(work: Callable[[Ledger], int], seconds: float) -> list[float]:
    """Passes of `work` on one state for about `seconds`; how many a second each did."""
    ledger = Ledger()
    rates: list[float] = []
    work(ledger)
    until = time.monotonic() + seconds
    while len(rates) < 3 or time.monotonic() < until:
        gc.collect()
        ledger.seconds = 0.0
        rates.append(work(ledger) / ledger.seconds)
    return rates


def measure_market(
    seconds: float,
    nodes: int = 0,
    auctions: int = 0,
    directory: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Auctions, then tasks, each for half of the time: figures of one core. Beside them, with
    `nodes`, what a committee of so many processes carries, `auctions` at once."""
    settings = {"members": MEMBERS, "operations an auction": 1 + 2 * MEMBERS}
    if nodes:
        settings |= {"nodes": nodes, "auctions at once": auctions}
    recorder = Recorder("market", settings)
    progress("one core")
    rates = measure(run_auctions, seconds / 2)
    core = recorder.add("core_auctions", "auctions/s", rates)
    recorder.add("core_operations", "operations/s", [r * (1 + 2 * MEMBERS) for r in rates])
    recorder.add("core_tasks", "tasks/s", measure(run_tasks, seconds / 2))
    if nodes:
        distributed = measure_rate(recorder, nodes, auctions, directory, progress)
        recorder.add("core_over_distributed", "ratio", [core / distributed])
    return recorder.finish()
