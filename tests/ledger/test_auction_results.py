"""Auctions in the ledger: rows folded from facts, and the file that proves a result offline."""

import hashlib
from pathlib import Path

import pytest
import trio
import trio_asyncio
from msgspec.structs import replace

from crdt.facts import AuctionEnded
from crdt.facts_auctions import AuctionTerms, BundleBid, Lot
from identity.errors import EconodeError
from node.auction_results import make_result_file
from node.ledger import Ledger
from node.ledger_rows import ExecutedBatch
from node.ledger_verify import verify_ledger
from node.problem import Problem
from protocols.auction.commit_reveal import compute_auction_commitment
from protocols.auction.result_file import decode_result, encode_result, verify_result
from protocols.auction.verify import InvalidResult, verify_auction
from protocols.economy.auction_model import compute_auction_id
from protocols.economy.operations_auctions import (
    CommitAuctionBid,
    Deliver,
    OpenAuction,
    PlaceBid,
    RevealAuctionBid,
)
from protocols.light import StaleAnchor, make_anchor
from tests.ledger.network import CREATED_MS, MEMBERS, Network

SALT = hashlib.sha256(b"salt").digest()
SELLER, *BIDDERS = MEMBERS
PRICES = (400, 700, 550)
NOW_MS = CREATED_MS + 60_000
DAY_MS = 86_400_000


def make_sale(network: Network) -> tuple[bytes, list[ExecutedBatch]]:
    """The batches of a Vickrey auction with a list of bidders, up to its delivery."""
    listed = tuple(sorted(key.public for key in BIDDERS))
    terms = AuctionTerms(
        kind="vickrey",
        direction="forward",
        lots=(Lot("a painting", 100, "oil on canvas"),),
        cap=1_000,
        bid_ms=4_000,
        reveal_ms=4_000,
        bidders=listed,
        delivery_ms=60_000,
        accept_ms=60_000,
    )
    committee = network.committee
    nonce = network.chain.state.next_nonce(SELLER.public)
    auction = compute_auction_id(network.id, committee.id, SELLER.public, nonce)
    batches = [network.order((SELLER, OpenAuction(terms)))]
    commits, reveals = [], []
    for key, price in zip(BIDDERS, PRICES, strict=True):
        seal = compute_auction_commitment(
            network.id, committee.id, auction, key.public, [(b"\0", price)], SALT
        )
        commits.append((key, CommitAuctionBid(auction, seal)))
        reveals.append((key, RevealAuctionBid(auction, (BundleBid(b"\0", price),), SALT)))
    batches += [network.order(*commits), network.order(*reveals)]
    winner = BIDDERS[1].public
    batches.append(network.order((SELLER, Deliver(auction, winner, None, "sent"))))
    return auction, batches


def make_english(network: Network) -> ExecutedBatch:
    terms = AuctionTerms(
        kind="english",
        direction="forward",
        lots=(Lot("a boat", 1),),
        cap=1_000,
        bid_ms=4_000,
        increment=5,
    )
    nonce = network.chain.state.next_nonce(SELLER.public)
    auction = compute_auction_id(network.id, network.committee.id, SELLER.public, nonce)
    bids = [(key, PlaceBid(auction, 10 + 5 * i)) for i, key in enumerate(BIDDERS)]
    return network.order((SELLER, OpenAuction(terms)), *bids)


NETWORK = Network()
GENESIS = NETWORK.make_genesis_batch()
AUCTION, SALE = make_sale(NETWORK)
BATCHES = [GENESIS, *SALE, make_english(NETWORK)]
ANCHOR = make_anchor(NETWORK.genesis)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("auctions") / "ledger.sqlite3"

    async def write() -> None:
        async with trio_asyncio.open_loop(), Ledger.open(found, NETWORK.id) as ledger:
            for batch in BATCHES:
                ledger.append(batch)
                if batch.position not in (0, 3):  # the entry of the result links to a later one
                    proof = NETWORK.certify(batch.entry)
                    ledger.put_certificate(batch.committee, batch.position, proof)

    trio.run(write)
    return found


@pytest.fixture(scope="module")
def data(path: Path) -> bytes:
    return make_result_file(path, NETWORK.genesis, AUCTION.hex()[:12])


async def test_the_ledger_knows_the_auctions(path):
    async with trio_asyncio.open_loop(), Ledger.open(path, NETWORK.id) as ledger:
        committee = NETWORK.committee.id
        sale = await ledger.get_auction(committee, AUCTION)
        assert (sale.state, sale.bids, sale.price, sale.pending) == ("delivering", 3, 551, 1)
        assert (sale.title, sale.winners) == ("a painting", BIDDERS[1].public)
        (english,) = await ledger.read_auctions(committee, count_max=9, state="bidding")
        assert (english.kind, english.bids, english.price) == ("english", 3, 20)
        assert await ledger.find_auctions(committee, AUCTION.hex()[:6]) == [sale]
        page = await ledger.read_auctions(committee, count_max=9, opener=SELLER.public)
        assert {row.auction for row in page} == {sale.auction, english.auction}
        assert await ledger.read_auctions_open(committee) == page
        rest = await ledger.read_auctions(committee, count_max=9, after=page[0].auction)
        assert rest == page[1:]


def test_the_whole_check_folds_them_again(path, tmp_path):
    assert verify_ledger(path, NETWORK.genesis).findings == []


async def test_a_fetched_state_has_them(path, tmp_path):
    begun, chunks, state = NETWORK.make_transfer()
    assert {row.auction for row in state.auctions} >= {AUCTION}
    file = tmp_path / "ledger.sqlite3"
    async with trio_asyncio.open_loop():
        async with Ledger.open(file, NETWORK.id) as ledger:
            ledger.append(GENESIS)
            await ledger.keep_state(begun)
            for chunk in chunks:
                await ledger.keep_state(chunk)
            await ledger.begin(state)
        async with Ledger.open(file, NETWORK.id) as ledger:
            row = await ledger.get_auction(NETWORK.committee.id, AUCTION)
            assert (row.state, row.price, row.pending) == ("delivering", 551, 1)
    assert verify_ledger(file, NETWORK.genesis).findings == []


def test_the_file_proves_the_result(data):
    for anchor in (ANCHOR, None):
        found = verify_result(data, anchor, NOW_MS)
        assert isinstance(found.fact, AuctionEnded)
        assert found.fact.auction == AUCTION
        assert [(a.winner, a.price) for a in found.fact.awards] == [(BIDDERS[1].public, 551)]
        assert (found.proven.position, found.proven.certified_position) == (3, 4)


def test_any_altered_byte_proves_nothing(data):
    for place in range(len(data)):
        altered = bytearray(data)
        altered[place] ^= 1 << place % 8
        with pytest.raises(EconodeError):
            verify_result(bytes(altered), None, NOW_MS)
    for cut in (data[:-1], data + b"\0", b""):
        with pytest.raises(EconodeError):
            verify_result(cut, None, NOW_MS)


def test_whom_it_convinces(data):
    stranger = replace(ANCHOR, network=bytes(32))
    with pytest.raises(EconodeError):
        verify_result(data, stranger, NOW_MS)
    with pytest.raises(StaleAnchor):
        verify_result(data, ANCHOR, NOW_MS + 15 * DAY_MS)
    result = decode_result(data)
    assert verify_result(encode_result(result), ANCHOR, NOW_MS).network == NETWORK.id
    members = result.genesis.members[:2]
    forged = replace(result, genesis=replace(result.genesis, members=members))
    with pytest.raises(EconodeError):
        verify_result(encode_result(forged), None, NOW_MS)


def test_another_outcome_does_not_follow(data):
    fact = verify_result(data, None, 0).fact
    assert isinstance(fact, AuctionEnded)
    award = fact.awards[0]
    other = next(bid for bid in fact.bids if bid.bidder != award.winner)
    lies = [
        replace(fact, awards=(replace(award, price=award.price - 1),)),
        replace(fact, awards=(replace(award, winner=other.bidder),)),
        replace(fact, awards=()),
        replace(fact, gap_ppm=1),
        replace(fact, bids=tuple(bid for bid in fact.bids if bid.bidder != award.winner)),
        replace(fact, bids=fact.bids[::-1]),
        replace(fact, bids=(*fact.bids, other)),
        replace(fact, silent=(other.bidder,)),
        replace(fact, opener=other.bidder),
        replace(fact, terms=replace(fact.terms, cap=600)),
        replace(fact, terms=replace(fact.terms, bidders=fact.terms.bidders[1:])),
    ]
    for lie in lies:
        with pytest.raises(InvalidResult):
            verify_auction(lie)


def test_what_is_not_there_cannot_be_proven(path):
    for prefix, kind in (("ff" * 32, "not-found"), ("zz", "not-found")):
        with pytest.raises(Problem) as caught:
            make_result_file(path, NETWORK.genesis, prefix)
        assert caught.value.type == kind
