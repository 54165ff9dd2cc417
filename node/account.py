"""This node's account: sign an operation, have it ordered, learn what became of it."""

from collections.abc import Callable, Iterable

import trio

from crdt.facts import Fact, Rejected
from identity.errors import EconodeError
from node.driver import Driver
from node.router import Seat
from protocols.economy.operations import AnyBody, Operation
from protocols.pbft.pool import Request
from protocols.requests import parse_request
from protocols.step import Certified, Executed, Send, Step, Transferred
from protocols.submitter import RESEND_MS, Submitter, pack_submits


class Refused(EconodeError):
    """The committee executed the operation as a refusal."""

    def __init__(self, rejected: Rejected) -> None:
        super().__init__(
            f"{rejected.reason}: {rejected.detail}" if rejected.detail else rejected.reason
        )
        self.reason = rejected.reason
        self.detail = rejected.detail


class Ordered:
    """An operation on its way. `position` and `facts` are there once `wait` has returned."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.submitted_at = trio.current_time()
        self.position = 0
        self.facts: tuple[Fact, ...] = ()
        self._done = trio.Event()
        self._loss = ""

    async def wait(self) -> None:
        """Until the operation is executed. Raises Refused when it had no effect but its fee.
        Cancelling does not take the operation back."""
        await self._done.wait()
        if self._loss:
            raise EconodeError(self._loss)
        for fact in self.facts:
            if isinstance(fact, Rejected) and fact.operation == self.request.digest:
                raise Refused(fact)

    def settle(self, executed: Executed) -> None:
        self.position, self.facts = executed.seq, executed.facts
        self._done.set()

    def lose(self, reason: str) -> None:
        """Nothing more will be learnt of it here."""
        self._loss = reason
        self._done.set()


class Account:
    """Submits for one key, the submitter's, in one committee. A driver's listener. `observe` gets
    the trio time at which each operation that is executed was submitted, `tell` each one that goes
    out for the first time."""

    def __init__(
        self,
        driver: Driver,
        seat: Seat,
        submitter: Submitter,
        observe: Callable[[float], None] = lambda _: None,
        tell: Callable[[Request], None] = lambda _: None,
    ) -> None:
        self._tell = tell
        self._observe = observe
        self._driver = driver
        self._seat = seat
        self._submitter = submitter
        self._ordered: dict[bytes, Ordered] = {}
        self._unsent: list[Request] = []
        self._room = trio.Event()

    def __len__(self) -> int:
        """Operations that are signed and not executed yet."""
        return len(self._submitter)

    def get_pending(self) -> list[Operation]:
        """Operations that are signed and not executed yet."""
        return [ordered.request.operation for ordered in self._ordered.values()]

    async def submit(self, body: AnyBody) -> Ordered:
        """Sign and send `body`; returns at once unless too many operations are under way."""
        while (ordered := self.try_submit(body)) is None:
            self._room = trio.Event()
            await self._room.wait()
        return ordered

    def try_submit(self, body: AnyBody) -> Ordered | None:
        """Like `submit`, or None when too many operations are under way."""
        ordered = self.prepare(body)
        if ordered is not None:
            self.release(ordered)
        return ordered

    def prepare(self, body: AnyBody) -> Ordered | None:
        """Sign `body` and send it with `release`: whoever must know of it after a restart keeps
        it in between. None when too many operations are under way."""
        request = self._submitter.sign(body)
        if request is None:
            return None
        self._submitter.hold(request)
        ordered = self._ordered[request.digest] = Ordered(request)
        return ordered

    def release(self, ordered: Ordered) -> None:
        """Send what was prepared, and repeat it until it is executed."""
        self._submitter.release(ordered.request)
        self._tell(ordered.request)
        self._post([ordered.request])

    def resume(self, statement: bytes) -> Ordered | None:
        """Go on with an operation that was prepared before a restart, before anything else is
        signed. None when its nonce is used. Raises InvalidBytes."""
        request, _ = parse_request(statement, self._seat.core.committee)
        sent = self._submitter.adopt(request)
        for each in sent:
            self._ordered[each.digest] = Ordered(each)
        self._post(sent)
        return self._ordered.get(request.digest)

    def _post(self, requests: list[Request]) -> None:
        if not self._unsent and requests:
            self._driver.post(self._send_unsent)
        self._unsent += requests

    async def run(self) -> None:
        """Repeat what has not been executed, until cancelled."""
        while True:
            await trio.sleep(RESEND_MS / 1000)
            self._driver.post(self._resend)

    def on_executed(self, executed: Executed) -> None:
        for digest in executed.operation_digests:
            ordered = self._ordered.get(digest)
            if ordered is not None and self._is_done(ordered.request):
                del self._ordered[digest]
                ordered.settle(executed)
                self._observe(ordered.submitted_at)
        if executed.seq == self._seat.core.executed:
            self._forget_done("another operation of this account took the same nonce")
        self._room.set()

    def on_transferred(self, transferred: Transferred) -> None:
        self._forget_done(
            "it may have been executed while this node was behind: `econode ledger log` of another "
            "node shows it"
        )
        self._room.set()

    def _forget_done(self, reason: str) -> None:
        """Once the last executed batch has been told: whose nonce is used by then, but stood in
        no batch, lost it to another operation. A step may hold several batches."""
        next_nonce = self._seat.core.application.get_next_nonce(self._submitter.account)
        self._submitter.on_executed(next_nonce)
        for ordered in [o for o in self._ordered.values() if self._is_done(o.request)]:
            del self._ordered[ordered.request.digest]
            ordered.lose(reason)

    def on_certified(self, certified: Certified) -> None:
        """Nothing to do: certificates are for others."""

    def _is_done(self, request: Request) -> bool:
        application = self._seat.core.application
        return application.get_next_nonce(request.signer) > request.operation.nonce

    def _send_unsent(self, now_ms: int) -> Step:
        """What was submitted since the driver's last chunk goes out in one message."""
        requests, self._unsent = self._unsent, []
        return self._send(requests, now_ms)

    def _send(self, requests: Iterable[Request], now_ms: int) -> Step:
        committee = self._seat.core.committee.id
        if self._seat.is_halted:
            return Step()
        requests = list(requests)
        step = self._seat.on_own_requests(requests, now_ms)
        step.sends += [Send(None, submit) for submit in pack_submits(committee, requests)]
        return step

    def _resend(self, now_ms: int) -> Step:
        requests = self._submitter.get_overdue(now_ms)
        if not requests:
            return Step()
        self._unsent.clear()  # they are among the overdue, which are all that were released
        return self._send(requests, now_ms)
