"""The schema of facts: what a committee's log says happened.

A fact is an event that a committed operation (or the agreed time) produced. Whatever credits it
moves stand in `moves`, each from one bucket to another, so every fact balances by construction
and the stake view (`crdt/stake.py`) needs to know nothing else of it.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import msgspec

from crdt.facts_auctions import AuctionBegan as AuctionBegan
from crdt.facts_auctions import AuctionBidCommitted as AuctionBidCommitted
from crdt.facts_auctions import AuctionBidRevealed as AuctionBidRevealed
from crdt.facts_auctions import AuctionBidsClosed as AuctionBidsClosed
from crdt.facts_auctions import AuctionCancelled as AuctionCancelled
from crdt.facts_auctions import AuctionEnded as AuctionEnded
from crdt.facts_auctions import AuctionPhase as AuctionPhase
from crdt.facts_auctions import BidPlaced as BidPlaced
from crdt.facts_auctions import Delivered as Delivered
from crdt.facts_auctions import DeliveryEnded as DeliveryEnded
from crdt.facts_committees import BorderFrozen as BorderFrozen
from crdt.facts_committees import BorderRenewed as BorderRenewed
from crdt.facts_committees import CommitteeConsented as CommitteeConsented
from crdt.facts_committees import CommitteeFormed as CommitteeFormed
from crdt.facts_committees import CommitteeLapsed as CommitteeLapsed
from crdt.facts_committees import CommitteeProposed as CommitteeProposed
from crdt.facts_committees import Exported as Exported
from crdt.facts_committees import Founded as Founded
from crdt.facts_committees import FreezeReason as FreezeReason
from crdt.facts_committees import Imported as Imported
from crdt.facts_market import MarketHalted as MarketHalted
from crdt.facts_market import MarketReopened as MarketReopened
from crdt.facts_market import PricePosted as PricePosted
from crdt.facts_market import ReportCommitted as ReportCommitted
from crdt.facts_market import ReportRevealed as ReportRevealed
from crdt.facts_market import ReportsAsked as ReportsAsked
from crdt.facts_market import ReportsClosed as ReportsClosed
from crdt.facts_market import TermBegan as TermBegan
from crdt.facts_market import TermEnded as TermEnded
from crdt.facts_market import VariableClosed as VariableClosed
from crdt.facts_market import VariableOpened as VariableOpened
from crdt.facts_market import VariableSet as VariableSet
from crdt.facts_solutions import SolutionAwaited as SolutionAwaited
from crdt.facts_solutions import SolutionSubmitted as SolutionSubmitted
from crdt.facts_tasks import ROUND_MAX as ROUND_MAX
from crdt.facts_tasks import AgreementCancelled as AgreementCancelled
from crdt.facts_tasks import DeliveryBegan as DeliveryBegan
from crdt.facts_tasks import Judged as Judged
from crdt.facts_tasks import OutputHeld as OutputHeld
from crdt.facts_tasks import PoolOpened as PoolOpened
from crdt.facts_tasks import PoolSplit as PoolSplit
from crdt.facts_tasks import Progressed as Progressed
from crdt.facts_tasks import Round as Round
from crdt.facts_tasks import ScoreRevealed as ScoreRevealed
from crdt.facts_tasks import TaskTerms as TaskTerms
from crdt.facts_tasks import Verification as Verification
from crdt.facts_tasks import WorkAnswered as WorkAnswered
from crdt.facts_upgrades import Semantics as Semantics
from crdt.facts_upgrades import SemanticsAnnounced as SemanticsAnnounced
from crdt.facts_upgrades import UpgradeConsented as UpgradeConsented
from crdt.moves import COMMON as COMMON
from crdt.moves import Bucket as Bucket
from crdt.moves import Fact as Fact
from crdt.moves import Move as Move
from crdt.moves import compute_transit_account as compute_transit_account
from crdt.moves import is_transit_account as is_transit_account
from identity import cbor, schema
from identity.errors import InvalidSchema
from identity.schema import U63, Amount, Digest, Key, Name, Text, TimeMs

FACT_BYTES_MAX = 1 << 20

Grade = Literal["excellent", "satisfactory", "poor", "byzantine"]
Phase = Literal[
    "bid_commit",
    "bid_reveal",
    "lease",
    "work_commit",
    "work_reveal",
    "extra_commit",
    "extra_reveal",
    "delivery",
    "acceptance",
]
"""What a task waits for: sealed bids, opened bids, the executor; sealed results of verifiers or
scores of judges, opened ones, and these two again when the draw was escalated; the executor's
opened result where nobody runs it again; the requester's word."""
AnyPhase = Literal[Phase, AuctionPhase]


class Minted(Fact, frozen=True, tag="minted"):
    """Genesis: the allotment of one account; `founder` marks the first members."""

    account: Key
    founder: bool = False


class Charged(Fact, frozen=True, tag="charged"):
    """The fee of an operation that has no other fact to stand in; `operation` is its digest."""

    operation: Digest


class Rejected(Fact, frozen=True, tag="rejected"):
    """An ordered operation that had no effect but its fee."""

    operation: Digest
    account: Key
    reason: Name
    detail: Text


class Paid(Fact, frozen=True, tag="paid"):
    """A transfer."""

    account: Key
    to: Key
    amount: Amount


class Bonded(Fact, frozen=True, tag="bonded"):
    """Free credits became a bond."""

    account: Key
    amount: Amount


class UnbondingBegan(Fact, frozen=True, tag="unbonding_began"):
    """A part of a bond is on its way out: free from `due_ms` on, and slashed until then."""

    account: Key
    amount: Amount
    due_ms: TimeMs


class Unbonded(Fact, frozen=True, tag="unbonded"):
    """What was on its way out is free."""

    account: Key
    amount: Amount


class OfferedCapability(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One capability of an agent: its id, the name that people use, how its results are checked."""

    id: Digest
    name: Name
    version: Name
    verification: Verification = "exact"


class Offered(Fact, frozen=True, tag="offered"):
    """What an agent offers from now on, in place of what it offered before."""

    agent: Key
    capabilities: tuple[OfferedCapability, ...]


class Paused(Fact, frozen=True, tag="paused"):
    """An agent that missed a deadline is invited to nothing until it offers again."""

    agent: Key


class TaskOpened(Fact, frozen=True, tag="task_opened"):
    """A task with its budget in escrow. `verification` is how its result will be checked: the
    terms' own, or `judged` where they allow it and too few could verify."""

    task: Digest
    requester: Key
    capability: Digest
    input: Digest
    input_bytes: Amount
    budget: Amount
    deadline_ms: TimeMs
    verification: Verification = "exact"
    terms: TaskTerms = TaskTerms()


class AuctionOpened(Fact, frozen=True, tag="auction_opened"):
    """The reverse auction of a task's round, with the invited bidders and the weights of their
    bids: with them the result can be computed again from the log alone."""

    task: Digest
    round: Round
    bidders: tuple[Key, ...]
    weights_ppm: tuple[Amount, ...]
    deadline_ms: TimeMs


class BidCommitted(Fact, frozen=True, tag="bid_committed"):
    """A sealed bid (`commitment`) with its deposit, or a pass (None)."""

    task: Digest
    round: Round
    bidder: Key
    commitment: Digest | None


class BidsClosed(Fact, frozen=True, tag="bids_closed"):
    """No further bid counts; revealing begins. `seed`, the digest of the batch that closed them,
    breaks ties."""

    task: Digest
    round: Round
    seed: Digest
    deadline_ms: TimeMs


class BidRevealed(Fact, frozen=True, tag="bid_revealed"):
    task: Digest
    round: Round
    bidder: Key
    price: Amount


class TaskBid(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An opened bid for a task that counted when its round was awarded."""

    bidder: Key
    price: Amount
    weight_ppm: Amount


class Awarded(Fact, frozen=True, tag="awarded"):
    """The auction's result: an agreement. `price` is what the winner is paid. It follows from
    `budget`, `seed` and `bids` in this fact alone (`protocols/auction/verify.py`)."""

    task: Digest
    round: Round
    winner: Key
    bid: Amount
    price: Amount
    deadline_ms: TimeMs
    budget: Amount
    seed: Digest
    bids: tuple[TaskBid, ...]


class Unsold(Fact, frozen=True, tag="unsold"):
    """The round ended without an agreement: no bid that counts, or the winner was banned."""

    task: Digest
    round: Round


class WorkCommitted(Fact, frozen=True, tag="work_committed"):
    """A party holds a result and is bound to it."""

    task: Digest
    round: Round
    party: Key
    commitment: Digest


class WorkFailed(Fact, frozen=True, tag="work_failed"):
    """A party says that its capability gave no result."""

    task: Digest
    round: Round
    party: Key
    reason: Name


class VerifiersDrawn(Fact, frozen=True, tag="verifiers_drawn"):
    """Who re-executes, or judges; `seed` is the digest that the draw came from."""

    task: Digest
    round: Round
    seed: Digest
    verifiers: tuple[Key, ...]
    escalated: bool
    deadline_ms: TimeMs


class WorkClosed(Fact, frozen=True, tag="work_closed"):
    """No further commitment counts; revealing begins."""

    task: Digest
    round: Round
    deadline_ms: TimeMs


class WorkRevealed(Fact, frozen=True, tag="work_revealed"):
    """`party` holds the output named by `output`: a signed receipt for it, too."""

    task: Digest
    round: Round
    party: Key
    output: Digest
    output_bytes: Amount


class Accepted(Fact, frozen=True, tag="accepted"):
    """Enough distinct parties hold identical output: that digest is the result."""

    task: Digest
    round: Round
    output: Digest
    output_bytes: Amount
    holders: tuple[Key, ...]


class Undecided(Fact, frozen=True, tag="undecided"):
    """Too few identical results, and nobody is proven wrong: the agreement ends without a grade."""

    task: Digest
    round: Round
    executor: Key


class Settled(Fact, frozen=True, tag="settled"):
    """The graded end of an agreement; `moves` holds every payment."""

    task: Digest
    round: Round
    executor: Key
    grade: Grade
    price: Amount
    rater: Key
    """Who asked for the task."""
    allowance: Amount
    """The reputation that the rater may hand out until the next snapshot; `reputation.py`."""


class TaskEnded(Fact, frozen=True, tag="task_ended"):
    """The end of a task; what is left in escrow goes back to the requester."""

    task: Digest
    outcome: Literal["settled", "failed", "cancelled"]
    output: Digest | None


class Slashed(Fact, frozen=True, tag="slashed"):
    """A proven offence: the bond burns, once per offence, and the offender is banned. `task` is
    the one it lied on, None for contradicting votes."""

    offender: Key
    offence: Digest
    task: Digest | None
    amount: Amount


class MemberJoined(Fact, frozen=True, tag="member_joined"):
    """An account will be a member from the next epoch on; `bond` is what it bonded for that."""

    account: Key
    bond: Amount


class MemberLeft(Fact, frozen=True, tag="member_left"):
    """A member will be none from the next epoch on. Its bond stays bonded."""

    account: Key


class EpochBegan(Fact, frozen=True, tag="epoch_began", omit_defaults=True):
    """The last fact of the batch that ends an epoch: who orders what follows this position, and
    by which version of the semantics it is executed.

    `expelled` are the members that left because they were slashed. `semantics` is left out of the
    bytes where it is 1.
    """

    epoch: U63
    members: tuple[Key, ...]
    joined: tuple[Key, ...]
    left: tuple[Key, ...]
    expelled: tuple[Key, ...]
    moves: tuple[Move, ...]
    """Without a default, so that it is not left out."""
    semantics: Semantics = 1


class Score(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Reputation of one agent at a snapshot: good and bad mass, and score in ppm."""

    agent: Key
    good: Amount
    bad: Amount
    score_ppm: Amount


class Snapshot(Fact, frozen=True, tag="snapshot"):
    """Reputation as ordered code may read it until the next snapshot; `root` covers all scores."""

    number: Amount
    root: Digest
    scores: tuple[Score, ...]


AnyFact = (
    Minted
    | Charged
    | Rejected
    | Paid
    | Bonded
    | UnbondingBegan
    | Unbonded
    | Offered
    | Paused
    | TaskOpened
    | AuctionOpened
    | BidCommitted
    | BidsClosed
    | BidRevealed
    | Awarded
    | Unsold
    | WorkCommitted
    | WorkFailed
    | VerifiersDrawn
    | WorkClosed
    | WorkRevealed
    | Accepted
    | Undecided
    | Settled
    | TaskEnded
    | Slashed
    | MemberJoined
    | MemberLeft
    | EpochBegan
    | Snapshot
    | CommitteeProposed
    | CommitteeConsented
    | CommitteeFormed
    | CommitteeLapsed
    | Founded
    | Exported
    | Imported
    | BorderRenewed
    | BorderFrozen
    | AuctionBegan
    | AuctionBidCommitted
    | AuctionBidsClosed
    | AuctionBidRevealed
    | BidPlaced
    | SolutionAwaited
    | SolutionSubmitted
    | AuctionEnded
    | AuctionCancelled
    | Delivered
    | DeliveryEnded
    | PricePosted
    | MarketHalted
    | MarketReopened
    | VariableOpened
    | TermBegan
    | VariableSet
    | ReportsAsked
    | ReportCommitted
    | ReportsClosed
    | ReportRevealed
    | TermEnded
    | VariableClosed
    | PoolOpened
    | PoolSplit
    | Progressed
    | DeliveryBegan
    | OutputHeld
    | ScoreRevealed
    | Judged
    | WorkAnswered
    | AgreementCancelled
    | SemanticsAnnounced
    | UpgradeConsented
)


def encode_fact(fact: Fact) -> bytes:
    return schema.encode(fact)


_KINDS: dict[str, type[AnyFact]] = {
    str(kind.__struct_config__.tag): kind for kind in get_args(AnyFact)
}


def decode_fact(data: bytes) -> AnyFact:
    """Raises InvalidCbor or InvalidSchema.

    The class is looked up here: msgspec would take the union of all kinds apart in each call.
    """
    value = cbor.decode(data, size_max=FACT_BYTES_MAX)
    name = value.get("kind") if isinstance(value, dict) else None
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InvalidSchema("not a fact of a known kind")
    return schema.convert(value, kind)


def find_epoch_began(items: Sequence[bytes]) -> EpochBegan | None:
    """What the entry with these items says of the next epoch, if it ends one."""
    tag = EpochBegan.__struct_config__.tag
    if not items or str(tag).encode() not in items[-1]:
        return None
    fact = decode_fact(items[-1])
    return fact if isinstance(fact, EpochBegan) else None
