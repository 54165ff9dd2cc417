"""Facts about further committees and the credits that cross between them."""

from typing import Literal

from crdt.moves import Fact
from identity.schema import U63, Amount, CommitteeId, Digest, Key, Name, TimeMs


class CommitteeProposed(Fact, frozen=True, tag="committee_proposed"):
    """A further committee was proposed: its members have until the deadline to consent, each
    with `bond` and `free` credits."""

    committee: CommitteeId
    account: Key
    name: Name
    members: tuple[Key, ...]
    bond: Amount
    free: Amount
    deadline_ms: TimeMs


class CommitteeConsented(Fact, frozen=True, tag="committee_consented"):
    """A named member consented; its credits wait in transit."""

    committee: CommitteeId
    account: Key


class CommitteeFormed(Fact, frozen=True, tag="committee_formed"):
    """The last member consented: the committee's genesis follows from this fact alone. What the
    members put in transit stays there, now for the committee, and is minted in it.

    `epoch`, `start` and `orderers` are the epoch of this committee that ordered the fact: whose
    certificates the new one believes first. `supply` is all that the network ever minted.
    """

    committee: CommitteeId
    name: Name
    members: tuple[Key, ...]
    bond: Amount
    free: Amount
    created_ms: TimeMs
    epoch: U63
    start: U63
    orderers: tuple[Key, ...]
    supply: Amount


class CommitteeLapsed(Fact, frozen=True, tag="committee_lapsed"):
    """Not everybody consented in time: what was in transit is free again."""

    committee: CommitteeId
    name: Name


class Founded(Fact, frozen=True, tag="founded"):
    """The first fact of a formed committee: where its parent's log says so. `fact` is the SHA-256
    of the parent's `committee_formed` in the entry at `position`."""

    parent: CommitteeId
    position: Amount
    fact: Digest


class Exported(Fact, frozen=True, tag="exported"):
    """Credits left for another committee, the `number`th time. `link` covers this transfer and all
    before it (`protocols/economy/borders.py`); `operation` is its id."""

    committee: CommitteeId
    number: U63
    operation: Digest
    account: Key
    to: Key
    amount: Amount
    link: Digest


class Imported(Fact, frozen=True, tag="imported"):
    """Credits arrived from another committee: the transfer that it exported by that number."""

    committee: CommitteeId
    number: U63
    operation: Digest
    account: Key
    to: Key
    amount: Amount


class BorderRenewed(Fact, frozen=True, tag="border_renewed"):
    """What is known of another committee's members is as new as `time_ms` of its agreed time."""

    committee: CommitteeId
    epoch: U63
    time_ms: TimeMs


FreezeReason = Literal["two_heads", "two_transfers", "overdrawn"]


class BorderFrozen(Fact, frozen=True, tag="border_frozen"):
    """More than f members of another committee are proven to lie, by the operation with this
    digest: nothing crosses in either direction any more."""

    committee: CommitteeId
    reason: FreezeReason
    operation: Digest
