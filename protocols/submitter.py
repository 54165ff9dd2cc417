"""The client's side of ordering: sign operations with consecutive nonces, repeat until executed.

Operations go to every member (BFT needs that a primary cannot drop them unseen) and are repeated
until the committed log shows them. One account has one submitter: two would use a nonce twice.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable

from identity import envelope, schema
from identity.envelope import Context, Statement
from identity.keys import PrivateKey
from protocols.committee import Committee
from protocols.economy.operations import (
    OPERATION_KIND,
    STATEMENT_EPOCH,
    AnyBody,
    Operation,
    Transfer,
)
from protocols.messages import BATCH_OPERATIONS_MAX, Submit
from protocols.pbft.pool import Request

RESEND_MS = 1_000
IN_FLIGHT_MAX = 512
"""Operations of one account that are sent and not executed yet."""
SUBMIT_BYTES_MAX = 512 * 1024


class Submitter:
    """Signs and repeats one account's operations for one committee."""

    def __init__(self, committee: Committee, key: PrivateKey, next_nonce: int) -> None:
        self._committee = committee
        self._key = key
        self._next_nonce = next_nonce
        self._in_flight: OrderedDict[bytes, Request] = OrderedDict()
        self._held: set[bytes] = set()
        self._resend_at_ms: int | None = None

    @property
    def account(self) -> bytes:
        return self._key.public

    def __len__(self) -> int:
        return len(self._in_flight)

    def sign(self, body: AnyBody) -> Request | None:
        """The next operation, or None while too many are in flight."""
        if len(self._in_flight) >= IN_FLIGHT_MAX:
            return None
        operation = Operation(self._next_nonce, body)
        self._next_nonce += 1
        committee = self._committee
        place = Context(committee.network, committee.id, STATEMENT_EPOCH, OPERATION_KIND)
        statement: Statement = envelope.sign(self._key, place, schema.encode(operation))
        digest = hashlib.sha256(statement.data).digest()
        request = Request(digest, self._key.public, operation, statement.data)
        self._in_flight[digest] = request
        return request

    def hold(self, request: Request) -> None:
        """Do not repeat it until it is released: it has not been sent."""
        self._held.add(request.digest)

    def release(self, request: Request) -> None:
        self._held.discard(request.digest)

    def adopt(self, request: Request) -> list[Request]:
        """Go on with an operation that was signed before a restart.

        Gives what is to be sent: it, behind a payment to oneself for each nonce that was signed
        before it and may be lost. Nothing when its nonce is used, or too far ahead.
        """
        nonce = request.operation.nonce
        if not 0 <= nonce - self._next_nonce < IN_FLIGHT_MAX - len(self._in_flight):
            return []
        sent: list[Request] = []
        while self._next_nonce < nonce:
            filler = self.sign(Transfer(self.account, 1))
            assert filler is not None
            sent.append(filler)
        self._next_nonce += 1
        self._in_flight[request.digest] = request
        return [*sent, request]

    def on_executed(self, next_nonce: int) -> None:
        """Forget what is done. `next_nonce` is the account's in committed state."""
        for digest in [d for d, r in self._in_flight.items() if r.operation.nonce < next_nonce]:
            del self._in_flight[digest]
            self._held.discard(digest)
        self._next_nonce = max(self._next_nonce, next_nonce)

    def get_overdue(self, now_ms: int) -> list[Request]:
        """What to send again now, in order of nonces and at most once in RESEND_MS."""
        if not self._in_flight:
            self._resend_at_ms = None
        elif self._resend_at_ms is None:
            self._resend_at_ms = now_ms + RESEND_MS
        elif now_ms >= self._resend_at_ms:
            self._resend_at_ms = now_ms + RESEND_MS
            return [r for r in self._in_flight.values() if r.digest not in self._held]
        return []


def pack_submits(committee: bytes, requests: Iterable[Request]) -> list[Submit]:
    """Requests in as few hop messages as their bounds allow."""
    packed: list[Submit] = []
    operations: list[bytes] = []
    size = 0
    for request in requests:
        if operations and (
            len(operations) >= BATCH_OPERATIONS_MAX or size + len(request.data) > SUBMIT_BYTES_MAX
        ):
            packed.append(Submit(committee=committee, operations=tuple(operations)))
            operations, size = [], 0
        operations.append(request.data)
        size += len(request.data)
    if operations:
        packed.append(Submit(committee=committee, operations=tuple(operations)))
    return packed
