"""Operations: what a client signs and a committee orders.

The signer of the envelope is the account. An account's operations carry consecutive nonces from
1, so each executes exactly once and in the order its owner meant. Every operation pays the flat
fee of the network (`Parameters.operation_fee`), refused ones too.
"""

from typing import Annotated

import msgspec

from crdt.facts import AnyPhase, OfferedCapability, Round, Semantics, TaskTerms
from identity import schema
from identity.schema import Amount, CommitteeId, Digest, Key, Name, Positive, Salt
from protocols.economy.body import Body as Body
from protocols.economy.operations_auctions import (
    AcceptDelivery,
    AcceptPrice,
    CancelAuction,
    CommitAuctionBid,
    Deliver,
    OpenAuction,
    PlaceBid,
    RevealAuctionBid,
)
from protocols.economy.operations_market import (
    CommitReport,
    OpenVariable,
    RevealReport,
    SetVariable,
)
from protocols.economy.operations_solutions import SubmitSolution
from protocols.economy.operations_tasks import AcceptWork, CancelTask, Heartbeat, RevealScores
from protocols.economy.operations_upgrades import AnnounceSemantics, ConsentUpgrade
from protocols.genesis import MEMBERS_MAX, CommitteeName

OPERATION_KIND = "operation"
RECEIPT_KIND = "receipt"
STATEMENT_EPOCH = 0
"""The epoch in the place of operations and receipts, whatever the committee's own. Their nonces and
digests already make them count once; bound to an epoch, what waits when members change would have
to be signed again by owners who may be away."""
OPERATION_BYTES_MAX = 128 * 1024
ITEMS_MAX = 64
CAPABILITIES_MAX = 64
RECEIPTS_MAX = 256
RECEIPT_BYTES_MAX = 8 * 1024
BLOB_BYTES_MAX = 64 * 1024 * 1024
EVIDENCE_BYTES_MAX = 48 * 1024
"""One statement of an accusation: most VIEW-CHANGEs fit, and two of them into an operation."""

IMPORT_PROOF_BYTES_MAX = 96 * 1024
IMPORT_EPOCHS_MAX = 8
"""Epochs that one import follows: with 100 members 900 signatures at most, some 40 ms to check."""

BlobBytes = Annotated[int, msgspec.Meta(ge=0, le=BLOB_BYTES_MAX)]


class Transfer(Body, frozen=True, tag="transfer"):
    """Pay `amount` free credits to another account."""

    to: Key
    amount: Positive


class Bond(Body, frozen=True, tag="bond"):
    """Bond `amount` free credits."""

    amount: Positive


class Unbond(Body, frozen=True, tag="unbond"):
    """Take `amount` of one's bond back: it is free `unbonding_ms` of agreed time later."""

    amount: Positive


class Offer(Body, frozen=True, tag="offer"):
    """The capabilities this agent offers from now on; an empty list withdraws it."""

    capabilities: Annotated[
        tuple[OfferedCapability, ...], msgspec.Meta(max_length=CAPABILITIES_MAX)
    ]


class TaskSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One task: run `capability` on the blob `input` for at most `budget` credits.

    `duration_ms` is the time from opening to the deadline, in agreed time.
    """

    capability: Digest
    input: Digest
    input_bytes: BlobBytes
    budget: Positive
    duration_ms: Positive
    terms: TaskTerms = TaskTerms()


class OpenTasks(Body, frozen=True, tag="open_tasks"):
    """Open tasks. `receipts` are signed statements that together show f+1 members holding each
    input blob. `pool` credits are split among the excellent executions of these tasks."""

    tasks: Annotated[tuple[TaskSpec, ...], msgspec.Meta(min_length=1, max_length=ITEMS_MAX)]
    receipts: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=RECEIPTS_MAX)]
    pool: Amount = 0


class BidCommitment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sealed bid: compute_bid_commitment(...), or None to pass."""

    task: Digest
    round: Round
    commitment: Digest | None


class CommitBids(Body, frozen=True, tag="commit_bids"):
    bids: Annotated[tuple[BidCommitment, ...], msgspec.Meta(min_length=1, max_length=ITEMS_MAX)]


class BidOpening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    task: Digest
    round: Round
    price: Positive
    salt: Salt


class RevealBids(Body, frozen=True, tag="reveal_bids"):
    bids: Annotated[tuple[BidOpening, ...], msgspec.Meta(min_length=1, max_length=ITEMS_MAX)]


class WorkCommitment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sealed result digest, or a judge's sealed score; None with `failure` when the capability
    gave no result."""

    task: Digest
    round: Round
    commitment: Digest | None
    failure: Name | None


class CommitWork(Body, frozen=True, tag="commit_work"):
    works: Annotated[tuple[WorkCommitment, ...], msgspec.Meta(min_length=1, max_length=ITEMS_MAX)]


class WorkOpening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The result's digest. Signing it says: I hold these bytes."""

    task: Digest
    round: Round
    output: Digest
    output_bytes: BlobBytes
    salt: Salt


class RevealWork(Body, frozen=True, tag="reveal_work"):
    """Open sealed results. `receipts` together show f+1 members holding each output that nobody
    runs again."""

    works: Annotated[tuple[WorkOpening, ...], msgspec.Meta(min_length=1, max_length=ITEMS_MAX)]
    receipts: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=RECEIPTS_MAX)] = ()


class Held(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose statements a member holds for one overdue phase. In the place of a task may stand a
    general auction, with round 0."""

    task: Digest
    round: Round
    phase: AnyPhase
    parties: Annotated[tuple[Key, ...], msgspec.Meta(max_length=256)]


class Inventory(Body, frozen=True, tag="inventory"):
    """A member's signed inventory of overdue phases. q of them close a phase; whoever stands in
    f+1 of them must have been ordered before, so that a leader cannot leave anyone out."""

    held: Annotated[tuple[Held, ...], msgspec.Meta(min_length=1, max_length=ITEMS_MAX)]


EvidenceBytes = Annotated[bytes, msgspec.Meta(max_length=EVIDENCE_BYTES_MAX)]


class Accuse(Body, frozen=True, tag="accuse"):
    """Two statements of one member that contradict each other (`protocols/pbft/evidence.py`)."""

    first: EvidenceBytes
    second: EvidenceBytes


class FormCommittee(Body, frozen=True, tag="form_committee"):
    """Propose a committee of these members, each with `bond` and `free` credits there.

    It is formed once each of them has consented, `duration_ms` of agreed time from now at latest.
    """

    name: CommitteeName
    members: Annotated[tuple[Key, ...], msgspec.Meta(min_length=1, max_length=MEMBERS_MAX)]
    bond: Amount
    free: Amount
    duration_ms: Positive


class ConsentCommittee(Body, frozen=True, tag="consent_committee"):
    """Belong to a proposed committee, and move the credits of its terms there. The id covers the
    proposal with all its terms (`compute_formed_id`)."""

    committee: CommitteeId


class Export(Body, frozen=True, tag="export"):
    """Send `amount` free credits to the account `to` in another committee: the one that formed
    this one, or one that this one formed."""

    committee: CommitteeId
    to: Key
    amount: Positive


class Crossing(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A transfer as the committee that it comes from numbered it; `operation` is its id."""

    number: Positive
    operation: Digest
    account: Key
    to: Key
    amount: Positive


class Import(Body, frozen=True, tag="import"):
    """Credit the next transfers from another committee.

    `proof` is a light proof of the last one's `exported`. Without transfers it proves no fact, and
    renews what is known of the other's members.
    """

    proof: Annotated[bytes, msgspec.Meta(max_length=IMPORT_PROOF_BYTES_MAX)]
    crossings: Annotated[tuple[Crossing, ...], msgspec.Meta(max_length=ITEMS_MAX)]


class AccuseCommittee(Body, frozen=True, tag="accuse_committee"):
    """Two certificates of another committee for different heads at one position."""

    committee: CommitteeId
    first: EvidenceBytes
    second: EvidenceBytes


class JoinCommittee(Body, frozen=True, tag="join_committee", omit_defaults=True):
    """Become a member: the signature is the joiner's consent. `bond` free credits are bonded with
    it. Its program executes every version up to `semantics`, which is left out of the bytes where
    it is 1. Where it listens stands in its agent card."""

    bond: Amount
    semantics: Semantics = 1


class LeaveCommittee(Body, frozen=True, tag="leave_committee"):
    """Be a member no longer. What is bonded stays bonded until it is taken back (`Unbond`)."""


AnyBody = (
    Transfer
    | Bond
    | Unbond
    | Offer
    | OpenTasks
    | CommitBids
    | RevealBids
    | CommitWork
    | RevealWork
    | Inventory
    | Accuse
    | FormCommittee
    | ConsentCommittee
    | Export
    | Import
    | AccuseCommittee
    | JoinCommittee
    | LeaveCommittee
    | OpenAuction
    | CancelAuction
    | CommitAuctionBid
    | RevealAuctionBid
    | PlaceBid
    | AcceptPrice
    | Deliver
    | AcceptDelivery
    | OpenVariable
    | SetVariable
    | CommitReport
    | RevealReport
    | Heartbeat
    | RevealScores
    | AcceptWork
    | CancelTask
    | SubmitSolution
    | AnnounceSemantics
    | ConsentUpgrade
)


class Operation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The payload of an `operation` statement."""

    nonce: Annotated[int, msgspec.Meta(ge=1, le=schema.U63_MAX)]
    body: AnyBody


class Receipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The payload of a `receipt` statement: its signer, a member, holds these blobs."""

    blobs: Annotated[tuple[Digest, ...], msgspec.Meta(min_length=1, max_length=ITEMS_MAX)]


def decode_operation(payload: bytes) -> Operation:
    """Raises InvalidCbor or InvalidSchema."""
    return schema.decode(payload, Operation, size_max=OPERATION_BYTES_MAX)
