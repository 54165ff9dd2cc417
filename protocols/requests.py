"""From the bytes of an operation to a verified request: the one gate operations pass."""

import hashlib
from collections.abc import Iterable, Sequence

from identity import envelope
from identity.envelope import Statement
from identity.errors import InvalidBytes, InvalidSchema
from protocols.committee import Committee
from protocols.economy.operations import (
    OPERATION_BYTES_MAX,
    OPERATION_KIND,
    STATEMENT_EPOCH,
    decode_operation,
)
from protocols.economy.semantics import check_operation
from protocols.pbft.core import Core
from protocols.pbft.pool import Request

STATEMENT_BYTES_MAX = OPERATION_BYTES_MAX + envelope.STATEMENT_OVERHEAD_BYTES


def parse_request(data: bytes, committee: Committee) -> tuple[Request, Statement]:
    """An operation for this committee, in its present semantics; its signature is not checked yet.
    Raises InvalidBytes."""
    statement = envelope.parse(data, size_max=STATEMENT_BYTES_MAX)
    place = (statement.kind, statement.committee, statement.epoch)
    if place != (OPERATION_KIND, committee.id, STATEMENT_EPOCH):
        raise InvalidSchema("not an operation for this committee")
    operation = decode_operation(statement.payload)
    check_operation(operation, committee.semantics)
    digest = hashlib.sha256(data).digest()
    return Request(digest, statement.signer, operation, data), statement


def load_batch(core: Core, operations: Sequence[bytes]) -> tuple[Request, ...]:
    """A batch's operations, verified; those in the pool have been already.

    Raises InvalidBytes for the first that is not valid.
    """
    return tuple(_load(core, data) for data in operations)


def load_admissible(
    core: Core, operations: Iterable[bytes]
) -> tuple[list[Request], InvalidBytes | None]:
    """The operations worth keeping: new, admissible and then verified. Beside them the first
    fault of the sender, if there is one; what is merely late or unfunded is none."""
    found: list[Request] = []
    fault: InvalidBytes | None = None
    for data in operations:
        if core.pool.get(hashlib.sha256(data).digest()) is not None:
            continue
        try:
            request, statement = parse_request(data, core.committee)
            if core.application.admit(request.signer, request.operation) is None:
                core.check(statement)
                found.append(request)
        except InvalidBytes as error:
            fault = fault or error
    return found, fault


def _load(core: Core, data: bytes) -> Request:
    known = core.pool.get(hashlib.sha256(data).digest())
    if known is not None:
        return known
    request, statement = parse_request(data, core.committee)
    core.check(statement)
    return request
