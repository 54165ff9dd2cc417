"""The attacks by name, each with its honest twin.

An attack is a coalition of accounts with one purse. To see whether it pays, the same plan is run
with the coalition honest and with the coalition cheating (`trial.py`).
"""

from dataclasses import dataclass, field
from typing import Literal

from crdt.facts import Verification
from crdt.facts_auctions import AuctionKind
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
from devnet.sim.market.goods import KINDS
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
from devnet.sim.market.plan import Extras
from devnet.sim.market.sellers import (
    CarelessHolder,
    FalseReporter,
    FickleOpener,
    IdleHolder,
    KeepingSeller,
    RubbishSeller,
    SampledLiar,
    StingyPayer,
)

Role = Literal["agent", "member", "requester", "spare", "stranger"]


NO_EXTRAS = Extras()


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
    sells: tuple[AuctionKind, ...] = ()
    """Kinds of general auctions in its worlds."""
    delivers: bool | None = False
    """Whether what is sold there is delivered; None: some is."""
    tunes: int = 0
    """Variables in its worlds."""
    extras: Extras = NO_EXTRAS
    is_by_chance: bool = False
    """Whether it pays in one world and costs in another by a draw: judged by the mean of all."""
    sets_draws_aside: bool = False
    """Whether it verifies honestly and steers no draw, so that what it earns by verifying is luck
    and does not count. Whoever does not win may be drawn, and for that nobody need attack."""
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
    "s": ("agent", "stranger"),
    "r": ("requester",),
    "x": ("spare",),
}
SEALED: tuple[AuctionKind, ...] = ("vickrey", "first_price", "multi_unit")
_SPARE: dict[Role, type[Party]] = {"spare": Idle}

ATTACKS: dict[str, Attack] = {
    attack.name: attack
    for attack in (
        Attack(
            "censoring_leader",
            "a leader that bids leaves out its rivals' bids",
            (("member", Honest),),
            leader="censor_bids",
            sets_draws_aside=True,
        ),
        Attack(
            "censoring_all",
            "a leader that bids leaves out all its rivals say",
            (("member", Honest),),
            leader="censor",
            sets_draws_aside=True,
        ),
        Attack(
            "slow_leader",
            "a leader that bids orders everything as late as it can",
            (("member", Honest),),
            leader="slow",
            sets_draws_aside=True,
        ),
        Attack(
            "grinding_leader",
            "a leader lies as executor, and tries orders until the draw suits it",
            (("member", LyingWorker),),
            leader="shuffler",
        ),
        Attack(
            "never_reveals",
            "a bidder never opens the least bid",
            (("agent", NeverReveals),),
            sets_draws_aside=True,
        ),
        Attack(
            "copied_seal",
            "a bidder seals what a rival sealed",
            (("agent", Copycat),),
            sets_draws_aside=True,
        ),
        Attack(
            "late_reveal",
            "a bidder opens after the others",
            (("agent", LateReveal),),
            sets_draws_aside=True,
        ),
        Attack(
            "sniping_bid",
            "a bidder seals and opens in the last moment",
            (("agent", Sniper),),
            leader="hasty",
            sets_draws_aside=True,
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
            is_by_chance=True,
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
            sells=SEALED,
            sets_draws_aside=True,
        ),
        Attack(
            "picky_sellers_shills",
            "a seller's sybils open those of their bids that make the thing dearer",
            (("requester", Honest), *((("spare", SellersShill),) * 4)),
            _SPARE,
            sells=("vickrey",),
            is_by_chance=True,
        ),
        Attack(
            "sniping_english",
            "a buyer bids in the last moment of an open auction",
            (("agent", EnglishSniper),),
            sells=("english",),
            is_by_chance=True,
            sets_draws_aside=True,
        ),
        Attack(
            "censored_buyers",
            "a leader that buys leaves out what its rivals seal",
            (("member", Honest),),
            leader="censor_bids",
            sells=SEALED,
            sets_draws_aside=True,
        ),
        Attack(
            "censored_english",
            "a leader that buys leaves out what its rivals bid openly",
            (("member", Honest),),
            leader="censor_bids",
            sells=("english",),
            is_by_chance=True,
            sets_draws_aside=True,
        ),
        Attack(
            "late_dutch_leader",
            "a leader that buys keeps its rivals from taking a dutch price",
            (("member", Honest),),
            leader="censor_bids",
            sells=("dutch",),
            sets_draws_aside=True,
        ),
        Attack(
            "stingy_buyer",
            "a buyer pays next to nothing for what was delivered",
            (("agent", StingyPayer),),
            sells=KINDS,
            delivers=True,
        ),
        Attack(
            "stingy_opener",
            "whoever buys in a reverse auction pays next to nothing",
            (("requester", StingyPayer),),
            sells=KINDS,
            delivers=True,
        ),
        Attack(
            "kept_goods",
            "a seller keeps what it sold",
            (("requester", KeepingSeller),),
            sells=KINDS,
            delivers=True,
        ),
        Attack(
            "undelivered_goods",
            "a bidder in reverse auctions never delivers",
            (("agent", KeepingSeller),),
            sells=KINDS,
            delivers=True,
        ),
        Attack(
            "rubbish_goods",
            "a seller delivers something else",
            (("requester", RubbishSeller),),
            sells=KINDS,
            delivers=True,
        ),
        Attack(
            "idle_holder",
            "a holder of a variable sets nothing",
            (("stranger", IdleHolder),),
            tunes=2,
        ),
        Attack(
            "careless_holder",
            "a holder sets any value",
            (("stranger", CarelessHolder),),
            tunes=2,
        ),
        Attack(
            "praised_holder",
            "a careless holder, and a member that praises it and nobody else",
            (("stranger", CarelessHolder), ("member", FalseReporter)),
            tunes=2,
        ),
        Attack(
            "sampled_liar",
            "an executor lies where results are verified by sample",
            (("agent", SampledLiar),),
            extras=Extras(audit_one_in=1),
            is_by_chance=True,
        ),
        Attack(
            "fickle_opener",
            "whoever opened an auction takes it back",
            (("requester", FickleOpener),),
            sells=KINDS,
            delivers=None,
            is_tried=False,
        ),
        Attack("missed_lease", "an executor lets its lease pass", (("agent", Sleeper),)),
        Attack(
            "slow_executor",
            "an executor seals in the last moment",
            (("agent", SlowExecutor),),
            sets_draws_aside=True,
        ),
        Attack(
            "bid_flood",
            "a bidder floods every auction",
            (("agent", Flooder),),
            sets_draws_aside=True,
        ),
        Attack(
            "lying_inventory",
            "a member's inventories leave out its rivals; it leads so, too",
            (("member", LyingInventory),),
            leader="censor",
            sets_draws_aside=True,
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

KNOWN = frozenset({"lazy_judge", "late_dutch_leader"})
"""Attacks that pay. An opinion cannot be checked against anything but others' opinions, so a judge
that agrees without looking is paid like those that look. A dutch price falls while a leader holds
back its rivals' acceptances, until it is replaced. docs/market-trial.md."""
