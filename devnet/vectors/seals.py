"""Vectors of sealed words and of names: hashes of a tagged array."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from crdt.facts_auctions import BundleBid
from devnet.vectors.cases import (
    AuctionName,
    AuctionSeal,
    BidSeal,
    Case,
    ReportSeal,
    ScoreSeal,
    TaskName,
    WorkSeal,
)
from devnet.vectors.draft import Draft, make_file
from devnet.vectors.form import Setting, VectorFile
from devnet.vectors.places import (
    CLIENT,
    COMMITTEE,
    NETWORK,
    OTHER_COMMITTEE,
    OTHER_NETWORK,
    STRANGER,
    digest,
)
from devnet.vectors.rules import draft_case, vary
from identity import schema
from protocols.auction.commit_reveal import compute_bid_commitment

TASK, SALT, OUTPUT = digest("task"), digest("salt"), digest("output")
PLACE = {"network": NETWORK, "committee": COMMITTEE}
Good = tuple[str, str, dict[str, Any]]
Wrong = tuple[str, str, dict[str, Any]]
ONE_LOT = (BundleBid(b"\0", 120),)
_ELSEWHERE: tuple[Wrong, ...] = (
    ("WrongNetwork", "another network", {"network": OTHER_NETWORK}),
    ("WrongCommittee", "another committee", {"committee": OTHER_COMMITTEE}),
    ("WrongHash", "another digest", {}),
)


def make_files() -> Iterator[VectorFile]:
    for kind, check, about, drafts in (
        ("bid-commitment", "bid_seal", "Sealed bids for tasks, and what opens them.", _bids()),
        (
            "auction-bid-commitment",
            "auction_seal",
            "Sealed bids in general auctions, and what opens them.",
            _auction_bids(),
        ),
        ("work-commitment", "work_seal", "Sealed results and what opens them.", _works()),
        ("score-commitment", "score_seal", "Judges' sealed scores.", _scores()),
        ("report-commitment", "report_seal", "Sealed measurements of a variable.", _reports()),
        ("task-id", "task_name", "Ids of tasks.", _tasks()),
        ("auction-id", "auction_name", "Ids of general auctions.", _auctions()),
    ):
        yield make_file(kind, check, about, Setting(), drafts)


def _list(
    make: Callable[..., Case], base: dict[str, Any], good: Sequence[Good], wrong: Sequence[Wrong]
) -> Iterator[Draft]:
    """Cases of `base` with these changes; then ones that say another thing than was hashed. The
    last field of each case is the digest."""
    cases = [_seal(make, base | change) for _, _, change in good]
    for (flag, comment, _), case in zip(good, cases, strict=True):
        yield draft_case(flag, comment, case)
    last = cases[0].__struct_fields__[-1]
    for flag, comment, change in (*wrong, *_ELSEWHERE):
        yield from vary(cases[0], ((flag, comment, change or {last: digest("x")}),))


def _seal(make: Callable[..., Any], fields: dict[str, Any]) -> Case:
    """The case with the digest that follows from its other fields."""
    case = make(**fields, **{make.__struct_fields__[-1]: bytes(32)})  # type: ignore[attr-defined]
    found: Case = msgspec.structs.replace(case, **{make.__struct_fields__[-1]: case.compute()})  # type: ignore[attr-defined]
    return found


_OTHER_SALT: Wrong = ("WrongInput", "another salt", {"salt": digest("other salt")})
_OTHER_ROUND: Wrong = ("WrongInput", "another round", {"round": 1})
_OTHER_TASK: Wrong = ("WrongInput", "another task", {"task": digest("other task")})


def _bids() -> Iterator[Draft]:
    base = PLACE | {"task": TASK, "round": 0, "bidder": CLIENT.public, "price": 120, "salt": SALT}
    yield from _list(
        BidSeal,
        base,
        (
            ("Valid", "a bid of 120", {}),
            ("Valid", "in round 2", {"round": 2}),
            ("Valid", "with another salt", {"salt": digest("other salt")}),
            ("EdgeOfBounds", "the highest price", {"price": schema.U63_MAX, "round": 255}),
            ("EdgeOfBounds", "the lowest price", {"price": 1}),
        ),
        (
            ("WrongInput", "another price", {"price": 121}),
            _OTHER_SALT,
            _OTHER_ROUND,
            _OTHER_TASK,
            ("SwappedSigner", "another bidder: a copied seal", {"bidder": STRANGER.public}),
        ),
    )


def _auction_bids() -> Iterator[Draft]:
    two = (BundleBid(b"\0", 120), BundleBid(b"\0\1", 300))
    bid = compute_bid_commitment(NETWORK, COMMITTEE, TASK, 0, CLIENT.public, 120, SALT)
    base = PLACE | {"auction": TASK, "bidder": CLIENT.public, "bundles": two, "salt": SALT}
    yield from _list(
        AuctionSeal,
        base,
        (
            ("Valid", "two bundles", {}),
            ("Valid", "a price of one lot", {"bundles": ONE_LOT}),
            ("EdgeOfBounds", "the highest price", {"bundles": (BundleBid(b"\0", schema.U63_MAX),)}),
        ),
        (
            ("WrongInput", "another price", {"bundles": (BundleBid(b"\0", 121), two[1])}),
            ("WrongInput", "another lot", {"bundles": (BundleBid(b"\1", 120), two[1])}),
            ("WrongInput", "bundles in another order", {"bundles": two[::-1]}),
            ("WrongInput", "a bundle left out", {"bundles": ONE_LOT}),
            _OTHER_SALT,
            ("Replay", "another auction", {"auction": digest("other auction")}),
            ("SwappedSigner", "another bidder: a copied seal", {"bidder": STRANGER.public}),
            ("WrongType", "the seal of a bid for a task", {"commitment": bid}),
        ),
    )


def _works() -> Iterator[Draft]:
    bid = compute_bid_commitment(NETWORK, COMMITTEE, TASK, 0, CLIENT.public, 7, SALT)
    base = PLACE | {"task": TASK, "round": 0, "party": CLIENT.public}
    base |= {"output": OUTPUT, "output_bytes": 7, "salt": SALT}
    empty = {"output": hashlib.sha256(b"").digest(), "output_bytes": 0}
    yield from _list(
        WorkSeal,
        base,
        (
            ("Valid", "a result of 7 bytes", {}),
            ("Valid", "another result", {"output": digest("other"), "output_bytes": 8}),
            ("EdgeOfBounds", "an empty result", empty),
            ("EdgeOfBounds", "the largest result", {"output_bytes": 67_108_864}),
        ),
        (
            ("WrongInput", "another result", {"output": digest("other")}),
            ("WrongInput", "another size", {"output_bytes": 8}),
            _OTHER_SALT,
            _OTHER_ROUND,
            _OTHER_TASK,
            ("SwappedSigner", "another party: a copied seal", {"party": STRANGER.public}),
            ("WrongType", "the seal of a bid", {"commitment": bid}),
        ),
    )


def _scores() -> Iterator[Draft]:
    base = PLACE | {"task": TASK, "round": 0, "judge": CLIENT.public, "score": 85, "salt": SALT}
    yield from _list(
        ScoreSeal,
        base,
        (
            ("Valid", "a score of 85", {}),
            ("Valid", "in round 1", {"round": 1}),
            ("EdgeOfBounds", "the lowest score", {"score": 0}),
            ("EdgeOfBounds", "the highest score", {"score": 100}),
        ),
        (
            ("WrongInput", "another score", {"score": 86}),
            _OTHER_SALT,
            _OTHER_ROUND,
            _OTHER_TASK,
            ("SwappedSigner", "another judge: a copied seal", {"judge": STRANGER.public}),
        ),
    )


def _reports() -> Iterator[Draft]:
    base = PLACE | {"variable": TASK, "round": 1, "member": CLIENT.public}
    base |= {"objective_ppm": 900_000, "salt": SALT}
    yield from _list(
        ReportSeal,
        base,
        (
            ("Valid", "nine tenths reached", {}),
            ("Valid", "in round 2", {"round": 2}),
            ("EdgeOfBounds", "nothing reached", {"objective_ppm": 0}),
            ("EdgeOfBounds", "everything reached", {"objective_ppm": 1_000_000}),
        ),
        (
            ("WrongInput", "another measurement", {"objective_ppm": 900_001}),
            _OTHER_SALT,
            ("WrongInput", "another round", {"round": 3}),
            ("WrongInput", "another variable", {"variable": digest("other")}),
            ("SwappedSigner", "another member: a copied seal", {"member": STRANGER.public}),
        ),
    )


def _tasks() -> Iterator[Draft]:
    base = PLACE | {"requester": CLIENT.public, "nonce": 7, "index": 0}
    yield from _list(
        TaskName,
        base,
        (
            ("Valid", "the first of an operation", {}),
            ("Valid", "the third of it", {"index": 2}),
            ("EdgeOfBounds", "the highest nonce", {"nonce": schema.U63_MAX}),
        ),
        (
            ("WrongInput", "another nonce", {"nonce": 8}),
            ("WrongPosition", "another index", {"index": 1}),
            ("SwappedSigner", "another requester", {"requester": STRANGER.public}),
        ),
    )


def _auctions() -> Iterator[Draft]:
    base = PLACE | {"opener": CLIENT.public, "nonce": 7}
    yield from _list(
        AuctionName,
        base,
        (
            ("Valid", "by the operation numbered 7", {}),
            ("Valid", "by the first operation", {"nonce": 1}),
            ("EdgeOfBounds", "the highest nonce", {"nonce": schema.U63_MAX}),
        ),
        (
            ("WrongInput", "another nonce", {"nonce": 8}),
            ("SwappedSigner", "another opener", {"opener": STRANGER.public}),
        ),
    )
