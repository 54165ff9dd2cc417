"""Vectors of rules: what goes in and what must come out, in one map of deterministic CBOR.

These maps are not messages of the protocol; they carry the arguments of one of its functions and
the result that an implementation must compute. A vector is invalid where the result is another.
"""

from abc import abstractmethod
from typing import Annotated

import msgspec

from crdt.facts import Round, Score
from crdt.facts_auctions import Bundles
from crdt.facts_tasks import Ppm
from crdt.facts_tasks import Score as Points
from crdt.log import Entry
from identity.schema import U63, Amount, CommitteeId, Digest, Key, Name, Positive, Salt, TimeMs
from protocols.archive import CertificateBytes, StatementBytes
from protocols.auction import commit_reveal
from protocols.auction.mechanisms import Award, Bid, award_forward, award_reverse
from protocols.economy.auction_model import compute_auction_id
from protocols.economy.model import compute_task_id
from protocols.messages import QUORUM_MAX, VIEW_CHANGE_BYTES_MAX

CASE_BYTES_MAX = 1 << 20
ITEMS_MAX = 1_024
STATE_BYTES_MAX = 256 * 1024
ChangeBytes = Annotated[bytes, msgspec.Meta(max_length=VIEW_CHANGE_BYTES_MAX)]


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all cases."""


class SealCase(Case, frozen=True):
    """The last field is the digest of the others."""

    @abstractmethod
    def compute(self) -> bytes:
        """The digest that follows from the other fields."""


class BidSeal(SealCase, frozen=True):
    """`commitment` seals `price` (docs/protocol-operations.md)."""

    network: Digest
    committee: CommitteeId
    task: Digest
    round: Round
    bidder: Key
    price: Positive
    salt: Salt
    commitment: Digest

    def compute(self) -> bytes:
        return commit_reveal.compute_bid_commitment(*msgspec.structs.astuple(self)[:-1])


class AuctionSeal(SealCase, frozen=True):
    """`commitment` seals the `bundles` of a bid in a general auction."""

    network: Digest
    committee: CommitteeId
    auction: Digest
    bidder: Key
    bundles: Bundles
    salt: Salt
    commitment: Digest

    def compute(self) -> bytes:
        priced = [(bundle.lots, bundle.price) for bundle in self.bundles]
        place = (self.network, self.committee, self.auction, self.bidder)
        return commit_reveal.compute_auction_commitment(*place, priced, self.salt)


class WorkSeal(SealCase, frozen=True):
    """`commitment` seals the result `output` of `output_bytes` bytes."""

    network: Digest
    committee: CommitteeId
    task: Digest
    round: Round
    party: Key
    output: Digest
    output_bytes: U63
    salt: Salt
    commitment: Digest

    def compute(self) -> bytes:
        return commit_reveal.compute_work_commitment(*msgspec.structs.astuple(self)[:-1])


class ScoreSeal(SealCase, frozen=True):
    """`commitment` seals a judge's `score`."""

    network: Digest
    committee: CommitteeId
    task: Digest
    round: Round
    judge: Key
    score: Points
    salt: Salt
    commitment: Digest

    def compute(self) -> bytes:
        return commit_reveal.compute_score_commitment(*msgspec.structs.astuple(self)[:-1])


class ReportSeal(SealCase, frozen=True):
    """`commitment` seals what a member measured in a variable's term."""

    network: Digest
    committee: CommitteeId
    variable: Digest
    round: Positive
    member: Key
    objective_ppm: Ppm
    salt: Salt
    commitment: Digest

    def compute(self) -> bytes:
        return commit_reveal.compute_report_commitment(*msgspec.structs.astuple(self)[:-1])


class TaskName(SealCase, frozen=True):
    """`id` is that of the task at `index` of the operation that its requester numbered `nonce`."""

    network: Digest
    committee: CommitteeId
    requester: Key
    nonce: U63
    index: U63
    id: Digest

    def compute(self) -> bytes:
        return compute_task_id(*msgspec.structs.astuple(self)[:-1])


class AuctionName(SealCase, frozen=True):
    """`id` is that of the auction that its opener opened by the operation it numbered `nonce`."""

    network: Digest
    committee: CommitteeId
    opener: Key
    nonce: U63
    id: Digest

    def compute(self) -> bytes:
        return compute_auction_id(*msgspec.structs.astuple(self)[:-1])


class NetworkCase(Case, frozen=True):
    """`network` is the id of the network with this genesis, in deterministic CBOR."""

    genesis: bytes
    network: Digest


class CommitteeName(Case, frozen=True):
    """`committee` is the id of the committee `name` of the genesis of a network."""

    network: Digest
    name: Name
    committee: CommitteeId


class BatchCase(Case, frozen=True):
    """`digest` is what votes agree on for these operations at this time."""

    time_ms: TimeMs
    operations: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=ITEMS_MAX)]
    digest: Digest


class MerkleCase(Case, frozen=True):
    """`path` proves `item` at `index` of `count` under `root`."""

    item: bytes
    index: U63
    count: U63
    path: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=64)]
    root: Digest


class StateCase(Case, frozen=True):
    """`data` is the chunk at `index` of a state of `size` bytes that a checkpoint certifies as
    `digest`, with the `root` over its chunks."""

    size: Positive
    root: Digest
    digest: Digest
    index: U63
    data: bytes
    path: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=64)]


class BidLine(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    bidder: Key
    price: Positive
    weight_ppm: Positive

    def make(self) -> Bid:
        return Bid(self.bidder, self.price, self.weight_ppm)


class AwardLine(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    bidder: Key
    price: Amount


class AuctionCase(Case, frozen=True):
    """Who wins and at what price. `is_reverse`: bidders offer to sell, at most at `limit`; else
    they offer to buy, at least at `limit`."""

    is_reverse: bool
    bids: Annotated[tuple[BidLine, ...], msgspec.Meta(max_length=ITEMS_MAX)]
    limit: Positive
    seed: Digest
    auction: Digest
    units: Annotated[int, msgspec.Meta(ge=1, le=ITEMS_MAX)]
    awards: Annotated[tuple[AwardLine, ...], msgspec.Meta(max_length=ITEMS_MAX)]

    def compute(self) -> tuple[AwardLine, ...]:
        award = award_reverse if self.is_reverse else award_forward
        bids = [line.make() for line in self.bids]
        found: list[Award] = award(bids, self.limit, self.seed, self.auction, self.units)
        return tuple(AwardLine(each.bidder, each.price) for each in found)


class ReputationCase(Case, frozen=True):
    """The scores after these facts, among which each snapshot must follow from those before."""

    facts: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=ITEMS_MAX)]
    scores: Annotated[tuple[Score, ...], msgspec.Meta(max_length=ITEMS_MAX)]


class EntryCase(Case, frozen=True):
    """An entry of a log with the proof of its head."""

    entry: Entry
    proof: CertificateBytes


class NewViewCase(Case, frozen=True):
    """`new_view` begins its view for who has heard these `view_changes` in epoch 0 of the network
    with this genesis, and has executed nothing."""

    genesis: bytes
    view_changes: Annotated[tuple[ChangeBytes, ...], msgspec.Meta(max_length=QUORUM_MAX)]
    new_view: ChangeBytes


class StepCase(Case, frozen=True):
    """One batch executed on a state: the entry that follows and the digest of the state after it.

    `genesis` is the network's in deterministic CBOR, `head` the hash of the entry at `position`,
    at which the state is `state`.
    """

    genesis: bytes
    state: Annotated[bytes, msgspec.Meta(max_length=STATE_BYTES_MAX)]
    position: U63
    head: Digest
    time_ms: TimeMs
    operations: Annotated[tuple[StatementBytes, ...], msgspec.Meta(max_length=ITEMS_MAX)]
    entry: Entry
    state_digest: Digest
