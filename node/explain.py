"""Reads out of the ledger why an agent has its score."""

from collections.abc import AsyncIterator

import msgspec

from crdt.explain import Explanation, Period, Reason, find_score
from crdt.facts import Fact, Snapshot, decode_fact
from identity.keys import compute_peer_id
from node.ledger import Ledger
from node.problem import Problem
from node.service_views import Masses, ScorePeriod, ScoreRater, ScoreReceipt

SNAPSHOTS_PER_READ = 8
"""Each may hold the scores of 10,000 agents."""
FACTS_PER_READ = 500
FACTS_READ_MAX = 20_000
"""Settlements, offences and mints looked at for one explanation: everybody's."""
_KINDS = ("minted", "settled", "slashed")

_Place = tuple[int, int]
"""Position and item."""


class Explainer:
    """Explains scores of one committee by its log, as far as that is held."""

    def __init__(self, ledger: Ledger, committee: bytes) -> None:
        self._ledger, self._committee = ledger, committee

    async def explain(self, agent: bytes, snapshots: int) -> tuple[int, bool, tuple[Period, ...]]:
        """(position, whole, periods) by the newest `snapshots` snapshots; whole: they begin with
        the genesis. Raises Problem, or InvalidSnapshot for a ledger that contradicts itself."""
        last = await self._ledger.get_last(self._committee)
        end = -1 if last is None else last[0]
        gaps = await self._ledger.read_gaps(self._committee)
        held = gaps[-1][1] + 1 if gaps else 0
        newest = await self._read_snapshots(agent, held, end, snapshots + 1)
        whole = not gaps and len(newest) <= snapshots
        if not newest and not whole:
            raise Problem(
                "not-held",
                "no snapshot was ordered since the state that this node fetched",
                remedy="ask a node that holds the log, or again after the next snapshot",
                status=409,
            )
        begin = None if whole else newest.pop(0)
        fold = Explanation(agent, None if begin is None else begin[1])
        after = (-1, 0) if begin is None else begin[0]
        facts = [(place, fact) async for place, fact in self._read_facts(after, end)]
        for place, fact in sorted([*facts, *newest], key=lambda each: each[0]):
            fold.apply(*place, fact)
        return end, whole, fold.get_periods()

    async def _read_snapshots(
        self, agent: bytes, start: int, end: int, count: int
    ) -> list[tuple[_Place, Snapshot]]:
        """The newest `count` snapshots from position `start` to `end`, oldest first, each with
        the agent's line alone."""
        found: list[tuple[_Place, Snapshot]] = []
        after = (end + 1, 0)
        while len(found) < count:
            rows = await self._ledger.read_facts(
                self._committee,
                count_max=min(SNAPSHOTS_PER_READ, count - len(found)),
                after=after,
                kind="snapshot",
                newest_first=True,
            )
            for row in rows:
                fact = decode_fact(row.data)
                if row.position < start or not isinstance(fact, Snapshot):
                    return found[::-1]
                score = find_score(fact, agent)
                line = msgspec.structs.replace(fact, scores=() if score is None else (score,))
                found.append(((row.position, row.item), line))
            if not rows:
                break
            after = found[-1][0]
        return found[::-1]

    async def _read_facts(self, after: _Place, end: int) -> AsyncIterator[tuple[_Place, Fact]]:
        """Facts behind `after` that touch scores: everybody's, since raters share out what they
        hand to all."""
        count = 0
        for kind in _KINDS:
            place: _Place | None = after
            while place is not None:
                rows = await self._ledger.read_facts(
                    self._committee, count_max=FACTS_PER_READ, after=place, kind=kind
                )
                count += len(rows)
                if count > FACTS_READ_MAX:
                    raise Problem(
                        "too-many-receipts",
                        f"more than {FACTS_READ_MAX} settlements are behind that",
                        remedy="ask for fewer snapshots",
                        status=409,
                    )
                for row in rows:
                    if row.position <= end:
                        yield (row.position, row.item), decode_fact(row.data)
                full = len(rows) == FACTS_PER_READ and rows[-1].position <= end
                place = (rows[-1].position, rows[-1].item) if full else None


def describe_period(period: Period) -> ScorePeriod:
    return ScorePeriod(
        snapshot=period.number,
        position=period.position,
        before=Masses(good=period.before.good, bad=period.before.bad),
        receipts=tuple(map(_describe_reason, period.reasons)),
        raters=tuple(
            ScoreRater(
                peer_id=compute_peer_id(rater),
                handed=handed.mass,
                allowance=handed.allowance,
                share_ppm=handed.share_ppm,
            )
            for rater, handed in sorted(period.raters.items())
        ),
        after=Masses(good=period.after.good, bad=period.after.bad),
        score_ppm=period.score_ppm,
    )


def _describe_reason(reason: Reason) -> ScoreReceipt:
    receipt = reason.receipt
    return ScoreReceipt(
        task=None if receipt.task is None else receipt.task.hex(),
        position=reason.position,
        item=reason.item,
        round=receipt.round,
        grade=receipt.grade,
        rater=None if receipt.rater is None else compute_peer_id(receipt.rater),
        amount=reason.amount,
        good=receipt.good,
        bad=receipt.bad,
        counted_ppm=receipt.counted_ppm or 0,
    )
