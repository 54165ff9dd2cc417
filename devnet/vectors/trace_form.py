"""Files of traces: cases of several steps, each with what must come out of it.

A step that must fail has `refused`, and leaves everything as it was.
"""

from typing import Annotated, Literal

import msgspec

from devnet.vectors.form import Hex, InvalidVectors, Layer, Name

TRACE_PREFIX = "traces-"
TRACE_FORMAT: Literal["econode/traces"] = "econode/traces"
STEPS_MAX = 10_000
Outputs = Annotated[tuple[Hex, ...], msgspec.Meta(max_length=STEPS_MAX)]


class BatchStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A committed batch: `operations` at the proposed time. `entry` is the log's next, encoded;
    `state_digest` what a checkpoint there certifies."""

    time_ms: int
    operations: tuple[Hex, ...] = ()
    facts: tuple[str, ...] = ()
    """Their kinds, for people."""
    entry: Hex = ""
    state_digest: Hex = ""
    refused: Layer | None = None


class EconomyTrace(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="economy", tag_field="kind"
):
    """Batches executed one after the other, from the genesis on."""

    format: Literal["econode/traces"]
    version: Literal[1]
    name: Name
    about: str
    genesis: Hex
    state: Hex
    """The state after position 0, in deterministic CBOR."""
    head: Hex
    steps: Annotated[tuple[BatchStep, ...], msgspec.Meta(max_length=STEPS_MAX)]


class Sent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A frame to one peer; without `to`, to every other member."""

    frame: Hex
    to: Hex = ""


class MemberStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One input of a member, and everything it does about it."""

    input: Literal["start", "frame", "timer", "durable"]
    now_ms: int
    peer: Hex = ""
    """Who delivered the frame."""
    frame: Hex = ""
    position: int = 0
    """Up to which the ledger is durable."""
    durable: tuple[str, ...] = ()
    """Kinds of the vote log's rows that must be synced before anything is sent."""
    sends: tuple[Sent, ...] = ()
    executed: tuple[Hex, ...] = ()
    """Hashes of the entries that follow in the log."""
    certified: tuple[int, ...] = ()
    """Positions whose heads a quorum signed."""
    evidence: tuple[tuple[Hex, Hex], ...] = ()
    """Pairs of contradicting statements."""
    refused: Layer | None = None
    """The frame is a fault of its sender, in this layer, and changes nothing."""
    view: int = 0
    position_after: int = 0


class ConsensusTrace(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="consensus", tag_field="kind"
):
    """What one member, whose key's seed is `seed`, hears, says and does."""

    format: Literal["econode/traces"]
    version: Literal[1]
    name: Name
    about: str
    genesis: Hex
    seed: Hex
    steps: Annotated[tuple[MemberStep, ...], msgspec.Meta(max_length=STEPS_MAX)]


Trace = EconomyTrace | ConsensusTrace


def encode_trace(trace: Trace) -> bytes:
    """A field a line, and a step a line."""
    fields = msgspec.to_builtins(trace)
    steps = b",\n".join(msgspec.json.encode(step) for step in fields.pop("steps"))
    lines = [f'"{name}": '.encode() + msgspec.json.encode(value) for name, value in fields.items()]
    return b"{\n" + b",\n".join(lines) + b',\n"steps": [\n' + steps + b"\n]\n}\n"


def decode_trace(data: bytes, name: str) -> Trace:
    """Raises InvalidVectors."""
    try:
        return msgspec.json.decode(data, type=Trace)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidVectors(f"{name}: {error}") from None
