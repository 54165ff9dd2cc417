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
    make(
        "vcg_one_too_little",
        "a winner of bundles pays one less than its presence costs the others",
        (
            "protocols.auction.combinatorial.vcg:compute_price",
            "return limit - (-loss // factor)",
            "return limit + loss // factor",
        ),
    ),
    make(
        "call_above_the_limit",
        "a call sells nothing at its limit",
        (
            "protocols.auction.several_lots:assign_lots",
            "limits = [lot.limit for lot in terms.lots]",
            "limits = [lot.limit + 1 for lot in terms.lots]",
        ),
    ),
    make(
        "dutch_price_without_weight",
        "a dutch price is the clock's for everybody",
        (
            "protocols.auction.open_prices:compute_dutch_price",
            "return min(terms.cap, -(-clock * PPM // weight_ppm))",
            "return clock",
        ),
    ),
    make(
        "no_soft_close",
        "a late english bid moves the end by nothing",
        (
            "protocols.auction.open_prices:compute_end",
            "return max(end_ms, moved_ms) if moved_ms > now_ms else end_ms",
            "return end_ms",
        ),
    ),
    make(
        "english_without_increment",
        "an english bid need not be better by the increment",
        (
            "protocols.auction.open_prices:beats",
            "return price * weight_ppm >= (other + terms.increment) * other_ppm",
            "return price * weight_ppm >= other * other_ppm",
        ),
        (
            "protocols.auction.open_prices:compute_next_bid",
            "return -(-(other + terms.increment) * other_ppm // weight_ppm)",
            "return -(-other * other_ppm // weight_ppm)",
        ),
    ),
    make(
        "award_paid_one_more",
        "a winner pays, or is paid, one more than its award says",
        (
            "protocols.economy.auction_results:_pay_award",
            "winner, price, opener = award.winner, award.price, auction.opener",
            "winner, price, opener = award.winner, award.price + 1, auction.opener",
        ),
    ),
    make(
        "seller_deposit_kept",
        "a seller whose award did not come about does not have its deposit back",
        (
            "protocols.economy.auction_results:_return_rest",
            '(opener, "locked", opener, "free", auction.deposit),',
            '(opener, "locked", COMMON, "burned", auction.deposit),',
        ),
    ),
    make(
        "withheld_price_comes_back",
        "what a payer withholds of a delivery comes back to it",
        (
            "protocols.economy.deliveries:_end_agreement",
            '(payer, "escrow", COMMON, "burned", price - paid)',
            '(payer, "escrow", payer, "free", price - paid)',
        ),
    ),
    make(
        "undelivered_costs_nothing",
        "a seller that never delivers has its deposit back",
        (
            "protocols.economy.deliveries:_end_agreement",
            '(seller, "locked", payer, "free", agreement.deposit)',
            '(seller, "locked", seller, "free", agreement.deposit)',
        ),
    ),
    make(
        "mean_of_reports",
        "the mean of the reports decides a term",
        (
            "protocols.economy.reports:_evaluate",
            "median_ppm, _ = sorted(said)[(len(said) - 1) // 2]",
            "median_ppm = sum(ppm for ppm, _ in said) // len(said)",
        ),
    ),
    make(
        "price_of_a_right_is_lost",
        "what a holder pays does not join the pool",
        (
            "protocols.economy.variables:note_result",
            "pool=variable.pool + price,",
            "pool=variable.pool,",
        ),
    ),
    make(
        "unset_term_is_free",
        "a holder that sets nothing has its whole deposit back",
        (
            "protocols.economy.variables:settle_term",
            '"unset": terms.unset_slash_ppm',
            '"unset": 0',
        ),
    ),
    make(
        "pool_for_all",
        "late results have their share of a pool, too",
        (
            f"{SETTLEMENT}:_end_settled",
            "winner=winner",
            "winner=task.executor",
        ),
    ),
    make(
        "audits_known_before",
        "whether a result is verified follows from what its executor knew before",
        (
            f"{VERIFICATION}:_is_audited",
            "compute_draw(books.seed,",
            "compute_draw(task.seed,",
        ),
    ),
    make(
        "halt_of_exact_alone",
        "agents that are judged, or paid on acceptance, are no room in a market",
        (
            "protocols.economy.prices:_count_room",
            "books.list_eligible(capability, COMMON, None)",
            "books.list_eligible(capability, COMMON)",
        ),
    ),
    make(
        "halt_too_early",
        "one award off the mean halts a market",
        (
            "protocols.economy.prices:_watch",
            "books.time_ms - off_ms >= rules.halt_after_ms and rules.halt_ms",
            "rules.halt_ms",
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
