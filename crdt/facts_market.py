"""Facts about the market as a whole: posted prices, halts, and variables that agents set."""

from typing import Annotated, Literal

import msgspec

from crdt.moves import Fact
from identity.schema import U63, Amount, Digest, Key, Name, Positive, Text, TimeMs

PPM = 1_000_000
CHOICES_MAX = 64
TERMS_MAX = 1_000
CHANGES_MAX = 64

Share = Annotated[int, msgspec.Meta(ge=0, le=PPM)]
"""Millionths of a whole."""


class PricePosted(Fact, frozen=True, tag="price_posted"):
    """The price of a capability from now on, and the numbers it follows from.

    `agreements` were in force at the start of the interval or awarded in it, of `capacity` that the
    offering agents had room for. `intervals` have passed since the last time; in all but the first
    of them only what was in force at the end counted. With 0 of them the price is that of the first
    award.
    """

    capability: Digest
    price: Positive
    former: Amount
    agreements: Amount
    capacity: Amount
    utilisation_ppm: Amount
    intervals: Amount


class MarketHalted(Fact, frozen=True, tag="market_halted"):
    """No auction of the capability opens before the deadline. `price` was awarded at last, while
    `awards` before it within the window came to `total`; since `since_ms` no awarded price was
    near their mean."""

    capability: Digest
    price: Positive
    total: Amount
    awards: Amount
    since_ms: TimeMs
    deadline_ms: TimeMs


class MarketReopened(Fact, frozen=True, tag="market_reopened"):
    """The halt is over; `tasks` waited, and the same batch opens the auctions of as many of them as
    agents have room for."""

    capability: Digest
    tasks: Amount


class VariableTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a variable is and what its holders are paid for. Durations are agreed time.

    - `choices`: the values by name, and a value is the place of one of them; empty: a value is one
      of `low`, `low` + `step`, ... up to `high`.
    - `pool`: what the sponsor puts into the pool; what holders pay for the right joins it.
    - `rounds`: auctions of the right, one after the other; the variable closes after the last term.
    - `bid_ms`, `reveal_ms`, `reserve`, `cap`: of each auction (forward, Vickrey): its phases, the
      least price, and the most that a bid may name, which is a sealed bid's deposit.
    - `deposit`: what the holder stands to lose. `changes_max`: how often it may set the value in
      a term.
    - `reward_ppm`: share of the pool at the beginning of a term that it can earn; it is paid times
      the median of the reported objective.
    - `objective_min_ppm`: below it `missed_slash_ppm` of the deposit burns and nothing is paid;
      `unset_slash_ppm` burns when the holder did not set the value at all.
    - `report_fee`: paid from the pool to each member whose report is within `tolerance_ppm` of the
      median.
    """

    name: Name
    text: Text = ""
    choices: Annotated[tuple[Name, ...], msgspec.Meta(max_length=CHOICES_MAX)] = ()
    low: U63 = 0
    high: U63 = 0
    step: Positive = 1
    initial: U63
    pool: Amount
    rounds: Annotated[int, msgspec.Meta(ge=1, le=TERMS_MAX)]
    term_ms: Positive
    bid_ms: Positive
    reveal_ms: Positive
    reserve: Positive
    cap: Positive
    deposit: Amount
    changes_max: Annotated[int, msgspec.Meta(ge=1, le=CHANGES_MAX)] = 1
    reward_ppm: Share = 100_000
    objective_min_ppm: Share = 0
    missed_slash_ppm: Share = 500_000
    unset_slash_ppm: Share = PPM
    report_fee: Amount = 0
    tolerance_ppm: Share = 50_000


class VariableOpened(Fact, frozen=True, tag="variable_opened"):
    """A variable by these terms; its pool is in the sponsor's escrow."""

    variable: Digest
    sponsor: Key
    terms: VariableTerms


class TermBegan(Fact, frozen=True, tag="term_began"):
    """`holder` won the right to set the variable until the deadline and paid `price` into the pool;
    its deposit is locked. Nobody holds it (None) when the auction had no winner, or one without the
    deposit. `reward_max` is what the term can earn."""

    variable: Digest
    round: Positive
    holder: Key | None
    price: Amount
    reward_max: Amount
    deadline_ms: TimeMs


class VariableSet(Fact, frozen=True, tag="variable_set"):
    """The holder set the value."""

    variable: Digest
    round: Positive
    holder: Key
    value: U63


class ReportsAsked(Fact, frozen=True, tag="reports_asked"):
    """The term is over: members seal what they measured until the deadline."""

    variable: Digest
    round: Positive
    deadline_ms: TimeMs


class ReportCommitted(Fact, frozen=True, tag="report_committed"):
    variable: Digest
    round: Positive
    member: Key
    commitment: Digest


class ReportsClosed(Fact, frozen=True, tag="reports_closed"):
    """No further report counts; those that were sealed are opened until the deadline."""

    variable: Digest
    round: Positive
    deadline_ms: TimeMs


class ReportRevealed(Fact, frozen=True, tag="report_revealed"):
    variable: Digest
    round: Positive
    member: Key
    objective_ppm: Share


TermOutcome = Literal["met", "missed", "unset", "unmeasured"]


class TermEnded(Fact, frozen=True, tag="term_ended"):
    """How a holder's term ended. met: paid `reward`. missed: the objective was too low. unset: the
    holder never set the value. unmeasured: too few members reported; nothing is paid, nothing
    burns. `slashed` is what burned of the deposit; the rest is free again."""

    variable: Digest
    round: Positive
    holder: Key
    outcome: TermOutcome
    value: U63
    objective_ppm: Share | None
    reporters: tuple[Key, ...]
    reward: Amount
    slashed: Amount


class VariableClosed(Fact, frozen=True, tag="variable_closed"):
    """The last term is over: the rest of the pool goes back to the sponsor. The value stands."""

    variable: Digest
    value: U63
