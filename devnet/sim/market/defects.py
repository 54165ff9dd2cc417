"""Mistakes that a market can make, put into the running economy: each must be found by a seed."""

from collections.abc import Callable

from crdt.stake import Unbalanced
from devnet.sim.defects.patch import Defect, applied, make
from devnet.sim.defects.search import DefectReport, Found
from devnet.sim.market.trial import make_plan, run_market_seed
from devnet.sim.market.world import MarketWorld
from devnet.sim.run import map_in_processes

CONTRACTS = "protocols.economy.contracts"
VERIFICATION = "protocols.economy.verification"
SETTLEMENT = "protocols.economy.settlement"

DEFECTS: tuple[Defect, ...] = (
    make(
        "reveal_before_close",
        "bids may be opened while others are still being sealed",
        (
            f"{CONTRACTS}:reveal_bid",
            'if task.stage != "bid_reveal":',
            'if task.stage not in ("bid_reveal", "bid_commit"):',
        ),
        (
            f"{CONTRACTS}:reveal_bid",
            "if signer not in task.waiting:",
            "if signer not in task.bids:",
        ),
        (
            "protocols.economy.books:_make_duty",
            'if kind == "reveal_bid":',
            'if kind == "bid" and me in task.bids or kind == "reveal_bid":',
        ),
        ("protocols.economy.contracts:commit_bid", "books.hear(task, signer)", "pass"),
    ),
    make(
        "deposit_returned_twice",
        "a loser's deposit comes back from the winner's, too",
        (
            f"{CONTRACTS}:award",
            "moves += return_deposits(task, spared)",
            "moves += return_deposits(task, (key for key in task.bids if key not in silent))",
        ),
    ),
    make(
        "silent_bid_is_spared",
        "who does not open its bid has its deposit back",
        (
            f"{CONTRACTS}:award",
            '(key, "locked", COMMON, "burned", task.deposit) for key in silent',
            '(key, "locked", key, "free", task.deposit) for key in silent',
        ),
    ),
    make(
        "seed_before_the_close",
        "ties are broken by something that bidders knew before they sealed",
        (f"{CONTRACTS}:close_bids", "task.seed = books.seed", "task.seed = task.id"),
    ),
    make(
        "requester_bids",
        "a requester's own key may bid",
        ("protocols.economy.books:Books.list_eligible", "and key != requester", ""),
    ),
    make(
        "price_off_by_one",
        "the winner is paid one more than the last price with which it wins",
        (
            "protocols.auction.mechanisms:award_reverse",
            "price = scaled // loser.weight_ppm",
            "price = scaled // loser.weight_ppm + 1",
        ),
    ),
    make(
        "raw_second_price",
        "the winner is paid the second price without its weight",
        (
            "protocols.auction.mechanisms:award_reverse",
            "scaled = loser.price * bid.weight_ppm",
            "scaled = loser.price * loser.weight_ppm",
        ),
    ),
    make(
        "tie_by_key",
        "ties go to the smaller key",
        (
            "protocols.auction.mechanisms:_wins_tie",
            "compute_draw(seed, auction, bid.bidder) < compute_draw(seed, auction, other.bidder)",
            "bid.bidder < other.bidder",
        ),
    ),
    make(
        "inventories_ignored",
        "a phase closes at its deadline, whoever is left out",
        (
            "protocols.auction.commit_reveal:may_close",
            "if len(inventories) < quorum:",
            "return True\n    if len(inventories) < quorum:",
        ),
        (
            "protocols.economy.lifecycle:pass_time",
            "books.set_overdue(task)",
            "_close(books, task)",
        ),
    ),
    make(
        "inventories_by_one",
        "one member's inventory is believed",
        (
            "protocols.auction.commit_reveal:may_close",
            "if len(inventories) < quorum:",
            "if len(inventories) < 1:",
        ),
    ),
    make(
        "commit_without_key",
        "a sealed bid does not name its bidder, so it can be copied",
        (
            "protocols.auction.commit_reveal:compute_bid_commitment",
            "task, round, bidder, price, salt]",
            "task, round, price, salt]",
        ),
    ),
    make(
        "work_without_key",
        "a sealed result does not name its party, so it can be copied",
        (
            "protocols.auction.commit_reveal:compute_work_commitment",
            "task, round, party, output,",
            "task, round, output,",
        ),
    ),
    make(
        "verifiers_drawn_by_task",
        "verifiers are known before the result is sealed",
        (f"{VERIFICATION}:_list_pool", "compute_draw(books.seed,", "compute_draw(task.seed,"),
    ),
    make(
        "executor_verifies",
        "an executor may verify its own work",
        (f"{VERIFICATION}:_list_pool", "key != task.executor and ", ""),
    ),
    make(
        "one_result_is_enough",
        "the executor alone says what the result is",
        (
            f"{VERIFICATION}:_find_agreement",
            "if len(parties) >= books.agreeing_min",
            "if len(parties) >= 1",
        ),
    ),
    make(
        "silence_is_a_lie",
        "a verifier that did not open its result is slashed",
        (
            f"{SETTLEMENT}:settle",
            "if work.output is not None and (work.output, work.output_bytes) != result",
            "if (work.output, work.output_bytes) != result",
        ),
    ),
    make(
        "liars_are_paid",
        "every verifier that opened something is paid",
        (
            f"{SETTLEMENT}:settle",
            "right = [key for key in holders if key in task.verifiers]",
            "right = [k for k in task.verifiers if k in task.works and task.works[k].output]",
        ),
    ),
    make(
        "bonus_for_all",
        "late results are excellent, too",
        (f"{SETTLEMENT}:compute_verdict", "2 * taken_ms <= lease_ms", "taken_ms <= lease_ms"),
    ),
    make(
        "agreements_never_end",
        "an executor has no more room after it was graded",
        (f"{SETTLEMENT}:_end_agreement", "books.agents[task.executor].active -= 1", "pass"),
    ),
    make(
        "mean_instead_of_median",
        "one judge moves the grade by itself",
        (
            "protocols.economy.panel:evaluate",
            "median = sorted(scores.values())[(len(scores) - 1) // 2]",
            "median = sum(scores.values()) // len(scores)",
        ),
    ),
    make(
        "far_judges_are_paid",
        "a judge is paid whatever it says",
        (
            "protocols.economy.panel:evaluate",
            "if abs(score - median) <= rules.score_tolerance",
            "if score is not None",
        ),
    ),
    make(
        "rejection_pays_back",
        "what a requester does not pay comes back to it",
        (
            f"{SETTLEMENT}:_pay",
            '(task.requester, "escrow", COMMON, "burned", burned)',
            '(task.requester, "escrow", task.requester, "free", burned)',
        ),
    ),
    make(
        "fee_not_taken",
        "a refused operation costs nothing",
        (
            "protocols.economy.state:EconomyState._execute",
            'self._reject(ordered, refused.reason, "")',
            "self._books._fee = None",
        ),
    ),
)


def find_market_defects(
    seeds_max: int, jobs: int, on_done: Callable[[Found], None], names: tuple[str, ...] = ()
) -> DefectReport:
    """Search the first seed that finds each defect."""
    chosen = [(d.name, seeds_max) for d in DEFECTS if not names or d.name in names]
    found = []
    for result in map_in_processes(_search, chosen, jobs):
        found.append(result)
        on_done(result)
    missed = sum(each.first_seed is None for each in found)
    return DefectReport(
        seeds_max=seeds_max,
        found=len(found) - missed,
        equivalent=0,
        missed=missed,
        defects=tuple(found),
    )


def _search(item: tuple[str, int]) -> Found:
    name, seeds_max = item
    defect = next(d for d in DEFECTS if d.name == name)
    for seed in range(seeds_max):
        with applied(defect):
            violation = _find_violation(seed)
        if violation is not None and not run_market_seed(seed).violations:
            return _make_found(defect, seed, violation)
    return _make_found(defect, None, None)


def _find_violation(seed: int) -> str | None:
    """The first breach in the seed's brawl; a defect may also break the economy itself."""
    try:
        violations = MarketWorld(make_plan(seed, None)).run().referee.violations
    except (AssertionError, LookupError, Unbalanced) as error:
        return f"{type(error).__name__}: {error}"
    return violations[0] if violations else None


def _make_found(defect: Defect, seed: int | None, violation: str | None) -> Found:
    return Found(
        name=defect.name,
        what=defect.what,
        nodes=0,
        first_seed=seed,
        violation=violation,
        equivalent_because=None,
    )
