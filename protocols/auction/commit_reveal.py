"""Sealed statements: what is hashed, and when a phase may close although somebody is silent.

The bidder's key stands in the commitment, so nobody can copy a seal; network, committee, task and
round stand in it, so nobody can replay one.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence

from identity import cbor


def compute_bid_commitment(
    network: bytes,
    committee: bytes,
    task: bytes,
    round: int,
    bidder: bytes,
    price: int,
    salt: bytes,
) -> bytes:
    """The seal of a bid; `salt` is 32 secret bytes."""
    content = ["econode/bid", network, committee, task, round, bidder, price, salt]
    return hashlib.sha256(cbor.encode(content)).digest()


def compute_auction_commitment(
    network: bytes,
    committee: bytes,
    auction: bytes,
    bidder: bytes,
    bundles: Sequence[tuple[bytes, int]],
    salt: bytes,
) -> bytes:
    """The seal of a bid in a general auction: (lots, price) of each bundle, in the order in which
    they will be opened."""
    priced = [[lots, price] for lots, price in bundles]
    content = ["econode/auction-bid", network, committee, auction, bidder, priced, salt]
    return hashlib.sha256(cbor.encode(content)).digest()


def compute_work_commitment(
    network: bytes,
    committee: bytes,
    task: bytes,
    round: int,
    party: bytes,
    output: bytes,
    output_bytes: int,
    salt: bytes,
) -> bytes:
    """The seal of a result: the SHA-256 `output` and the size of the bytes that `party` holds."""
    content = ["econode/work", network, committee, task, round, party, output, output_bytes, salt]
    return hashlib.sha256(cbor.encode(content)).digest()


def compute_score_commitment(
    network: bytes, committee: bytes, task: bytes, round: int, judge: bytes, score: int, salt: bytes
) -> bytes:
    """The seal of a judge's score."""
    content = ["econode/score", network, committee, task, round, judge, score, salt]
    return hashlib.sha256(cbor.encode(content)).digest()


def compute_draw(seed: bytes, subject: bytes, key: bytes) -> bytes:
    """Priority of `key` under a seed fixed after everybody committed; the least comes first."""
    return hashlib.sha256(seed + subject + key).digest()


def may_close(
    inventories: Mapping[bytes, Collection[bytes]],
    silent: Collection[bytes],
    quorum: int,
    faults: int,
) -> bool:
    """True when an overdue phase may close without the `silent` parties.

    `inventories` says, by member, whose statements it holds. With `quorum` of them, a party that
    stands in `faults` + 1 is held by an honest member, so it must be ordered first: a leader
    cannot leave out a statement that every honest member holds.
    """
    if len(inventories) < quorum:
        return False
    return not any(sum(party in held for held in inventories.values()) > faults for party in silent)
