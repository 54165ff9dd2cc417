"""Frames and statements in words, for the trace that `econode sim replay` prints."""

from typing import Any

from identity import envelope, schema
from identity.errors import InvalidBytes
from node import router
from protocols.messages import VOTE_TYPES, Batches, FetchBatches, Propose, Status, Submit, Votes

BYTES_MAX = 1 << 20


def describe_frame(frame: bytes) -> str:
    """What a frame says, in one line."""
    try:
        return describe_message(router.decode_frame(frame))
    except InvalidBytes as error:
        return f"{len(frame)} damaged bytes ({error})"


def describe_message(message: Any) -> str:
    match message:
        case Votes(statements=statements):
            return ", ".join(_describe_statement(data) for data in statements)
        case Propose():
            batch = f"{len(message.operations)} operations, {len(message.clock)} readings"
            return f"propose {_describe_statement(message.pre_prepare)}: {batch}"
        case Submit(operations=operations):
            return f"submit {len(operations)} operations"
        case Status():
            return (
                f"status view {message.view} stable {message.stable} executed "
                f"{message.executed}{' waiting' if message.waiting else ''}"
            )
        case FetchBatches(start=start):
            return f"fetch batches from {start}"
        case Batches(batches=batches):
            return f"batches {[batch.seq for batch in batches]}"
    carried = getattr(message, "statement", None)
    tag = str(message.__struct_config__.tag)
    return f"{tag} {_describe_statement(carried)}" if isinstance(carried, bytes) else tag


def _describe_statement(data: bytes) -> str:
    try:
        statement = envelope.parse(data, size_max=BYTES_MAX)
        kind = VOTE_TYPES.get(statement.kind)
        if kind is None:
            return statement.kind
        said: Any = schema.decode(statement.payload, kind, size_max=BYTES_MAX)
    except InvalidBytes as error:
        return f"damaged statement ({error})"
    digest = next(
        (getattr(said, name) for name in ("digest", "hash", "state") if hasattr(said, name)), b""
    )
    place = [str(getattr(said, n)) for n in ("view", "seq", "position") if hasattr(said, n)]
    return f"{statement.kind}({', '.join(place)}, {digest.hex()[:6]})"
