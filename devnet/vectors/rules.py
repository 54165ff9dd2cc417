"""Vectors of rules: digests, seals, Merkle paths, auctions, reputation, and executed batches."""

import random
from collections.abc import Iterator
from typing import Any

import msgspec

from crdt import log
from crdt.facts import Minted, Settled, Slashed, encode_fact
from crdt.reputation import ReputationView
from devnet.vectors.cases import (
    AuctionCase,
    AwardLine,
    BatchCase,
    BidLine,
    Case,
    CommitteeName,
    MerkleCase,
    NetworkCase,
    ReputationCase,
    StateCase,
)
from devnet.vectors.draft import Draft, make_file
from devnet.vectors.form import Layer, Setting, VectorFile
from devnet.vectors.places import (
    CLIENT,
    COMMITTEE,
    GENESIS,
    MEMBER_KEYS,
    NETWORK,
    OTHER_COMMITTEE,
    OTHER_NETWORK,
    digest,
)
from identity import schema
from protocols.genesis import compute_committee_id
from protocols.messages import compute_batch_digest
from protocols.state_tree import STATE_CHUNK_BYTES, StateTree, compute_digest, cut, hash_chunks

TASK, SALT, OUTPUT = digest("task"), digest("salt"), digest("output")
PPM = 1_000_000
Change = dict[str, Any]


def make_files() -> Iterator[VectorFile]:
    for kind, check, about, drafts in (
        ("network-id", "network_id", "Ids of networks, by their genesis.", _list_networks()),
        ("committee-id", "committee_name", "Ids of founding committees.", _list_names()),
        ("batch-digest", "batch", "What votes of a slot agree on.", _list_batches()),
        ("merkle-path", "merkle", "Items under a root (RFC 6962).", _list_paths()),
        ("checkpoint-state", "state_chunk", "Chunks of a certified state.", _list_chunks()),
        ("auction", "auction", "Bids with weights, and who wins at what price.", _list_auctions()),
        ("reputation", "reputation", "Scores as a fold over facts.", _list_scores()),
    ):
        yield make_file(kind, check, about, Setting(), drafts)


def draft_case(
    flags: str | tuple[str, ...], comment: str, case: Case, layer: Layer | None = None
) -> Draft:
    data = schema.encode(case)
    value = msgspec.to_builtins(case, builtin_types=(bytes,))
    return Draft(flags, comment, data, layer, value, data)


def vary(case: Case, changes: tuple[tuple[str, str, Change], ...]) -> Iterator[Draft]:
    """Of a good case, ones with another input, so that the result does not follow."""
    for flag, comment, change in changes:
        yield draft_case(flag, comment, msgspec.structs.replace(case, **change), "semantics")


def _list_networks() -> Iterator[Draft]:
    for comment, genesis in (
        ("four members", GENESIS),
        ("another name", msgspec.structs.replace(GENESIS, name="other")),
        ("one member", msgspec.structs.replace(GENESIS, members=GENESIS.members[:1])),
    ):
        case = NetworkCase(schema.encode(genesis), genesis.compute_network_id())
        yield draft_case("Valid", comment, case)
    good = NetworkCase(schema.encode(GENESIS), GENESIS.compute_network_id())
    later = msgspec.structs.replace(GENESIS, created_ms=GENESIS.created_ms + 1)
    yield from vary(
        good,
        (
            ("WrongInput", "another time of creation", {"genesis": schema.encode(later)}),
            ("WrongHash", "another id", {"network": OTHER_NETWORK}),
        ),
    )
    cut = msgspec.structs.replace(good, genesis=good.genesis[:-1])
    yield draft_case("Truncated", "a genesis without its last byte", cut, "cbor")


def _list_names() -> Iterator[Draft]:
    for name in ("main", "work", "a"):
        case = CommitteeName(NETWORK, name, compute_committee_id(NETWORK, name))
        yield draft_case("Valid", f"the committee {name}", case)
    good = CommitteeName(NETWORK, "main", COMMITTEE)
    yield from vary(
        good,
        (
            ("WrongInput", "another name", {"name": "main "}),
            ("WrongNetwork", "another network", {"network": OTHER_NETWORK}),
            ("WrongHash", "another id", {"committee": OTHER_COMMITTEE}),
        ),
    )


def _list_batches() -> Iterator[Draft]:
    def batch(time_ms: int, *operations: bytes) -> BatchCase:
        return BatchCase(time_ms, operations, compute_batch_digest(time_ms, operations))

    one, other = digest("operation one"), digest("operation other")
    good = batch(1_700_000_000_000, one, other)
    yield draft_case("Valid", "two operations", good)
    yield draft_case("Valid", "an empty batch", batch(1_700_000_000_001))
    yield draft_case("Valid", "the null batch", batch(0))
    yield draft_case("EdgeOfBounds", "the last time", batch(schema.U63_MAX, one))
    yield from vary(
        good,
        (
            ("WrongInput", "another time", {"time_ms": 1_700_000_000_001}),
            ("WrongInput", "another order", {"operations": (other, one)}),
            ("WrongInput", "one less", {"operations": (one,)}),
            ("Replay", "one twice", {"operations": (one, one, other)}),
            ("WrongHash", "another digest", {"digest": digest("x")}),
        ),
    )


def _list_paths() -> Iterator[Draft]:
    def prove(count: int, index: int) -> MerkleCase:
        items = [b"item %d" % number for number in range(count)]
        path = log.compute_path(items, index)
        return MerkleCase(items[index], index, count, path, log.compute_root(items))

    for count, index in ((1, 0), (2, 1), (3, 2), (7, 4), (8, 7)):
        yield draft_case("Valid", f"item {index} of {count}", prove(count, index))
    good = prove(7, 4)
    yield from vary(
        good,
        (
            ("WrongInput", "another item", {"item": b"item 5"}),
            ("WrongInput", "a node for an item", {"item": b"\x01" + good.path[0] + good.path[1]}),
            ("WrongPosition", "another index", {"index": 5}),
            ("WrongPosition", "an index beyond the end", {"index": 7}),
            ("WrongPosition", "another count", {"count": 4}),
            ("WrongPosition", "a path too short", {"path": good.path[:-1]}),
            ("WrongPosition", "a path too long", {"path": (*good.path, bytes(32))}),
            ("WrongHash", "another root", {"root": digest("x")}),
        ),
    )


def _list_chunks() -> Iterator[Draft]:
    def prove(size: int, index: int) -> StateCase:
        chunks = cut(bytes(size))
        tree = StateTree(hash_chunks(chunks))
        digest_ = compute_digest(size, tree.root)
        return StateCase(size, tree.root, digest_, index, chunks[index], tree.get_path(index))

    small, last = prove(300, 0), prove(2 * STATE_CHUNK_BYTES + 5, 2)
    yield draft_case("Valid", "a state of one chunk", small)
    yield draft_case("Valid", "the last of three chunks", last)
    yield draft_case("EdgeOfBounds", "a state of one byte", prove(1, 0))
    edge = prove(STATE_CHUNK_BYTES + 1, 1)
    yield draft_case("EdgeOfBounds", "a last chunk of one byte", edge)
    yield from vary(
        last,
        (
            ("WrongPosition", "another index", {"index": 1}),
            ("WrongPosition", "without its path", {"path": ()}),
            ("WrongInput", "another chunk", {"data": b"other"}),
            ("WrongInput", "a chunk too short", {"data": bytes(4)}),
            ("WrongInput", "another size", {"size": 2 * STATE_CHUNK_BYTES + 6}),
            ("WrongHash", "another root", {"root": digest("x")}),
            ("WrongHash", "another digest", {"digest": digest("x")}),
        ),
    )


def _list_auctions() -> Iterator[Draft]:
    def auction(
        is_reverse: bool, prices: list[int], weights: list[int], limit: int, units: int = 1
    ) -> AuctionCase:
        lines = tuple(
            BidLine(key, price, weight)
            for key, price, weight in zip(MEMBER_KEYS, prices, weights, strict=False)
        )
        case = AuctionCase(is_reverse, lines, limit, digest("seed"), TASK, units, ())
        return msgspec.structs.replace(case, awards=case.compute())

    even = [PPM] * 4
    good = auction(True, [100, 120, 150], [950_000, 990_000, 1_000_000], 1_000)
    for comment, case in (
        ("the lowest offer is paid the second price", good),
        (
            "a heavier bidder wins with a higher price",
            auction(True, [100, 98], [1_000_000, 950_000], 500),
        ),
        ("a tie, broken by the seed", auction(True, [100, 100, 100], even, 500)),
        ("two units", auction(True, [10, 20, 30, 40], even, 500, 2)),
        ("the highest bid pays the second price", auction(False, [100, 120, 150], even, 50)),
    ):
        yield draft_case("Valid", comment, case)
    for comment, case in (
        ("a single bidder is paid the limit", auction(True, [100], even, 1_000)),
        ("nobody keeps to the limit", auction(True, [100, 200], even, 50)),
        ("nobody bids", auction(True, [], [], 50)),
        (
            "the highest prices",
            auction(True, [schema.U63_MAX, schema.U63_MAX - 1], even, schema.U63_MAX),
        ),
        ("a price at the limit", auction(True, [50, 51], even, 50)),
    ):
        yield draft_case("EdgeOfBounds", comment, case)
    award = good.awards[0]
    worse = AwardLine(MEMBER_KEYS[2], award.price)
    yield from vary(
        good,
        (
            (
                "WrongResult",
                "one credit more",
                {"awards": (AwardLine(award.bidder, award.price + 1),)},
            ),
            ("WrongResult", "the first price", {"awards": (AwardLine(award.bidder, 100),)}),
            ("WrongResult", "another winner", {"awards": (worse,)}),
            ("WrongResult", "no winner", {"awards": ()}),
            ("WrongResult", "two winners of one unit", {"awards": (award, worse)}),
        ),
    )
    tied = auction(True, [100, 100], even, 500)
    loser = next(line.bidder for line in tied.bids if line.bidder != tied.awards[0].bidder)
    tie = AwardLine(loser, tied.awards[0].price)
    yield draft_case(
        "WrongInput",
        "a tie won by the other",
        msgspec.structs.replace(tied, awards=(tie,)),
        "semantics",
    )


def _list_scores() -> Iterator[Draft]:
    founders = [Minted(account=key, founder=True) for key in MEMBER_KEYS[:2]]

    def settle(number: int, grade: Any, allowance: int = 5 * PPM) -> Settled:
        worker, rater = MEMBER_KEYS[number % 2], CLIENT.public
        task = digest(f"task {number}")
        return Settled(
            task=task,
            round=0,
            executor=worker,
            grade=grade,
            price=9,
            rater=rater,
            allowance=allowance,
        )

    def fold(*facts: Any, snapshots: int = 1) -> ReputationCase:
        view = ReputationView()
        told = [*founders, *facts]
        for fact in told:
            view.apply(fact)
        for _ in range(snapshots):
            snapshot = view.compute_snapshot()
            view.apply(snapshot)
            told.append(snapshot)
        return ReputationCase(tuple(encode_fact(fact) for fact in told), view.scores())

    slashed = Slashed(offender=MEMBER_KEYS[1], offence=digest("offence"), task=None, amount=5)
    good = fold(settle(0, "excellent"), settle(1, "poor"))
    many = [settle(n, "excellent", PPM) for n in range(9)]
    chosen = random.Random("vectors")
    mixed = [settle(n, chosen.choice(["excellent", "satisfactory", "poor"])) for n in range(20)]
    for comment, case in (
        ("one good and one poor", good),
        ("founders only", fold(snapshots=0)),
        ("an offence", fold(settle(0, "satisfactory"), slashed)),
        ("more than the allowance: each counts in part", fold(*many)),
        ("twenty settlements and three snapshots", fold(*mixed, snapshots=3)),
    ):
        yield draft_case("Valid", comment, case)
    scores = good.scores
    better = msgspec.structs.replace(scores[0], score_ppm=scores[0].score_ppm + 1)
    poorer = msgspec.structs.replace(scores[0], good=scores[0].good - 1)
    for comment, change in (
        ("one ppm more", {"scores": (better, *scores[1:])}),
        ("one less of good", {"scores": (poorer, *scores[1:])}),
        ("an agent left out", {"scores": scores[1:]}),
        ("in another order", {"scores": scores[::-1]}),
    ):
        yield draft_case(
            "WrongResult", comment, msgspec.structs.replace(good, **change), "semantics"
        )
    fewer = msgspec.structs.replace(good, facts=(*good.facts[:2], *good.facts[3:]))
    yield draft_case("WrongInput", "a snapshot of more than is told", fewer, "semantics")
    doubled = msgspec.structs.replace(good, facts=(*good.facts, good.facts[-1]))
    yield draft_case("Replay", "a snapshot twice", doubled, "semantics")
