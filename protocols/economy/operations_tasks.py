"""Operations of tasks beyond bids and sealed results: heartbeats, scores, the requester's word,
cancellation."""

from typing import Annotated

import msgspec

from crdt.facts_tasks import Ppm, Round, Score
from identity.schema import Digest, Salt
from protocols.economy.body import Body

BEATS_MAX = 64


class Beat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The executor of this agreement is alive; `progress_ppm` of the work is done, it says."""

    task: Digest
    round: Round
    progress_ppm: Ppm


class Heartbeat(Body, frozen=True, tag="heartbeat"):
    """Signs of life for several agreements. Progress never goes back."""

    beats: Annotated[tuple[Beat, ...], msgspec.Meta(min_length=1, max_length=BEATS_MAX)]


class ScoreOpening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A judge's score, which it sealed before (`CommitWork`, `compute_score_commitment`)."""

    task: Digest
    round: Round
    score: Score
    salt: Salt


class RevealScores(Body, frozen=True, tag="reveal_scores"):
    scores: Annotated[tuple[ScoreOpening, ...], msgspec.Meta(min_length=1, max_length=BEATS_MAX)]


class AcceptWork(Body, frozen=True, tag="accept_work"):
    """The requester's word on a delivered result: it pays `paid_ppm` of the price, 0 rejects it.
    What is not paid burns."""

    task: Digest
    round: Round
    paid_ppm: Ppm


class CancelTask(Body, frozen=True, tag="cancel_task"):
    """The requester takes its task back: for nothing until it is awarded, for a share of the price
    while it is being worked on, and not at all once the result is sealed."""

    task: Digest
