"""Four ways to make scores of the same history, and what each would have decided.

`product` is the committee's own reputation. `unweighted` is the same fold without the bound on
what a rater hands out. `average` and `eigentrust` are baselines from the literature.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from crdt.facts import Fact, Settled, Snapshot
from crdt.reputation import PPM, ReputationView, compute_weight
from devnet.experiments.attacks import BUDGET, Town
from devnet.experiments.baselines import Rating, average, eigentrust
from devnet.experiments.population import Auction
from identity.schema import U63_MAX
from protocols.auction.mechanisms import Bid, award_reverse

SCHEMES = ("product", "unweighted", "average", "eigentrust")
Scores = Mapping[bytes, int]
"""Scores in ppm, 0 to 1000000; whoever is missing has 0."""


@dataclass(slots=True)
class History:
    """What all schemes see. Feed it every fact and rating in order."""

    ratings: list[Rating] = field(default_factory=list)
    unweighted: ReputationView = field(default_factory=ReputationView)

    def add(self, facts: Sequence[Fact], ratings: Sequence[Rating]) -> None:
        self.ratings += ratings
        for fact in facts:
            if isinstance(fact, Snapshot):
                self.unweighted.apply(self.unweighted.compute_snapshot())
            elif isinstance(fact, Settled):
                self.unweighted.apply(msgspec.structs.replace(fact, allowance=U63_MAX))
            else:
                self.unweighted.apply(fact)

    def compute_scores(self, town: Town) -> dict[str, Scores]:
        """The scores of each scheme now."""
        peers = {*town.founders, *town.honest, *town.attackers}
        mean = {key: round(PPM * value) for key, value in average(self.ratings).items()}
        return {
            "product": _read(town.reputation),
            "unweighted": _read(self.unweighted),
            "average": mean,
            "eigentrust": _scale(eigentrust(self.ratings, peers, town.founders), town.founders),
        }


def _read(view: ReputationView) -> Scores:
    return {score.agent: score.score_ppm for score in view.scores()}


def _scale(trust: Mapping[bytes, float], founders: Collection[bytes]) -> Scores:
    """EigenTrust's shares of 1 as scores: half for the mean of whoever is trusted and is no
    founder, at most 1. The founders' own trust says nothing of the others."""
    others = [value for key, value in trust.items() if value > 0 and key not in founders]
    unit = 2 * sum(others) / len(others) if others else 1.0
    return {key: min(PPM, round(PPM * value / unit)) for key, value in trust.items()}


def count_wins(
    auctions: Sequence[Auction], scores: Scores, bidders: Collection[bytes]
) -> tuple[int, int]:
    """How many of these auctions `bidders` win with these scores, by the product's rule, and how
    many somebody wins. Bids are costs whatever the scores: under that rule no other bid pays."""
    won = sold = 0
    for auction in auctions:
        bids = [
            Bid(bidder, price, compute_weight(scores.get(bidder, 0)))
            for bidder, price in sorted(auction.prices.items())
        ]
        awards = award_reverse(bids, BUDGET, auction.seed, auction.task)
        sold += len(awards)
        won += sum(award.bidder in bidders for award in awards)
    return won, sold
