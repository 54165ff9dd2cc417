"""Reading a folder of vectors, ours or an implementer's, and judging each by the program."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from devnet.vectors import consensus_traces, economy_traces
from devnet.vectors.check import Refused, run_check
from devnet.vectors.form import (
    FILES_MAX,
    InvalidVectors,
    Vector,
    VectorFile,
    decode_file,
    read_bytes,
)
from devnet.vectors.generate import MANIFEST, SCHEMA, read_manifest
from devnet.vectors.trace_form import TRACE_PREFIX, EconomyTrace, Trace, decode_trace

FAILURES_SHOWN_MAX = 100


class Failure(msgspec.Struct, frozen=True):
    """A vector that the program judges otherwise."""

    id: str
    comment: str
    expected: str
    got: str


class Report(msgspec.Struct, frozen=True):
    """`negative` are those that must be refused; `failed` those judged otherwise than they say, and
    traces that come out otherwise."""

    total: int
    negative: int
    failed: int
    acceptable: int
    kinds: int
    traces: int
    failures: tuple[Failure, ...]


def read_folder(folder: Path) -> Iterator[VectorFile]:
    """The files of vectors of a folder. Raises InvalidVectors."""
    for path in _list_files(folder):
        if not path.name.startswith(TRACE_PREFIX):
            yield decode_file(read_bytes(path), path.name)


def read_traces(folder: Path) -> Iterator[Trace]:
    """The traces of a folder. Raises InvalidVectors."""
    for path in _list_files(folder):
        if path.name.startswith(TRACE_PREFIX):
            yield decode_trace(read_bytes(path), path.name)


def _list_files(folder: Path) -> list[Path]:
    """Files of vectors and traces; a manifest, if there is one, must agree with them."""
    if not folder.is_dir():
        raise InvalidVectors(f"{folder} is no folder")
    paths = sorted(path for path in folder.glob("*.json") if path.name not in (MANIFEST, SCHEMA))
    if not paths or len(paths) > FILES_MAX:
        raise InvalidVectors(
            f"{folder} holds {len(paths)} files of vectors, 1 to {FILES_MAX} are allowed"
        )
    sums = read_manifest(folder)
    for path in paths if sums is not None else ():
        if (sums or {}).get(path.name) != hashlib.sha256(read_bytes(path)).hexdigest():
            raise InvalidVectors(f"{path.name} is not the file that {MANIFEST} names")
    return paths


def judge(file: VectorFile, vector: Vector) -> str:
    """ "valid", or the layer that refuses."""
    try:
        run_check(file.check, file.setting, bytes.fromhex(vector.data))
    except Refused as refused:
        return f"invalid ({refused.layer})"
    return "valid"


def expect(vector: Vector) -> str:
    return vector.verdict if vector.layer is None else f"{vector.verdict} ({vector.layer})"


def is_as_expected(vector: Vector, got: str) -> bool:
    """An implementer's refused vector may leave the layer out."""
    if vector.verdict == "acceptable":
        return True
    if vector.layer is None:
        return got.split()[0] == vector.verdict
    return got == expect(vector)


def verify(folder: Path) -> Report:
    """Judge every vector of a folder. Raises InvalidVectors for what is no vector at all."""
    total = negative = acceptable = kinds = failed = 0
    failures: list[Failure] = []
    for file in read_folder(folder):
        kinds += 1
        for vector in file.tests:
            total += 1
            negative += vector.verdict == "invalid"
            acceptable += vector.verdict == "acceptable"
            got = judge(file, vector)
            if is_as_expected(vector, got):
                continue
            failed += 1
            if len(failures) < FAILURES_SHOWN_MAX:
                failures.append(Failure(vector.id, vector.comment, expect(vector), got))
    traces = list(read_traces(folder))
    for trace in traces:
        difference = replay(trace)
        if difference is not None:
            failed += 1
            failures.append(Failure(trace.name, trace.about, "as told", difference))
    return Report(total, negative, failed, acceptable, kinds, len(traces), tuple(failures))


def replay(trace: Trace) -> str | None:
    """What differs first; None when all comes out as told. Raises InvalidVectors."""
    if isinstance(trace, EconomyTrace):
        return economy_traces.replay(trace)
    return consensus_traces.replay(trace)


def find_vector(folder: Path, id_: str) -> tuple[VectorFile, Vector]:
    """Raises InvalidVectors when there is none."""
    for file in read_folder(folder):
        for vector in file.tests:
            if vector.id == id_:
                return file, vector
    raise InvalidVectors(f"no vector is called {id_[:128]}; `econode vectors list` names the kinds")
