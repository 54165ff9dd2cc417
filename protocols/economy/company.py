"""Operations that come in company: what several parties say at once, all in answer to one batch.

Who orders them had better wait a moment until the last of them is there, so that they share a round
instead of taking two. Only latency depends on it: whoever stays away is not waited for.
"""

from collections.abc import Iterable

from protocols.economy.body import Body
from protocols.economy.operations import (
    CommitBids,
    CommitWork,
    Operation,
    RevealBids,
    RevealWork,
)
from protocols.economy.operations_auctions import CommitAuctionBid, RevealAuctionBid
from protocols.economy.operations_tasks import RevealScores
from protocols.economy.stages import Stages


def awaits_company(stages: Stages, operations: Iterable[tuple[bytes, Operation]]) -> bool:
    """True while every one of `operations`, by their signers, is of this sort, and some stage that
    they speak in waits for one more party's word."""
    said: dict[bytes, set[bytes]] = {}
    for signer, operation in operations:
        subjects = _list_subjects(operation.body)
        if not subjects:
            return False
        for subject in subjects:
            said.setdefault(subject, set()).add(signer)
    return any(_waits_for_more(stages, subject, parties) for subject, parties in said.items())


def _waits_for_more(stages: Stages, subject: bytes, parties: set[bytes]) -> bool:
    staged = stages.find_staged(subject)
    return staged is not None and not parties.issuperset(staged.waiting)


def _list_subjects(body: Body) -> tuple[bytes, ...]:
    """The tasks and auctions that a body of this sort is about."""
    match body:
        case CommitBids(bids=items) | RevealBids(bids=items):
            return tuple(item.task for item in items)
        case CommitWork(works=items) | RevealWork(works=items) | RevealScores(scores=items):
            return tuple(item.task for item in items)
        case CommitAuctionBid() | RevealAuctionBid():
            return (body.auction,)
    return ()
