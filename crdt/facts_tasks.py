"""Facts about tasks beyond the re-executed ones: how a task wants to be done, heartbeats, held
results, panels, the requester's word, cancellations, bonus pools."""

from typing import Annotated, Literal

import msgspec

from crdt.moves import Fact
from identity.schema import Amount, Digest, Key, TimeMs

ROUND_MAX = 255
PANEL_MAX = 15
SCORE_MAX = 100
PPM = 1_000_000

Round = Annotated[int, msgspec.Meta(ge=0, le=ROUND_MAX)]
Ppm = Annotated[int, msgspec.Meta(ge=0, le=PPM)]
Score = Annotated[int, msgspec.Meta(ge=0, le=SCORE_MAX)]
Verification = Literal["exact", "judged", "accepted"]
"""exact: others run it again and must get the same bytes. judged: a paid panel scores the output.
accepted: the requester says what it is worth, and its silence pays in full."""
Mechanism = Literal["vickrey", "first_price"]


class TaskTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a requester wants its task done. Durations are agreed time; 0 is the network's default.

    - `verification`: what agents offer the capability with. `or_judged`: `exact` with too few
      members that could verify runs as `judged` instead of being refused.
    - `lease_ms`: how long the executor has, and a verifier after it. `grace_ms`: how much later a
      result still counts, as poor and for a part of the price.
    - `heartbeat_ms`: the executor says that it is alive at least this often; 0: it need not.
    - `accept_ms`: how long the requester may take to answer (`accepted`).
    - `panel`: judges (`judged`). `audit_ppm`: how often a result is verified at all (`exact`); less
      than always needs executors whose bonds make a lie a bad bet.
    - `mechanism`: what the winner is paid: the second price, or its own bid where seller and
      committee may collude.
    - `bonus_ppm`: the bonus of an excellent result as a share of the price; None: the network's.
    """

    verification: Verification = "exact"
    or_judged: bool = False
    lease_ms: Amount = 0
    grace_ms: Amount = 0
    heartbeat_ms: Amount = 0
    accept_ms: Amount = 0
    panel: Annotated[int, msgspec.Meta(ge=1, le=PANEL_MAX)] = 3
    audit_ppm: Annotated[int, msgspec.Meta(ge=1, le=PPM)] = PPM
    mechanism: Mechanism = "vickrey"
    bonus_ppm: Ppm | None = None


class PoolOpened(Fact, frozen=True, tag="pool_opened"):
    """A bonus pool in escrow, for the excellent executions among `tasks`, which were opened
    together. It goes by the id of the first."""

    pool: Digest
    requester: Key
    amount: Amount
    tasks: tuple[Digest, ...]


class PoolSplit(Fact, frozen=True, tag="pool_split"):
    """The last task of a pool has ended: `share` for each excellent execution, the rest goes
    back. Who did several stands several times."""

    pool: Digest
    requester: Key
    share: Amount
    winners: tuple[Key, ...]


class Progressed(Fact, frozen=True, tag="progressed"):
    """The executor is alive and, as it says, so far. Its next heartbeat, or its result, is due at
    `deadline_ms`."""

    task: Digest
    round: Round
    progress_ppm: Ppm
    deadline_ms: TimeMs


class DeliveryBegan(Fact, frozen=True, tag="delivery_began"):
    """The executor sealed its result, and nobody runs it again: now it opens it and shows that f+1
    members hold the bytes. `seed` is what a draw for an audit came from."""

    task: Digest
    round: Round
    seed: Digest
    deadline_ms: TimeMs


class OutputHeld(Fact, frozen=True, tag="output_held"):
    """f+1 members hold the executor's output: one of them is honest, so it cannot be withheld.
    `deadline_ms`: until when the requester may answer; None where others decide."""

    task: Digest
    round: Round
    output: Digest
    output_bytes: Amount
    holders: tuple[Key, ...]
    deadline_ms: TimeMs | None


class ScoreRevealed(Fact, frozen=True, tag="score_revealed"):
    """A judge opened its score."""

    task: Digest
    round: Round
    party: Key
    score: Score


class Judged(Fact, frozen=True, tag="judged"):
    """The panel's median, and the judges near enough to it to be paid."""

    task: Digest
    round: Round
    score: Score
    agreeing: tuple[Key, ...]


class WorkAnswered(Fact, frozen=True, tag="work_answered"):
    """What the requester pays of the price. What it holds back burns. `silent`: it said nothing
    until the deadline, which pays in full."""

    task: Digest
    round: Round
    requester: Key
    paid_ppm: Ppm
    silent: bool


class AgreementCancelled(Fact, frozen=True, tag="agreement_cancelled"):
    """The requester took a task back while it was being worked on: `paid` for the time spent."""

    task: Digest
    round: Round
    executor: Key
    paid: Amount
