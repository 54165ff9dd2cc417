"""This member's solver: better winners for auctions that ordered code did not finish.

Whenever such an auction waits in the committed state, the search runs in a worker process, one at a
time, and what it found is submitted if it is better than what stands there by then. Members take
turns: whoever is further back in the auction's order waits longer, so that most of them find that
the first has already said it, and save the fee.
"""

import hashlib
import logging
from typing import TYPE_CHECKING

import trio

from node.log_lines import about
from node.solver_job import Found, Job
from node.solver_process import SolverFailed, solve_apart
from node.woken import Woken
from node.worker_process import remove_tree
from protocols.auction.several_lots import Candidate, judge
from protocols.economy.auction_model import SolutionWanted
from protocols.economy.operations_solutions import SubmitSolution

if TYPE_CHECKING:
    from node.place import Place

logger = logging.getLogger("econode.solver")

FOLDER_NAME = "solver"
CELLS_MAX = 60_000_000
"""Work of one search: some seconds, less than the default window."""
TURN_SECONDS = 0.5
"""Between the submissions of two members."""
TRIED_MAX = 1_024
"""Auctions that are remembered as searched."""


class Solver(Woken):
    """Searches for the node's own key, in one committee, while it is a member."""

    def __init__(self, place: "Place") -> None:
        super().__init__()
        self._place = place
        self._folder = place.node.home.path / FOLDER_NAME / place.id.hex()
        self._tried: dict[bytes, None] = {}

    async def run(self) -> None:
        """Act until cancelled."""
        await trio.to_thread.run_sync(remove_tree, self._folder)  # of a node that was killed
        self._news.set()
        while True:
            await self._news.wait()
            self._news = trio.Event()
            while (wanted := self._find_wanted()) is not None:
                self._tried[wanted.auction] = None
                await self._solve(wanted)

    def _find_wanted(self) -> SolutionWanted | None:
        place, me = self._place, self._place.node.key.public
        if place.seat.catch_up.is_behind() or not place.committee.is_member(me):
            return None
        while len(self._tried) > TRIED_MAX:
            del self._tried[next(iter(self._tried))]
        wanted = place.chain.state.solutions_wanted(me)
        return next((each for each in wanted if each.auction not in self._tried), None)

    async def _solve(self, wanted: SolutionWanted) -> None:
        job = Job(wanted.auction, wanted.seed, wanted.terms, wanted.bids, CELLS_MAX)
        try:
            found = await solve_apart(job, self._folder)
        except (SolverFailed, OSError) as error:
            logger.warning(
                "auction %s: no solution: %s",
                wanted.auction.hex()[:8],
                error,
                extra=about("no_solution", auction=wanted.auction),
            )
            return
        await trio.sleep(TURN_SECONDS * self._get_turn(wanted.auction))
        self._submit(wanted.auction, found)

    def _get_turn(self, auction: bytes) -> int:
        """How many members come before this one."""
        members, me = self._place.committee.members, self._place.node.key.public
        order = sorted(members, key=lambda key: hashlib.sha256(auction + key).digest())
        return order.index(me) if me in order else len(order)

    def _submit(self, auction: bytes, found: Found) -> None:
        """Say what was found, if it still is news."""
        me = self._place.node.key.public
        for wanted in self._place.chain.state.solutions_wanted(me):
            if wanted.auction == auction:
                verdict = judge(
                    wanted.terms,
                    wanted.bids,
                    (wanted.seed, wanted.auction),
                    Candidate(found.winners, found.proof),
                    Candidate(wanted.winners, wanted.proof),
                )
                if verdict is not None and (verdict.better or verdict.nearer):
                    body = SubmitSolution(auction, found.winners, found.proof)
                    self._place.account.try_submit(body)
