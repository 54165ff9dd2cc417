"""What an agent finds beside the results of its own runs: receipts for what it delivers, scores for
what it judges, and whose heartbeat is due.

Nothing is kept that a restart could lose: receipts are asked for again, judges run again.
"""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import trio

from node.blob_store import StoreFull
from node.blobs import BlobUnavailable
from node.capabilities import ExecutorClosed, Failed
from node.judging import run_judge
from node.log_lines import about
from node.receipts import NotHeld
from protocols.agents.plan import Failure, Findings, Outcomes, Output, list_judging
from protocols.economy.model import Duty
from protocols.economy.operations import AnyBody
from protocols.economy.operations_tasks import Heartbeat

if TYPE_CHECKING:
    from node.place import Place

logger = logging.getLogger("econode.agent")

JUDGING_MAX = 64
"""Results that are judged, or wait for a worker, at once."""
DELIVERIES_MAX = 16
"""Results that are shown to members at once; each may be a large blob."""


class Finder:
    """Made for an agent's place; `wake` is called when there is something new to plan with.

    `judges` are ids of what judges each capability, by its id; None runs the capability itself.
    """

    def __init__(
        self, place: "Place", judges: Mapping[bytes, bytes | None], wake: Callable[[], None]
    ) -> None:
        self._place = place
        self._judges = judges
        self._wake = wake
        self._scores: dict[tuple[bytes, int], int | Failure] = {}
        self._receipts: dict[tuple[bytes, int], tuple[bytes, ...]] = {}
        """By task and epoch: who has left since does not count as a holder."""
        self._judging: set[tuple[bytes, int]] = set()
        self._delivering: set[bytes] = set()
        self._beaten: dict[tuple[bytes, int], float] = {}
        """When a heartbeat went out last, or its agreement began, by this node's clock."""

    def start(self, nursery: trio.Nursery, outcomes: Outcomes) -> None:
        """Begin what the duties ask for, and forget what is over."""
        state, me = self._place.chain.state, self._place.node.key.public
        duties = state.duties(me)
        self._scores = {
            (task, round_): score
            for (task, round_), score in self._scores.items()
            if (view := state.get_task(task)) is not None and view.round == round_
        }
        epoch = self._place.committee.epoch
        self._receipts = {
            (task, of): found
            for (task, of), found in self._receipts.items()
            if of == epoch and state.get_task(task)
        }
        for duty in duties:
            outcome = outcomes.get(duty.task)
            if (
                duty.kind == "deliver"
                and isinstance(outcome, Output)
                and (duty.task, epoch) not in self._receipts
                and duty.task not in self._delivering
                and len(self._delivering) < DELIVERIES_MAX
            ):
                self._delivering.add(duty.task)
                nursery.start_soon(self._gather, duty.task, outcome)
        for duty in list_judging(state, me, Findings(scores=self._scores)):
            place = (duty.task, duty.round)
            if place not in self._judging and len(self._judging) < JUDGING_MAX:
                self._judging.add(place)
                nursery.start_soon(self._judge, duty)
        now = trio.current_time()
        beating = [(duty.task, duty.round) for duty in duties if duty.kind == "beat"]
        self._beaten = {place: self._beaten.get(place, now) for place in beating}

    def get_findings(self) -> Findings:
        """What is known now; heartbeats are due at half of their interval."""
        now = trio.current_time()
        beats = {
            task: self._read_progress(task)
            for (task, round_), at in self._beaten.items()
            if now >= at + self._get_pause_s(task)
        }
        epoch = self._place.committee.epoch
        receipts = {task: found for (task, of), found in self._receipts.items() if of == epoch}
        return Findings(scores=self._scores, receipts=receipts, beats=beats)

    def mark_submitted(self, body: AnyBody) -> None:
        if isinstance(body, Heartbeat):
            now = trio.current_time()
            self._beaten.update({(beat.task, beat.round): now for beat in body.beats})

    def get_wait_s(self, longest_s: float) -> float:
        """Until the next heartbeat is due, at most `longest_s`."""
        now = trio.current_time()
        dues = [at + self._get_pause_s(task) - now for (task, _), at in self._beaten.items()]
        return max(0.0, min([longest_s, *dues]))

    def _get_pause_s(self, task: bytes) -> float:
        view = self._place.chain.state.get_task(task)
        return view.terms.heartbeat_ms / 2000 if view is not None else float("inf")

    def _read_progress(self, task: bytes) -> int:
        """What the run says of itself; never less than what was said before."""
        view = self._place.chain.state.get_task(task)
        said = view.progress_ppm if view is not None else 0
        return max(said, self._place.node.executor.read_progress(task))

    async def _gather(self, task: bytes, outcome: Output) -> None:
        place = self._place
        committee = place.committee
        others = [key for key in committee.members if key != place.node.key.public]
        try:
            found = await place.receipts.gather({outcome.digest: outcome.size_bytes}, others)
            self._receipts[task, committee.epoch] = tuple(found)
            self._wake()
        except NotHeld as error:  # it is tried again, as long as the duty stays
            logger.warning(
                "task %s: %s", task.hex()[:8], error, extra=about("delivery_failed", task=task)
            )
        finally:
            self._delivering.discard(task)

    async def _judge(self, duty: Duty) -> None:
        place = (duty.task, duty.round)
        try:
            self._scores[place] = await self._find_score(duty)
            self._wake()
        except ExecutorClosed:
            return
        finally:
            self._judging.discard(place)

    async def _find_score(self, duty: Duty) -> int | Failure:
        node = self._place.node
        me = node.key.public
        members = [key for key in self._place.committee.members if key != me]
        holders = [key for key in duty.holders if key != me]
        try:
            given = await node.blobs.fetch(duty.input, duty.input_bytes, members)
            output = await node.blobs.fetch(duty.output, duty.output_bytes, holders)
        except (BlobUnavailable, StoreFull) as error:
            logger.warning(
                "task %s, to judge: %s",
                duty.task.hex()[:8],
                error,
                extra=about("judge_failed", task=duty.task),
            )
            return Failure("blob")
        judge = self._judges.get(duty.capability)
        score = await run_judge(node.executor, duty.capability, judge, given, output)
        if isinstance(score, Failed):
            logger.warning(
                "task %s, judge: %s: %s",
                duty.task.hex()[:8],
                score.reason,
                score.detail,
                extra=about("judge_failed", task=duty.task, reason=score.reason.value),
            )
            return Failure(score.reason.value)
        return score
