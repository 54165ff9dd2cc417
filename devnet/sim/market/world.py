"""A market in simulated time: parties submit, a leader orders, the product's state executes.

There is no network below: an operation reaches every honest member after its author's latency,
or, if its author wants so, Byzantine members alone. Views, timers and inventories are those of a
committee with up to f Byzantine members; everything is a function of the plan.
"""

import contextlib
import hashlib
import heapq
from collections.abc import Sequence
from typing import TypeVar

from crdt.facts import Fact
from crdt.facts_auctions import Delivered
from devnet.sim.market.attacks import ATTACKS
from devnet.sim.market.chance import SteadyIds
from devnet.sim.market.leaders import LEADERS, Leader, Waiting
from devnet.sim.market.party import Party, check_receipt, make_output
from devnet.sim.market.plan import MarketPlan, make_genesis, make_key
from devnet.sim.market.referee import Referee
from identity import cbor, schema
from protocols.agents.plan import Output
from protocols.auction.commit_reveal import compute_draw
from protocols.economy.operations import AnyBody, Operation
from protocols.economy.state import EconomyState, OrderedOperation
from protocols.pbft.view_change import TIMEOUT_MS

B = TypeVar("B")

BATCH_MS = 40
"""Time from a proposal to its execution."""
VIEW_MS = 200
"""Time that a view change takes."""
END_MS = 900_000
"""Every task has ended long before."""
ENTRY_MS = 10_000
"""In an even world nobody wants anything before this time, so that agents have entered in both of
two worlds; in others some are late."""
STEPS_MAX = 20_000
ROTATION_BATCHES = 20
"""Each leads for so many batches, if it is not replaced before."""
SHOWN_MAX = 300
"""Newest operations that a cheat looks through."""


class MarketWorld:
    """One run of a plan. `attacking`: whether its cheats cheat; honest otherwise."""

    def __init__(self, plan: MarketPlan, *, attacking: bool = True) -> None:
        self.plan, self.attacking = plan, attacking
        sizes = (plan.n, len(plan.traders), len(plan.requesters), len(plan.spares))
        self.genesis, self.committee = make_genesis(*sizes, plan.parameters)
        self.state = EconomyState(self.genesis, self.committee, check_receipt)
        self.now_ms = self.genesis.created_ms
        self.start_ms = self.now_ms + (ENTRY_MS if plan.is_even else 0)
        self.pool: list[Waiting] = []
        self.log: list[Fact] = list(self.state.genesis_facts())
        self.view, self.view_ms, self.timeout_ms = self._choose_view(), self.now_ms, TIMEOUT_MS
        self.view_changes = 0
        self.operations = 0
        self._wakes: list[int] = []
        self._shown: list[Waiting] = []
        self._last_heard: dict[bytes, int] = {}
        self._is_stopped = False
        self._ids = SteadyIds()
        self._is_news = True
        """Something was executed, or a run has ended, since honest parties looked."""
        self._done: set[tuple[str, object]] = set()
        self.handed: dict[tuple[bytes, bytes], bytes | None] = {}
        """What was delivered, by auction and winner."""
        self.takes: dict[tuple[bytes, str], int | None] = {}
        """When a party takes a dutch price, by auction and name; None: never."""
        self.parties: dict[str, Party] = {}
        self.by_key: dict[bytes, Party] = {}
        self._make_parties()
        self._names = {make_key(name): name for name in plan.members}
        chosen = dict(plan.leaders) if attacking else {}
        self._leaders = {
            name: LEADERS[chosen[name]](self, name) if name in chosen else Leader(self, name)
            for name in plan.members
        }
        self.referee = Referee(self)

    def _choose_view(self) -> int:
        """The view that the world begins in: one that a Byzantine member leads, if any does."""
        keys = [make_key(name) for name, _ in self.plan.leaders]
        views = [view for view, key in enumerate(self.committee.members) if key in keys]
        return views[self.plan.seed % len(views)] if views else 0

    def _make_parties(self) -> None:
        plan, cheats = self.plan, dict(self.plan.cheats)
        traders = {trader.name: trader for trader in plan.traders}
        for name in (*traders, *plan.requesters, *plan.spares):
            kind: type[Party] = Party
            if name in cheats:
                attack = ATTACKS[cheats[name]]
                kind = attack.get_party(name, attacking=self.attacking)
            self.parties[name] = kind(self, name, traders.get(name))
            self.by_key[self.parties[name].key] = self.parties[name]

    # --- what parties may do and see ---------------------------------------------------------

    def submit(
        self, party: Party, body: AnyBody, *, delay_ms: int = 0, is_secret: bool = False
    ) -> Waiting:
        """Sign the party's next operation; honest members hold it `delay_ms` after it usually
        arrives, or never if it is secret."""
        nonce = self.state.next_nonce(party.key) + len(party.pending)
        operation = Operation(nonce, body)
        party.pending.append(operation)
        digest = hashlib.sha256(party.key + schema.encode(operation)).digest()
        heard_ms = None if is_secret else self.now_ms + party.latency_ms + delay_ms
        if heard_ms is not None:  # what comes after something cannot be executed before it
            heard_ms = max(heard_ms, self._last_heard.get(party.key, 0))
            self._last_heard[party.key] = heard_ms
        waiting = Waiting(digest, party.key, operation, heard_ms, party.name)
        self.pool.append(waiting)
        self._shown.append(waiting)
        if party.is_honest:
            self.referee.hear(waiting)
        return waiting

    def wake(self, time_ms: int) -> None:
        """Look at everybody again at this time."""
        if time_ms > self.now_ms:
            heapq.heappush(self._wakes, time_ms)

    def list_held(self) -> list[tuple[bytes, Operation]]:
        """What every honest member holds and has not seen executed."""
        return [
            (each.signer, each.operation)
            for each in self.pool
            if each.heard_ms is not None and each.heard_ms <= self.now_ms
        ]

    def list_said(self, kind: type[B]) -> list[tuple[bytes, B]]:
        """Signer and body of what anybody has shown of this kind, executed or not; newest last."""
        return [
            (each.signer, each.operation.body)
            for each in self._shown[-SHOWN_MAX:]
            if isinstance(each.operation.body, kind)
        ]

    def once(self, party: Party, item: object) -> bool:
        """True when the party asks for the first time whether it may do this."""
        if (party.name, item) in self._done:
            return False
        self._done.add((party.name, item))
        return True

    def make_output(self, blob: bytes) -> Output:
        """What an honest run gives."""
        return make_output(blob)

    def make_receipts(self, holders: Sequence[bytes], blob: bytes) -> tuple[bytes, ...]:
        return tuple(cbor.encode([key, [blob]]) for key in holders)

    # --- running -----------------------------------------------------------------------------

    def run(self) -> "MarketWorld":
        """Until every errand was run and every task has ended."""
        for party in self.parties.values():
            for body in party.set_up(self):
                self.submit(party, body)
            for errand in party.errands:
                self.wake(self.start_ms + errand.at_ms)
            for sale in party.sales:
                self.wake(self.start_ms + sale.at_ms)
            for tuning in party.tunings:
                self.wake(self.start_ms + tuning.at_ms)
        for _ in range(STEPS_MAX):
            is_news, self._is_news = self._is_news, False
            for party in self.parties.values():
                if is_news or not party.is_honest:
                    party.act(self)
            if self._is_stopped:
                return self
            if self._is_over():
                break
            self._step()
        else:
            self.referee.report("L5 nothing stays stuck", f"{STEPS_MAX} steps")
        self.referee.finish()
        return self

    def _is_over(self) -> bool:
        parties = self.parties.values()
        if any(party.errands or party.sales or party.tunings for party in parties):
            return False
        lists = (self.state.tasks(), self.state.auctions(), self.state.variables())
        busy = any(next(under_way, None) is not None for under_way in lists)
        arriving = any(each.heard_ms and each.heard_ms > self.now_ms for each in self.pool)
        return not busy and not arriving and not self._list_ready(with_secrets=False)

    def _step(self) -> None:
        """Go to the next moment at which something can happen, and let the leader order."""
        self._clean_pool()
        since_ms = self._pressed_since()
        if since_ms is not None and since_ms + self.timeout_ms <= self.now_ms:
            self._change_view()
            return
        leader = self._leaders[self._names[self.committee.members[self.view % self.plan.n]]]
        ready = self._list_ready(with_secrets=type(leader) is not Leader)
        due_ms = self.state.next_deadline_ms()
        is_due = due_ms is not None and due_ms <= self.now_ms
        batch = leader.choose(self, ready) if ready or is_due else None
        if batch or (batch is not None and is_due):
            self._order(leader, batch)
            return
        moments = [each.heard_ms for each in self.pool if each.heard_ms is not None]
        moments = [moment for moment in moments if moment > self.now_ms]
        if due_ms is not None and due_ms > self.now_ms:
            moments.append(due_ms)
        moments += self._wakes[:1]
        if since_ms is not None:
            expires_ms = since_ms + self.timeout_ms
            moments += [expires_ms, min(expires_ms, self.now_ms + TIMEOUT_MS // 4)]
        self.now_ms = min(moments, default=self.now_ms + BATCH_MS)
        self._take_wakes()
        if self.now_ms > self.start_ms + END_MS:
            self.referee.report("L5 nothing stays stuck", "a task never ends")
            self.pool.clear()

    def _take_wakes(self) -> None:
        while self._wakes and self._wakes[0] <= self.now_ms:
            heapq.heappop(self._wakes)
            self._is_news = True

    def _order(self, leader: Leader, batch: Sequence[Waiting]) -> None:
        self.now_ms += BATCH_MS
        time_ms = max(self.state.time_ms, leader.choose_time(self))
        digest = leader.choose_digest(self, batch)
        ordered = [OrderedOperation(each.digest, each.signer, each.operation) for each in batch]
        position = self.state.position + 1
        try:
            with self._ids.in_use() if self.plan.is_even else contextlib.nullcontext():
                facts = self.state.execute(position, time_ms, digest, ordered)
        except Exception as error:  # at every node alike: what was ordered has stopped all of them
            self.referee.report("ordered code raises nothing", f"{type(error).__name__}: {error}")
            self._is_stopped = True
            return
        self.log += facts
        self.handed |= {(f.auction, f.winner): f.blob for f in facts if isinstance(f, Delivered)}
        self._is_news = True
        self._take_wakes()
        self.operations += len(batch)
        # What was ordered before its turn was skipped: its author submits it again.
        next_nonce = self.state.next_nonce
        self.pool = [each for each in self.pool if each.operation.nonce >= next_nonce(each.signer)]
        self.referee.check_batch(digest, ordered, facts)
        if batch:
            self.timeout_ms = TIMEOUT_MS
        if self.state.position % ROTATION_BATCHES == 0:
            self.view, self.view_ms = self.view + 1, self.now_ms

    def _change_view(self) -> None:
        self.view += 1
        self.view_changes += 1
        self.now_ms += VIEW_MS
        self.view_ms = self.now_ms
        self.timeout_ms *= 2

    def _list_ready(self, *, with_secrets: bool) -> list[Waiting]:
        """What can be executed now, in the order it came."""
        ready = []
        nonces: dict[bytes, int] = {}
        for each in self.pool:
            if each.heard_ms is None:
                if not with_secrets:
                    continue
            elif each.heard_ms > self.now_ms:
                continue
            nonce = nonces.get(each.signer) or self.state.next_nonce(each.signer)
            if each.operation.nonce == nonce:
                ready.append(each)
                nonces[each.signer] = nonce + 1
        return ready

    def _clean_pool(self) -> None:
        """Forget what can never be executed, and put the rest in the order it came."""
        admit = self.state.admit
        self.pool = [each for each in self.pool if admit(each.signer, each.operation) is None]
        self.pool.sort(key=_order_of)

    # --- timers ------------------------------------------------------------------------------

    def is_pressed(self, margin_ms: int) -> bool:
        """True when the leader will be replaced within `margin_ms` unless it orders."""
        since_ms = self._pressed_since()
        return since_ms is not None and self.now_ms + margin_ms >= since_ms + self.timeout_ms

    def _pressed_since(self) -> int | None:
        """Since when honest members wait for the leader to order what they hold, or a tick."""
        since = [
            each.heard_ms
            for each in self._list_ready(with_secrets=False)
            if each.heard_ms is not None
        ]
        due_ms = self.state.next_deadline_ms()
        if due_ms is not None and due_ms <= self.now_ms:
            since.append(due_ms)
        return max(self.view_ms, min(since)) if since else None

    # --- chance ------------------------------------------------------------------------------

    def make_digest(self, batch: Sequence[Waiting], attempt: int) -> bytes:
        """The digest of a batch. In an even world it depends on nothing that anybody does."""
        if self.plan.is_even:
            return hashlib.sha256(b"even %d/%d" % (self.plan.seed, attempt)).digest()
        content = b"".join(each.digest for each in batch)
        place = b"%d/%d/%d" % (self.plan.seed, self.state.position, attempt)
        return hashlib.sha256(place + content).digest()

    def count_friends_drawn(self, digest: bytes) -> int:
        """How many Byzantine members would be first in the draws for tasks under way."""
        count = 0
        for task in self.state.tasks():
            subject = task.task + task.round.to_bytes(2)
            members = [key for key in self.committee.members if key != task.executor]
            first = min(members, key=lambda key: compute_draw(digest, subject, key))
            count += not self.by_key[first].is_honest
        return count


def _order_of(each: Waiting) -> tuple[int, bytes, int]:
    return (each.heard_ms or 0, each.signer, each.operation.nonce)
