"""Families on graphs: land in regions, arbitrary complements, and paths between cities."""

import heapq
import itertools
import random
from collections.abc import Callable

from devnet.bench.cats.instance import Instance, to_mask

SUBSTITUTES_MAX = 5
ADDITIONAL_LOCATION = 0.9
JUMP = 0.05
ADDITIVITY = 0.2
DEVIATION = 0.5
BUDGET_FACTOR = 1.5
RESALE_FACTOR = 0.5
GOOD_VALUE_MAX = 100
REMOVED_NEIGHBOUR = 0.1
DIAGONAL = 0.2
CITY_EDGES = 2
SHIPPING_COST_FACTOR = 1.5
BUILDING_PENALTY = 1.7
ATTEMPTS_A_BID = 50

Weights = list[list[float]]
"""How well two goods go together; 0 where they are no neighbours."""


def fill_regions(instance: Instance, rng: random.Random) -> None:
    """Plots of land in a grid, of which some lines are missing and some diagonals added."""
    _fill_complements(instance, rng, _make_grid(instance.goods, rng))


def fill_arbitrary(instance: Instance, rng: random.Random) -> None:
    """Any two goods may go together, each pair as well as chance has it."""
    n = instance.goods
    weights = [[0.0] * n for _ in range(n)]
    for a, b in itertools.combinations(range(n), 2):
        weights[a][b] = weights[b][a] = rng.random()
    _fill_complements(instance, rng, weights)


def _make_grid(goods: int, rng: random.Random) -> Weights:
    width = max(1, int(goods**0.5))
    weights = [[0.0] * goods for _ in range(goods)]
    for a in range(goods):
        row, column = divmod(a, width)
        for down, right, chance in (
            (0, 1, 1 - REMOVED_NEIGHBOUR),
            (1, 0, 1 - REMOVED_NEIGHBOUR),
            (1, 1, DIAGONAL),
            (1, -1, DIAGONAL),
        ):
            b = (row + down) * width + column + right
            inside = 0 <= column + right < width and b < goods
            if inside and rng.random() < chance:
                weights[a][b] = weights[b][a] = 1.0
    return weights


def _fill_complements(instance: Instance, rng: random.Random, weights: Weights) -> None:
    """Bidders with a first bundle grown from a good they like, and substitutes of similar worth."""
    n = instance.goods
    common = [rng.randint(1, GOOD_VALUE_MAX) for _ in range(n)]
    for _ in range(ATTEMPTS_A_BID * instance.bids_wanted):
        if instance.complete:
            return
        private = [rng.uniform(-DEVIATION, DEVIATION) * GOOD_VALUE_MAX for _ in range(n)]

        def value_of(bundle: frozenset[int], private: list[float] = private) -> float:
            return sum(common[g] + private[g] for g in bundle) + len(bundle) ** (1 + ADDITIVITY)

        liking = [(private[g] + DEVIATION * GOOD_VALUE_MAX) for g in range(n)]
        first = _grow(rng.choices(range(n), liking)[0], None, liking, weights, rng)
        worth = value_of(first)
        if worth <= 0:
            continue
        budget = BUDGET_FACTOR * worth
        resale_min = RESALE_FACTOR * sum(common[g] for g in first)
        others = {_grow(good, len(first), liking, weights, rng) for good in sorted(first)}
        ranked = sorted(others - {first}, key=lambda b: (-value_of(b), sorted(b)))
        bundles = {to_mask(first): worth}
        for bundle in ranked:
            if len(bundles) > SUBSTITUTES_MAX:
                break
            price = value_of(bundle)
            if 0 < price <= budget and sum(common[g] for g in bundle) >= resale_min:
                bundles[to_mask(bundle)] = price
        instance.add(bundles)


def _grow(
    good: int, size: int | None, liking: list[float], weights: Weights, rng: random.Random
) -> frozenset[int]:
    """From one good to its neighbours, by liking and by how well they go with the bundle."""
    bundle = {good}
    while len(bundle) < len(liking):
        if len(bundle) >= size if size is not None else rng.random() > ADDITIONAL_LOCATION:
            break
        rest = [g for g in range(len(liking)) if g not in bundle]
        if rng.random() < JUMP:
            bundle.add(rng.choice(rest))
            continue
        pull = [liking[g] * sum(weights[g][other] for other in bundle) for g in rest]
        if not any(pull):
            break
        bundle.add(rng.choices(rest, pull)[0])
    return frozenset(bundle)


def fill_paths(instance: Instance, rng: random.Random) -> None:
    """Goods are links between cities; a bidder wants one of the short ways from here to there."""
    cities, links = _make_roads(instance.goods, rng)
    for _ in range(ATTEMPTS_A_BID * instance.bids_wanted):
        if instance.complete:
            return
        start, end = rng.sample(range(len(cities)), 2)
        straight = _distance(cities[start], cities[end])
        worth = rng.uniform(straight, SHIPPING_COST_FACTOR * straight)
        bundles: dict[int, float] = {}
        for length, way in _list_ways(links, start, end, worth):
            bundles[way] = worth - length + straight * 0.1
        if bundles:
            instance.add(bundles)


def _make_roads(
    goods: int, rng: random.Random
) -> tuple[list[tuple[float, float]], dict[int, list[tuple[int, int, float]]]]:
    """Cities on a square and `goods` links: to the nearest, and where detours are long."""
    count = max(3, goods * 2 // 5)
    cities = [(rng.random(), rng.random()) for _ in range(count)]
    pairs = sorted(
        itertools.combinations(range(count), 2), key=lambda p: _distance(cities[p[0]], cities[p[1]])
    )
    links: dict[int, list[tuple[int, int, float]]] = {city: [] for city in range(count)}
    good = 0

    def add(a: int, b: int) -> None:
        nonlocal good
        length = _distance(cities[a], cities[b])
        links[a].append((b, good, length))
        links[b].append((a, good, length))
        good += 1

    for rule in (_lacks_links, _has_long_detour, _is_unlinked):
        for a, b in pairs:
            if good < goods and _is_unlinked(links, a, b, cities) and rule(links, a, b, cities):
                add(a, b)
    return cities, links


def _lacks_links(links: dict, a: int, b: int, cities: list) -> bool:
    return min(len(links[a]), len(links[b])) < CITY_EDGES


def _has_long_detour(links: dict, a: int, b: int, cities: list) -> bool:
    straight = _distance(cities[a], cities[b])
    return next(_walk(links, a, b, BUILDING_PENALTY * straight), None) is None


def _is_unlinked(links: dict, a: int, b: int, cities: list) -> bool:
    return all(other != b for other, _, _ in links[a])


def _list_ways(links: dict, start: int, end: int, length_max: float) -> list[tuple[float, int]]:
    return list(itertools.islice(_walk(links, start, end, length_max), SUBSTITUTES_MAX))


def _walk(links: dict, start: int, end: int, length_max: float):
    """(length, goods) of ways without a circle, the shortest first."""
    heap = [(0.0, start, 0, 1 << start)]
    while heap:
        length, city, goods, seen = heapq.heappop(heap)
        if city == end:
            yield length, goods
            continue
        for other, good, more in links[city]:
            if not seen >> other & 1 and length + more <= length_max:
                heapq.heappush(heap, (length + more, other, goods | 1 << good, seen | 1 << other))


def _distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    return ((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5


FAMILIES: dict[str, Callable[[Instance, random.Random], None]] = {
    "paths": fill_paths,
    "regions": fill_regions,
    "arbitrary": fill_arbitrary,
}
