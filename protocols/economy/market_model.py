"""The market as data: the market of a capability, and a variable under way."""

import hashlib
from collections.abc import Iterable
from typing import Literal

import msgspec

from crdt.facts_market import VariableTerms
from identity import cbor

VariableStage = Literal["auction", "term", "report", "report_reveal"]


class PriceBucket(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The awards of one part of the halt's window: their number and what they came to."""

    index: int
    total: int
    awards: int


class Market(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The market of one capability, from its first award on.

    `interval` is the one that `awarded` counts in; `in_force` agreements stood at its beginning.
    """

    capability: bytes
    price: int
    interval: int
    in_force: int
    awarded: int = 0
    buckets: tuple[PriceBucket, ...] = ()
    """The newest last; at most `prices.BUCKETS_MAX` + 1."""
    off_since_ms: int | None = None
    """Since when every awarded price was far from the mean."""
    halted_until_ms: int | None = None


class SealedReport(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    member: bytes
    commitment: bytes
    objective_ppm: int | None = None


class Variable(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A variable under way. `pool` is its part of the sponsor's escrow. `deadline_ms` is when the
    stage ends; in an auction, the auction's own deadlines count and it is 0."""

    id: bytes
    sponsor: bytes
    terms: VariableTerms
    value: int
    pool: int
    stage: VariableStage = "auction"
    deadline_ms: int = 0
    round: int = 1
    auction: bytes = bytes(32)
    holder: bytes | None = None
    reward_max: int = 0
    changes: int = 0
    """How often the holder has set the value in this term."""
    reports: tuple[SealedReport, ...] = ()
    """Ascending by member."""


def find_right(variables: Iterable[Variable], auction: bytes) -> Variable | None:
    """The variable whose right is sold in an auction, or None."""
    return next((each for each in variables if each.auction == auction), None)


def compute_variable_id(network: bytes, committee: bytes, sponsor: bytes, nonce: int) -> bytes:
    """The id of the variable that its sponsor opened by the operation it numbered `nonce`."""
    content = ["econode/variable", network, committee, sponsor, nonce]
    return hashlib.sha256(cbor.encode(content)).digest()


def compute_right_id(variable: bytes, round_: int) -> bytes:
    """The id of the auction of the right to set a variable in its term number `round_`."""
    return hashlib.sha256(cbor.encode(["econode/variable-right", variable, round_])).digest()
