"""The files of vectors: their structs, and how they are written and read.

A file holds one kind: what its vectors have in common, and the vectors, one a line. What a file
says is foreign until it is read here: sizes are bounded and unknown fields refused.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from identity.errors import EconodeError

FORMAT: Literal["econode/vectors"] = "econode/vectors"
VERSION: Literal[1] = 1
FILE_BYTES_MAX = 32 * 1024 * 1024
FILES_MAX = 1_000
TESTS_MAX = 100_000
CELL_TESTS_MAX = 5
"""Vectors of one kind with one flag: variety, not volume."""

Layer = Literal["frame", "cbor", "cose", "schema", "semantics"]
Verdict = Literal["valid", "invalid", "acceptable"]
Hex = Annotated[str, msgspec.Meta(pattern="^([0-9a-f][0-9a-f])*$")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern="^[0-9A-Za-z_/.-]*$")]


class InvalidVectors(EconodeError):
    """A file that is no file of vectors; the message names it and the fault."""


class Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A value in CBOR: in diagnostic notation (RFC 8949 section 8) and encoded. Without `hex` it
    is the vector's `data` that encodes it."""

    diagnostic: str = ""
    hex: Hex = ""


class Signer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose key signed; the seed is the private key of RFC 8032."""

    seed: Hex
    public: Hex
    peer: str


class Signing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is computed on the way to a signature (RFC 9052 section 4.4). Of refused vectors only
    the bytes that were signed."""

    to_be_signed: Hex
    protected: Hex = ""
    external_aad: Hex = ""
    sig_structure: str = ""
    """In diagnostic notation; `to_be_signed` is its encoding."""
    signature: Hex = ""


class Vector(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One test: `data` must be judged as `verdict` says."""

    id: Name
    comment: str
    flags: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=8)]
    verdict: Verdict
    data: Hex
    """The bytes to be judged; of statements the envelope."""
    layer: Layer | None = None
    """Which layer must refuse it."""
    input: Content | None = None
    """What was signed or encoded; absent where `data` was changed afterwards."""
    signer: Signer | None = None
    signing: Signing | None = None


class Setting(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a check needs to know beside the bytes."""

    network: Hex = ""
    committee: Hex = ""
    epoch: int = 0
    kind: str = ""
    """The type that the envelope must name."""
    rule: str = ""
    """The rule of docs/protocol.cddl for the content."""
    members: tuple[Hex, ...] = ()
    """In ascending order. Empty: anybody may sign."""
    size_max: int = 0
    """Longest data, in bytes; 0 where only the content is bounded."""
    start: int = 0
    """The position after which the epoch begins."""
    window: int = 0
    """Of view changes: two checkpoint intervals; nothing is prepared further than twice that
    beyond the base."""
    now_ms: int = 0
    anchor_ms: int = 0
    unbonding_ms: int = 0
    """Of light proofs: the reader's clock, when the members were known, how long that holds."""


class VectorFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All vectors of one kind."""

    format: Literal["econode/vectors"]
    version: Literal[1]
    kind: Name
    check: Name
    about: str
    setting: Setting
    flags: dict[str, str]
    """What each flag stands for."""
    tests: Annotated[tuple[Vector, ...], msgspec.Meta(max_length=TESTS_MAX)]


def encode_file(file: VectorFile) -> bytes:
    """The file's bytes: the head in a line each, then a line for each vector."""
    head = {
        "format": file.format,
        "version": file.version,
        "kind": file.kind,
        "check": file.check,
        "about": file.about,
        "setting": file.setting,
        "flags": file.flags,
    }
    lines = [f'"{name}": '.encode() + msgspec.json.encode(value) for name, value in head.items()]
    tests = b",\n".join(msgspec.json.encode(test) for test in file.tests)
    return b"{\n" + b",\n".join(lines) + b',\n"tests": [\n' + tests + b"\n]\n}\n"


def decode_file(data: bytes, name: str) -> VectorFile:
    """Raises InvalidVectors."""
    try:
        return msgspec.json.decode(data, type=VectorFile)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidVectors(f"{name}: {error}") from None


def read_bytes(path: Path) -> bytes:
    """A file's bytes, as many as a file of vectors may have. Raises InvalidVectors."""
    try:
        with path.open("rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise InvalidVectors(f"{path.name}: {error}") from None
    if len(data) > FILE_BYTES_MAX:
        raise InvalidVectors(f"{path.name}: more than {FILE_BYTES_MAX} bytes")
    return data


def read_json(path: Path) -> Any:
    """A bounded JSON file. Raises InvalidVectors."""
    try:
        return msgspec.json.decode(read_bytes(path))
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidVectors(f"{path.name}: {error}") from None
