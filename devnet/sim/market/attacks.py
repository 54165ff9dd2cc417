"""The attacks by name, each with its honest twin.

An attack is a coalition of accounts with one purse. To see whether it pays, the same plan is run
with the coalition honest and with the coalition cheating (`trial.py`).
"""

from dataclasses import dataclass, field
from typing import Literal

from crdt.facts import Verification
from devnet.sim.market.buyers import EnglishSniper, SellersShill, SilentBuyer
from devnet.sim.market.cheats import (
    Copycat,
    CopyingVerifier,
    CoverBidder,
    Flooder,
    Honest,
    Hostile,
    Idle,
    LateReveal,
    LyingInventory,
    LyingVerifier,
    LyingWorker,
    NeverReveals,
    OpenReserve,
    PickyShill,
    SecretSealer,
    SelfDealer,
    Shill,
    ShyLiar,
    Sleeper,
    SlowExecutor,
    Sniper,
    Withholder,
)
from devnet.sim.market.judging import (
    FriendlyJudge,
    HarshJudge,
    JunkDealer,
    LateCanceller,
    LazyJudge,
    Miser,
    Miserly,
    Rejecter,
)
from devnet.sim.market.party import Party

Role = Literal["agent", "member", "requester", "spare"]


@dataclass(frozen=True, slots=True)
class Attack:
    """`cast`: the role and class of each cheat; `twins`: the class that takes its place where the
    coalition is honest; `leader`: how its members lead."""

    name: str
    what: str
    cast: tuple[tuple[Role, type[Party]], ...]
    twins: dict[Role, type[Party]] = field(default_factory=dict)
    leader: str | None = None
    modes: tuple[Verification, ...] = ("exact",)
    sells: bool = False
    is_tried: bool = True
    """Whether it is run beside its honest twin; else it only takes part in brawls."""

    def get_party(self, name: str, *, attacking: bool) -> type[Party]:
        """The class of the party called `name`."""
        role = ROLES[name[0]]
        if attacking:
            return next(kind for part, kind in self.cast if part in role)
        return next((kind for part, kind in self.twins.items() if part in role), Honest)


ROLES: dict[str, tuple[Role, ...]] = {
    "m": ("agent", "member"),
    "s": ("agent",),
    "r": ("requester",),
    "x": ("spare",),
}
_SPARE: dict[Role, type[Party]] = {"spare": Idle}

ATTACKS: dict[str, Attack] = {
    attack.name: attack
    for attack in (
        Attack(
            "censoring_leader",
            "a leader that bids leaves out its rivals' bids",
            (("member", Honest),),
            leader="censor_bids",
        ),
        Attack(
            "censoring_all",
            "a leader that bids leaves out all its rivals say",
            (("member", Honest),),
            leader="censor",
        ),
        Attack(
            "slow_leader",
            "a leader that bids orders everything as late as it can",
            (("member", Honest),),
            leader="slow",
        ),
        Attack(
            "grinding_leader",
            "a leader lies as executor, and tries orders until the draw suits it",
            (("member", LyingWorker),),
            leader="shuffler",
        ),
        Attack("never_reveals", "a bidder never opens the least bid", (("agent", NeverReveals),)),
        Attack("copied_seal", "a bidder seals what a rival sealed", (("agent", Copycat),)),
        Attack("late_reveal", "a bidder opens after the others", (("agent", LateReveal),)),
        Attack(
            "sniping_bid",
            "a bidder seals and opens in the last moment",
            (("agent", Sniper),),
            leader="hasty",
        ),
        Attack(
            "sybil_bids",
            "a bidder's sybils bid beside it",
            (("agent", Honest), ("spare", CoverBidder), ("spare", CoverBidder)),
            _SPARE,
        ),
        Attack(
            "shill_bid",
            "a requester's sybil bids a reserve",
            (("requester", Honest), ("spare", Shill)),
            _SPARE | {"requester": OpenReserve},
        ),
        Attack(
            "picky_shills",
            "a requester's sybils open those of their bids that make the work cheaper",
            (("requester", Honest), *((("spare", PickyShill),) * 4)),
            _SPARE,
        ),
        Attack("self_dealing", "a requester bids for its own task", (("requester", SelfDealer),)),
        Attack("copying_verifier", "a verifier copies results", (("member", CopyingVerifier),)),
        Attack("lying_verifier", "a verifier says anything", (("member", LyingVerifier),)),
        Attack("lying_executor", "an executor says anything", (("agent", LyingWorker),)),
        Attack("shy_liar", "a liar is silent once it would be caught", (("agent", ShyLiar),)),
        Attack("withheld_output", "an executor never opens its result", (("agent", Withholder),)),
        Attack(
            "withheld_delivery",
            "an executor seals a result and gives nobody the bytes",
            (("agent", Miser),),
            modes=("judged", "accepted"),
        ),
        Attack(
            "silent_executor",
            "an executor wins and is never heard again, heartbeats included",
            (("agent", Sleeper),),
            modes=("accepted",),
        ),
        Attack(
            "junk_delivery",
            "an executor delivers junk to a panel",
            (("agent", JunkDealer),),
            modes=("judged",),
        ),
        Attack(
            "rejects_everything",
            "a requester rejects every result",
            (("requester", Rejecter),),
            modes=("accepted",),
        ),
        Attack(
            "pays_a_crumb",
            "a requester pays a hundredth of the price",
            (("requester", Miserly),),
            modes=("accepted",),
        ),
        Attack(
            "cancels_late",
            "a requester cancels just before the result is sealed",
            (("requester", LateCanceller),),
            modes=("exact", "accepted"),
        ),
        Attack(
            "off_the_median",
            "a judge gives the lowest score to everybody",
            (("agent", HarshJudge),),
            modes=("judged",),
        ),
        Attack(
            "lazy_judge",
            "a judge scores without looking",
            (("agent", LazyJudge),),
            modes=("judged",),
        ),
        Attack(
            "sybil_panel",
            "an executor delivers junk, and its sybils judge",
            (("agent", JunkDealer), *((("spare", FriendlyJudge),) * 4)),
            _SPARE,
            modes=("judged",),
        ),
        Attack(
            "buyer_never_opens",
            "a buyer seals high bids and never opens them",
            (("agent", SilentBuyer),),
            sells=True,
        ),
        Attack(
            "picky_sellers_shills",
            "a seller's sybils open those of their bids that make the thing dearer",
            (("requester", Honest), *((("spare", SellersShill),) * 4)),
            _SPARE,
            sells=True,
        ),
        Attack(
            "sniping_english",
            "a buyer bids in the last moment of an open auction",
            (("agent", EnglishSniper),),
            sells=True,
        ),
        Attack("missed_lease", "an executor lets its lease pass", (("agent", Sleeper),)),
        Attack("slow_executor", "an executor seals in the last moment", (("agent", SlowExecutor),)),
        Attack("bid_flood", "a bidder floods every auction", (("agent", Flooder),)),
        Attack(
            "lying_inventory",
            "a member's inventories leave out its rivals; it leads so, too",
            (("member", LyingInventory),),
            leader="censor",
        ),
        Attack(
            "secret_seal",
            "a party shows its bids to Byzantine members alone",
            (("agent", SecretSealer),),
            leader="hasty",
            is_tried=False,
        ),
        Attack(
            "hostile",
            "a party does anything",
            (("agent", Hostile),),
            leader="shuffler",
            is_tried=False,
        ),
    )
}

KNOWN = frozenset({"lazy_judge"})
"""Attacks that pay, and why: an opinion cannot be checked against anything but others' opinions,
so a judge that agrees without looking is paid like those that look. docs/market-trial.md."""
