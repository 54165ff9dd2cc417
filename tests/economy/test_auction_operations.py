"""What the schema of auctions refuses before anything is executed, and what is in one operation."""

from typing import Any

import pytest

from crdt.facts_auctions import BIDDERS_MAX, BUNDLES_MAX, LOTS_MAX, UNITS_MAX, AuctionTerms, Lot
from identity import cbor, schema
from identity.errors import InvalidBytes
from identity.schema import U63_MAX
from protocols.economy.auction_model import Auction
from protocols.economy.operations import OPERATION_BYTES_MAX, Operation, decode_operation
from protocols.economy.operations_auctions import OpenAuction
from protocols.economy.statefile_auctions import AuctionRecord
from protocols.genesis import Parameters
from tests.economy.auction_commands import make_terms
from tests.economy.world import World

ID = bytes(32)
BUNDLE = [b"\0", 5]
TERMS: dict[str, Any] = {
    "kind": "vickrey",
    "direction": "forward",
    "lots": [{"name": "a", "limit": 1}],
    "bid_ms": 1_000,
}
GOOD: list[dict[str, Any]] = [
    {"type": "open_auction", "terms": TERMS},
    {"type": "cancel_auction", "auction": ID},
    {"type": "commit_auction_bid", "auction": ID, "commitment": None},
    {"type": "reveal_auction_bid", "auction": ID, "bundles": [BUNDLE], "salt": ID},
    {"type": "place_bid", "auction": ID, "price": 1},
    {"type": "accept_price", "auction": ID, "limit": U63_MAX},
    {"type": "deliver", "auction": ID, "winner": ID, "blob": None, "note": ""},
    {"type": "accept_delivery", "auction": ID, "winner": ID, "paid_ppm": 1_000_000},
]
WRONG: list[tuple[int, dict[str, Any]]] = [
    *((0, {"terms": TERMS | {"lots": lots}}) for lots in ([], [TERMS["lots"][0]] * (LOTS_MAX + 1))),
    *((0, {"terms": TERMS | {"cap": cap}}) for cap in (-1, U63_MAX + 1, 1.5, True, "1")),
    *((0, {"terms": TERMS | {"units": units}}) for units in (0, -1, UNITS_MAX + 1)),
    *((0, {"terms": TERMS | {name: "x"}}) for name in ("kind", "direction", "pricing", "other")),
    (0, {"terms": TERMS | {"bid_ms": 0}}),
    (0, {"terms": TERMS | {"bidders": [ID] * (BIDDERS_MAX + 1)}}),
    (0, {"terms": TERMS | {"lots": [{"name": "", "limit": 1}]}}),
    (0, {"terms": TERMS | {"lots": [{"name": "a", "limit": -1}]}}),
    (0, {"terms": TERMS | {"lots": [{"name": "a", "limit": 1, "text": "x" * 257}]}}),
    (0, {"terms": TERMS | {"lots": [{"name": "a", "limit": 1, "blob": b"x"}]}}),
    (1, {"auction": bytes(31)}),
    (2, {"commitment": bytes(33)}),
    *((3, {"bundles": bundles}) for bundles in ([], [BUNDLE] * (BUNDLES_MAX + 1), [[b"", 1]])),
    *((3, {"bundles": [[b"\0", price]]}) for price in (0, -1, U63_MAX + 1)),
    (3, {"salt": b""}),
    *((4, {"price": price}) for price in (0, -5, U63_MAX + 1, None)),
    (5, {"limit": 0}),
    (6, {"note": "x" * 513}),
    *((7, {"paid_ppm": ppm}) for ppm in (0, -1, 1_000_001)),
]


def encode(body: dict[str, Any]) -> bytes:
    return cbor.encode({"nonce": 1, "body": body})


@pytest.mark.parametrize("body", GOOD, ids=lambda body: body["type"])
def test_the_forms(body: dict[str, Any]) -> None:
    operation = decode_operation(encode(body))
    assert decode_operation(schema.encode(operation)) == operation


@pytest.mark.parametrize(("index", "change"), WRONG)
def test_out_of_bounds_is_refused(index: int, change: dict[str, Any]) -> None:
    try:
        data = encode(GOOD[index] | change)
    except (ValueError, TypeError, OverflowError):
        return  # nothing like that can be written
    with pytest.raises(InvalidBytes):
        decode_operation(data)


def test_the_largest_terms_fit_into_an_operation() -> None:
    lots = tuple(Lot(chr(0x4E00 + i) * 64, U63_MAX, "€" * 256, ID) for i in range(LOTS_MAX))
    terms = AuctionTerms(
        kind="call",
        direction="forward",
        lots=lots,
        bid_ms=U63_MAX,
        bidders=tuple(i.to_bytes(32) for i in range(BIDDERS_MAX)),
    )
    data = schema.encode(Operation(U63_MAX, OpenAuction(terms)))
    assert len(data) < OPERATION_BYTES_MAX
    decode_operation(data)


def test_dump_holds_every_field() -> None:
    world = World()
    world.run(world.sign("alice", OpenAuction(make_terms("english", "forward"))))
    (auction,) = world.state._books.general_auctions.values()
    assert isinstance(auction, Auction)
    fields = set(Auction.__dataclass_fields__)
    assert fields == set(AuctionRecord.__struct_fields__)
    assert Parameters().auctions_open_max == 256
