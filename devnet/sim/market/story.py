"""A seed as text: who took part, and every fact of its three worlds."""

from crdt.facts import Charged, Fact, Minted
from devnet.sim.market.report import SeedVerdict
from devnet.sim.market.trial import (
    choose_attack,
    make_plan,
    run_market_seed,
)
from devnet.sim.market.world import MarketWorld

FIELDS_HIDDEN = frozenset({"moves", "scores", "root", "capabilities", "terms", "seed"})


def tell(seed: int) -> tuple[list[str], SeedVerdict]:
    """The story of a seed, and its verdict."""
    attack = choose_attack(seed)
    worlds = [
        ("brawl", MarketWorld(make_plan(seed, None)).run()),
        (f"{attack}, honest", MarketWorld(make_plan(seed, attack), attacking=False).run()),
        (attack, MarketWorld(make_plan(seed, attack)).run()),
    ]
    lines = []
    for name, world in worlds:
        plan = world.plan
        lines += [f"--- {name}: {plan.n} members, scale {plan.scale}"]
        lines += [f"cheats {dict(plan.cheats)}, leaders {dict(plan.leaders)}"]
        lines += [f"{trader}" for trader in plan.traders]
        names = {key: party.name for key, party in world.by_key.items()} | {bytes(32): ""}
        lines += [_describe(fact, names) for fact in world.log if _is_told(fact)]
        lines += [f"VIOLATION {text}" for text in world.referee.violations]
    return lines, run_market_seed(seed)


def _is_told(fact: Fact) -> bool:
    return not isinstance(fact, Minted | Charged)


def _describe(fact: Fact, names: dict[bytes, str]) -> str:
    words = [str(fact.__struct_config__.tag)]
    for field in fact.__struct_fields__:
        if field not in FIELDS_HIDDEN:
            words.append(f"{field}={_say(getattr(fact, field), names)}")
    words += [
        f"{names.get(m.source, '?')}.{m.source_bucket}>"
        f"{names.get(m.target, '?')}.{m.target_bucket} {m.amount}"
        for m in fact.moves
    ]
    return " ".join(words)


def _say(value: object, names: dict[bytes, str]) -> str:
    if isinstance(value, bytes):
        return names.get(value) or value.hex()[:8]
    if isinstance(value, tuple):
        return "[" + " ".join(_say(each, names) for each in value) + "]"
    return str(value)
