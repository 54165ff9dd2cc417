"""What a node tells its owner of the views of a committee's log: why scores are what they are,
who offers what, and which facts moved an account's credits. The contract is `NodeService`'s."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol

from node.answer import Answer, FactDocument

SNAPSHOTS_EXPLAINED_MAX = 100
CARDS_PER_PAGE_MAX = 500
STAKE_FACTS_PER_PAGE_MAX = 100


class Score(Answer, frozen=True):
    """An agent's score, and the masses that it follows from."""

    peer_id: str
    good: int
    bad: int
    score_ppm: int
    banned: bool


class Reputation(Answer, frozen=True):
    """Scores of the last ordered snapshot, best first."""

    snapshot: int
    root: str
    scores: tuple[Score, ...]
    next: str | None = None


class Masses(Answer, frozen=True):
    """An agent's good and bad mass."""

    good: int
    bad: int


class ScoreReceipt(Answer, frozen=True):
    """One reason for a score: the fact at `item` of the entry at `position`. `rater` is whoever
    asked for the work, None for a proven offence; the grade follows from the committee's rules.
    `amount` is the agreement's price, or the bond that was slashed. Of `good` and `bad` a snapshot
    counts `counted_ppm` millionths, each rounded down: the rater's share, all of an offence."""

    task: str | None
    position: int
    item: int
    round: int
    grade: str
    rater: str | None
    amount: int
    good: int
    bad: int
    counted_ppm: int


class ScoreRater(Answer, frozen=True):
    """What a rater handed out in a period, good and bad, to all agents; what it was allowed to, at
    the least; and the share of each of its receipts that counts:

    share_ppm = min(10^6, allowance * 10^6 // handed)
    """

    peer_id: str
    handed: int
    allowance: int
    share_ppm: int


class ScorePeriod(Answer, frozen=True):
    """What the snapshot ordered at `position` folded; both None for what counts at the next one,
    with what that would give if it came now. With what is counted of the receipts:

    after.good = before.good * 63 // 64 + sum(good * counted_ppm // 10^6)
    after.bad = before.bad * 255 // 256 + sum(bad * counted_ppm // 10^6)
    score_ppm = 10^6 * after.good // (after.good + after.bad + 10^6)
    """

    snapshot: int | None
    position: int | None
    before: Masses
    receipts: tuple[ScoreReceipt, ...]
    raters: tuple[ScoreRater, ...]
    after: Masses
    score_ppm: int


class Explanation(Answer, frozen=True):
    """Why an agent has its score after the entry at `position`: periods, oldest first. `whole`:
    they begin with the genesis, not with what a later snapshot says. `weight_ppm` is the factor
    of its bids that follows from the score."""

    peer_id: str
    position: int
    score_ppm: int
    weight_ppm: int
    banned: bool
    whole: bool
    periods: tuple[ScorePeriod, ...]


CardState = Literal["good", "expired", "frozen"]
"""Frozen: its author is proven to have forked its log."""


class CardCapability(Answer, frozen=True):
    """A capability that a card names."""

    id: str
    name: str
    version: str


class Card(Answer, frozen=True):
    """What an agent says of itself, in the signed entry at `position` of its own log whose hash is
    `entry`; and beside that its score and its standing bond in the committee. `price_hint` and
    `addresses` are claims that bind nobody."""

    peer_id: str
    state: CardState
    score_ppm: int
    bonded: int
    price_hint: int
    expires_ms: int
    addresses: tuple[str, ...]
    capabilities: tuple[CardCapability, ...]
    position: int
    entry: str


class Cards(Answer, frozen=True):
    """Good cards, the best score first, then the lowest price. `found` counts those that were not
    shown as well."""

    cards: tuple[Card, ...]
    found: int
    next: str | None = None


class StakeHeader(Answer, frozen=True):
    """A header of the committee's log; with the committee's id its SHA-256 is the entry's hash."""

    position: int
    previous: str
    time_ms: int
    root: str


class StakeFact(Answer, frozen=True):
    """A fact that names an account or moves its credits, with what proves it: `data` is leaf
    `item` of `count` under the root of the first of `headers`, by the audit path `path`; the last
    of `headers` is what the certificate at its position certifies. Without a certificate yet,
    `headers` holds the fact's own alone."""

    position: int
    item: int
    count: int
    fact: FactDocument
    data: str
    path: tuple[str, ...]
    headers: tuple[StakeHeader, ...]
    certified: int | None


class StakeFacts(Answer, frozen=True):
    """An account's facts, newest first, and by position the certificates that prove them (hex).
    `next` is the cursor of the page after this one, None at the end. `not_held` are positions,
    first and last, that this node does not hold."""

    account: str
    facts: tuple[StakeFact, ...]
    certificates: dict[str, str]
    next: str | None
    not_held: tuple[tuple[int, int], ...]


class ViewsUpdate(Answer, frozen=True):
    """A Yjs v1 update (base64) that leads to the views after the entry at `position`. The first
    one of a stream holds the whole document; an update may come again, which changes nothing."""

    position: int
    update: str


class ViewsWatch(Protocol):
    """A watch of the document of one committee's views."""

    async def next(self) -> tuple[int, tuple[bytes, ...]]:
        """(position, Yjs v1 updates); waits for one. A cancelled call loses none."""
        ...


class ViewsService(Protocol):
    """The views of one committee. See NodeService for what holds for all methods."""

    async def reputation(
        self, agent: str | None, limit: int | None = None, cursor: str | None = None
    ) -> Reputation:
        """Scores of all agents or of one, the best first; at most `limit`."""
        ...

    async def explain(self, agent: str, snapshots: int) -> Explanation:
        """Why the agent has its score, by its newest `snapshots` snapshots. Problem:
        too-many-receipts."""
        ...

    async def find_cards(
        self,
        capability: str | None,
        score_min: int,
        bond_min: int,
        price_max: int | None,
        limit: int,
        cursor: str | None = None,
    ) -> Cards:
        """Agents with a good card that offer `capability` (a name or an id) and pass every
        filter."""
        ...

    async def card(self, agent: str) -> Card:
        """An agent's card, good or not. Problem: not-found."""
        ...

    async def stake_facts(self, account: str, limit: int, cursor: str | None) -> StakeFacts:
        """Facts about an account with their proofs, newest first."""
        ...

    def watch_views(self) -> AbstractContextManager[ViewsWatch]:
        """The document of the views, and what becomes of it."""
        ...


def sort_scores(scores: Sequence[Score]) -> tuple[Score, ...]:
    """The best first."""
    return tuple(sorted(scores, key=lambda score: (-score.score_ppm, score.peer_id)))
