"""What happens in one simulated world: everything that a seed decides, as plain values.

A plan is made from its seed before the world starts, so a fault can be left out of it and the
rest stays as it was: that is how a failure is shrunk. Times are simulated milliseconds since the
start of the world. Faults happen in the safety phase; then everything is healed, but Byzantine
members stay what they are.
"""

from random import Random
from typing import Literal, get_args

import msgspec

from protocols.committee import compute_faults

FaultKind = Literal[
    "power_loss",
    "cut",
    "partition",
    "pause",
    "clock_jump",
    "disk_full",
    "loss_burst",
    "corrupt_burst",
    "delay_burst",
    "deaf",
    "link_drop",
]
PowerLoss = Literal["idle", "before_sync", "torn", "after_sync", "half_sent"]
Behaviour = Literal["twins", "mutate", "silent", "slow", "selective", "equivocate", "censor"]
ViewLie = Literal[
    "no_certificates", "one_less", "nulls", "false_base", "false_certificates", "repeated"
]
"""Lies in VIEW-CHANGEs and NEW-VIEWs (`mutate_views.py`)."""
Habit = Literal[ViewLie, "boast", "restless", "another_batch", "weak_proofs", "false_state"]
VIEW_LIES: tuple[ViewLie, ...] = get_args(ViewLie)
HABITS: tuple[Habit, ...] = get_args(Habit)
POWER_LOSSES: tuple[PowerLoss, ...] = get_args(PowerLoss)
BEFORE_LOAD = "before_load"
"""A power loss after the last chunk of a fetched state is on disk, and before it is loaded."""
BEHAVIOURS: tuple[Behaviour, ...] = get_args(Behaviour)
LostKind = Literal[
    "prepare",
    "odd_prepare",
    "commit",
    "head",
    "checkpoint",
    "propose",
    "view_change",
    "new_view",
    "batches",
    "body",
]
LOST_KINDS: tuple[LostKind, ...] = (
    *("prepare", "prepare", "commit", "commit", "commit", "head", "head", "checkpoint"),
    *("propose", "propose", "view_change", "new_view", "batches", "body", "odd_prepare"),
)
"""What a deaf member does not hear (`deafness.py`), the more interesting kinds more than once."""
PRIMARY = -1
"""In a fault's nodes: whoever leads the highest view when the fault begins."""
SAFETY_MS = 30_000
HEALED_MS = 30_000
HEALED_MS_MAX = 400_000
COMMITS_MIN = 50
"""Batches that every healed seed must have committed."""
FAULTS_MAX = 10
STORM_MS = 3_500
STORM_SHARE = 0.2
CHANGES_SHARE = 0.2
AWAY_SHARE = 0.12
HIDDEN_SHARE = 0.15
UNSTABLE_SHARE = 0.02
SKEW_MS_MAX = 50
JUMP_MS_MAX = 3_600_000


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fault from `at_ms` until `until_ms`. `nodes` are indexes of members, or `PRIMARY`;
    `value` and `detail` depend on the kind (see `faults.py`)."""

    kind: FaultKind
    at_ms: int
    until_ms: int
    nodes: tuple[int, ...] = ()
    value: int = 0
    detail: str = ""


class Byzantine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A member that does not keep to the protocol."""

    node: int
    behaviour: Behaviour
    habit: Habit | None = None
    """What one that mutates does again and again, beside its other changes."""
    alike: bool = False
    """One that mutates tells everybody the same, not something new to each."""


class Change(msgspec.Struct, frozen=True):
    """A member's wish to join the committee or to leave it. Nodes from `n` on are spare ones: they
    follow from the start and are members once they have joined."""

    at_ms: int
    node: int
    kind: Literal["join", "leave"]


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """How every link behaves; shares in millionths of frames."""

    delay_ms: int = 1
    jitter_ms: int = 4
    loss_ppm: int = 0
    duplicate_ppm: int = 0
    reorder_ppm: int = 0
    corrupt_ppm: int = 0


HEALED_LINK = Link()
SLOW_LINK = Link(delay_ms=200, jitter_ms=200)
"""A healed network may be slow all the same: timers must grow until they fit."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A world from start to end."""

    seed: int
    n: int
    safety_ms: int = SAFETY_MS
    healed_ms: int = HEALED_MS
    healed_ms_max: int = HEALED_MS_MAX
    commits_min: int = COMMITS_MIN
    link: Link = Link()
    healed_link: Link = HEALED_LINK
    sync_ms: int = 0
    """Time that a synced write takes; 0 is at once."""
    skews_ms: tuple[int, ...] = ()
    operation_pause_ms: int = 1_000
    operations_at_once: int = 1
    pipelines: bool = False
    """The primary proposes again while something is in flight, whatever waits."""
    clients: int = 1
    """Paying clients; each submits `operations_at_once` every pause."""
    hearers: tuple[int, ...] = ()
    """Members that paying clients reach; empty when they reach everybody."""
    has_tasks: bool = False
    checkpoint_batches: int = 20
    chunk_bytes: int = 0
    """Size of the chunks of states; 0 is the product's."""
    transfer_batches_min: int = 0
    """Who is further behind fetches a state, which is kept at every checkpoint then; 0 is the
    product's own choice."""
    byzantine: tuple[Byzantine, ...] = ()
    faults: tuple[Fault, ...] = ()
    spares: int = 0
    changes: tuple[Change, ...] = ()
    tells_links: bool = False
    """Whether members are told when the process of another one ends or starts."""
    accuses: bool = False
    """Whether who sees evidence has it ordered, so that the offender is expelled."""

    def count_faults(self) -> int:
        return len(self.faults) + len(self.byzantine)


def make_plan(seed: int, n: int, *, safety_ms: int = SAFETY_MS) -> Plan:
    """The plan of a seed for a committee of `n`; the same on every machine."""
    random = Random(seed * 1_000 + n)
    byzantine = _choose_byzantine(random, n)
    pipelines = random.random() < 0.15
    plan = Plan(
        seed=seed,
        n=n,
        safety_ms=safety_ms,
        link=_choose_link(random),
        healed_link=SLOW_LINK if random.random() < 0.05 else HEALED_LINK,
        sync_ms=random.choice((0, 0, 1, 2, 10)),
        skews_ms=tuple(random.randint(-SKEW_MS_MAX, SKEW_MS_MAX) for _ in range(n)),
        pipelines=pipelines,
        operations_at_once=random.choice((2, 4)) if pipelines else 1,
        clients=2 if any(b.behaviour == "censor" for b in byzantine) else 1,
        has_tasks=random.random() < 0.1,
        checkpoint_batches=random.choice((10, 20)),
        byzantine=byzantine,
        faults=_choose_faults(random, n, safety_ms, {b.node for b in byzantine}),
        transfer_batches_min=random.choice((0, 1, 5)),
    )
    plan = plan if plan.has_tasks else _change_members(random, plan)
    plan = msgspec.structs.replace(plan, tells_links=random.random() < 0.6)
    plan = _send_away(random, plan) if random.random() < AWAY_SHARE else plan
    plan = _hide_clients(random, plan)
    return _keep_unstable(random, plan) if random.random() < UNSTABLE_SHARE else plan


def _send_away(random: Random, plan: Plan) -> Plan:
    """One member is down for long, and fetches a state of many small chunks when it comes back."""
    honest = sorted(set(range(plan.n)) - {liar.node for liar in plan.byzantine})
    away = Fault(
        kind="power_loss",
        at_ms=random.choice((200, 5_000)),
        until_ms=random.randrange(plan.safety_ms // 2, plan.safety_ms),
        nodes=(random.choice(honest),),
        detail="idle",
    )
    again = (_interrupt_load(random, plan, away),) if random.random() < 0.3 else ()
    faults = (away, *again, *plan.faults)
    faults = tuple(sorted(faults, key=lambda f: (f.at_ms, f.until_ms, f.kind)))
    liars = plan.byzantine
    if liars and liars[0].behaviour == "mutate" and random.random() < 0.7:
        liars = (msgspec.structs.replace(liars[0], habit="false_state"), *liars[1:])
    return msgspec.structs.replace(
        plan,
        faults=faults,
        byzantine=liars,
        checkpoint_batches=random.choice((5, 10)),
        transfer_batches_min=1,
        chunk_bytes=random.choice((256, 1_024)),
    )


def _keep_unstable(random: Random, plan: Plan) -> Plan:
    """No checkpoint becomes stable until everybody loses power with a full window."""
    everybody = tuple(range(plan.n + plan.spares))
    loss_ms = random.randrange(plan.safety_ms // 2, plan.safety_ms - 2_000)
    until_ms = loss_ms + random.choice((50, 1_000))
    deaf = Fault(kind="deaf", at_ms=0, until_ms=until_ms, nodes=everybody, detail="checkpoint")
    loss = Fault(
        kind="power_loss", at_ms=loss_ms, until_ms=until_ms, nodes=everybody, detail="idle"
    )
    faults = tuple(sorted((*plan.faults, deaf, loss), key=lambda f: (f.at_ms, f.until_ms, f.kind)))
    return msgspec.structs.replace(plan, faults=faults, checkpoint_batches=5)


def _interrupt_load(random: Random, plan: Plan, away: Fault) -> Fault:
    """Who came back loses power once more, with all that it fetched; back soon enough to find the
    same state offered."""
    until_ms = away.until_ms + random.choice((800, 1_500, 4_000))
    return Fault(
        kind="power_loss",
        at_ms=away.until_ms + 1,
        until_ms=min(plan.safety_ms, until_ms),
        nodes=away.nodes,
        detail=BEFORE_LOAD,
    )


def _hide_clients(random: Random, plan: Plan) -> Plan:
    """In some worlds paying clients know f+1 honest members only. That is enough: one that leaves
    a view takes the others along. Whoever is known must stay a member."""
    if plan.changes or plan.accuses or random.random() >= HIDDEN_SHARE:
        return plan
    honest = sorted(set(range(plan.n)) - {liar.node for liar in plan.byzantine})
    known = random.sample(honest, compute_faults(plan.n) + 1)
    return msgspec.structs.replace(plan, hearers=tuple(sorted(known)))


def _change_members(random: Random, plan: Plan) -> Plan:
    """In some worlds spare nodes join, members leave and offenders are expelled. Whoever may
    leave leaves enough of them for as many liars as there are."""
    accuses = bool(plan.byzantine) and random.random() < 0.5
    if random.random() >= CHANGES_SHARE:
        return msgspec.structs.replace(plan, accuses=accuses)
    n, latest_ms = plan.n, plan.safety_ms - 2_000
    spares = random.randint(1, 2)
    changes = [Change(random.randrange(1_000, latest_ms), n + i, "join") for i in range(spares)]
    if compute_faults(n - 1) >= len(plan.byzantine):
        goes = random.choice([*range(n), *range(n, n + spares)])
        changes.append(Change(random.randrange(2_000, latest_ms), goes, "leave"))
    changes.sort(key=lambda change: (change.at_ms, change.node))
    return msgspec.structs.replace(plan, spares=spares, changes=tuple(changes), accuses=accuses)


def _choose_byzantine(random: Random, n: int) -> tuple[Byzantine, ...]:
    f = compute_faults(n)
    count = random.choice((0, *range(1, f + 1), f)) if f else 0
    nodes = random.sample(range(n), count)
    first = random.choice((0, 0, 1, None))
    if nodes and first is not None and first not in nodes:
        nodes[0] = first  # who leads the first views can do most harm
    nodes.sort()
    liars = tuple(_choose_liar(random, node) for node in nodes)
    if liars and liars[0].habit is not None and 1 not in nodes and random.random() < 0.6:
        # Who lies about the views that it leaves, or leads, leads the second one.
        second = msgspec.structs.replace(liars[0], node=1)
        liars = tuple(sorted((second, *liars[1:]), key=lambda liar: liar.node))
    return liars


def _choose_liar(random: Random, node: int) -> Byzantine:
    behaviour = random.choice((*BEHAVIOURS, "mutate", "mutate"))
    if behaviour != "mutate":
        return Byzantine(node, behaviour)
    habit = random.choice((None, None, *HABITS))
    return Byzantine(node, behaviour, habit, random.random() < 0.5)


def _choose_link(random: Random) -> Link:
    """Half of the worlds have a plain network, so that other faults show by themselves."""
    if random.random() < 0.5:
        return Link(delay_ms=random.choice((0, 1, 5)), jitter_ms=random.choice((0, 3, 10)))
    return Link(
        delay_ms=random.choice((1, 5, 40)),
        jitter_ms=random.choice((5, 20, 200)),
        loss_ppm=random.choice((0, 1_000, 20_000, 100_000)),
        duplicate_ppm=random.choice((0, 10_000, 50_000)),
        reorder_ppm=random.choice((0, 50_000, 500_000)),
        corrupt_ppm=random.choice((0, 0, 1_000, 10_000)),
    )


def _choose_faults(random: Random, n: int, safety_ms: int, liars: set[int]) -> tuple[Fault, ...]:
    """Clocks may jump on as many members as may be faulty together with the liars."""
    if random.random() < STORM_SHARE:
        return _make_storm(random, n, safety_ms)
    jumpers = [node for node in range(n) if node not in liars]
    random.shuffle(jumpers)
    jumpers = jumpers[: max(0, compute_faults(n) - len(liars))]
    count = random.choice((0, 1, 2, 3, 5, FAULTS_MAX))
    faults: list[Fault] = []
    for _ in range(count):
        at_ms = random.randrange(200, safety_ms - 100)
        if faults and random.random() < 0.5:
            # Close to the one before: what happens during a view change is worth the most.
            at_ms = min(safety_ms - 100, faults[-1].at_ms + random.randrange(3_000))
        faults.append(_choose_fault(random, n, at_ms, safety_ms, jumpers))
    return tuple(sorted(faults, key=lambda fault: (fault.at_ms, fault.until_ms, fault.kind)))


def _make_storm(random: Random, n: int, safety_ms: int) -> tuple[Fault, ...]:
    """One primary after another is cut off, or its proposals get no further than a phase."""
    faults: list[Fault] = []
    for at_ms in range(500, safety_ms - STORM_MS, STORM_MS):
        until_ms = at_ms + random.choice((1_000, 2_600, STORM_MS))
        kind: FaultKind = random.choice(("partition", "pause", "power_loss", "deaf", "deaf"))
        nodes: tuple[int, ...] = (PRIMARY,)
        detail = ""
        if kind == "power_loss":
            detail = random.choice(POWER_LOSSES)
        elif kind == "deaf":
            spared = random.choice((-1, random.randrange(n)))
            nodes = tuple(node for node in range(n) if node != spared)
            detail = random.choice(("prepare", "odd_prepare", "commit", "propose", "new_view"))
        faults.append(Fault(kind=kind, at_ms=at_ms, until_ms=until_ms, nodes=nodes, detail=detail))
        if random.random() < 0.5:
            # What a view change carries is little when heads are certified at once.
            everybody = tuple(range(n))
            until_ms = at_ms + STORM_MS
            faults.append(
                Fault(kind="deaf", at_ms=at_ms, until_ms=until_ms, nodes=everybody, detail="head")
            )
    return tuple(faults)


def _choose_fault(random: Random, n: int, at_ms: int, safety_ms: int, jumpers: list[int]) -> Fault:
    node = PRIMARY if random.random() < 0.4 else random.randrange(n)
    until_ms = min(safety_ms, at_ms + random.choice((50, 400, 1_500, 4_000, 10_000)))
    kinds: tuple[FaultKind, ...] = (
        *("power_loss", "power_loss", "power_loss", "cut", "cut", "partition", "partition"),
        *("pause", "disk_full", "loss_burst", "corrupt_burst", "delay_burst"),
        *("deaf", "deaf", "deaf", "link_drop"),
        *(("clock_jump",) if jumpers else ()),
    )
    kind = random.choice(kinds)
    match kind:
        case "power_loss":
            # Sometimes everybody at once: a common socket.
            everyone = random.random() < 0.3
            nodes = tuple(range(n)) if everyone else (node,)
            detail: str = random.choice(POWER_LOSSES)
            return Fault(kind=kind, at_ms=at_ms, until_ms=until_ms, nodes=nodes, detail=detail)
        case "cut" | "link_drop":
            other = random.randrange(n)
            nodes = random.choice(((node, other), (other, node)))
            return Fault(kind=kind, at_ms=at_ms, until_ms=until_ms, nodes=nodes)
        case "partition":
            size = random.randrange(1, max(2, n))
            nodes = tuple(sorted(random.sample(range(n), size)))
            if random.random() < 0.4:
                nodes = (PRIMARY,)
            return Fault(kind=kind, at_ms=at_ms, until_ms=until_ms, nodes=nodes)
        case "clock_jump":
            value = random.choice((-JUMP_MS_MAX, -5_000, 5_000, JUMP_MS_MAX))
            node = random.choice(jumpers)  # not the primary as such: it may be an honest clock
            return Fault(kind=kind, at_ms=at_ms, until_ms=until_ms, nodes=(node,), value=value)
        case "deaf":
            size = random.choice((1, n, random.randrange(1, n + 1)))
            nodes = tuple(sorted(random.sample(range(n), size)))
            lost = random.choice(LOST_KINDS)
            return Fault(kind=kind, at_ms=at_ms, until_ms=until_ms, nodes=nodes, detail=lost)
        case "loss_burst" | "corrupt_burst" | "delay_burst":
            value = random.choice((20_000, 100_000, 400_000))
            return Fault(kind=kind, at_ms=at_ms, until_ms=until_ms, value=value)
    return Fault(kind=kind, at_ms=at_ms, until_ms=until_ms, nodes=(node,))
