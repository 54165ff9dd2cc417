"""All files of vectors, from the program and fixed seeds: the same bytes for the same program."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from devnet.vectors import (
    auction_results,
    consensus_traces,
    contradictions,
    economy_traces,
    epoch_changes,
    plain,
    proofs,
    rules,
    seals,
    statements,
    steps,
    view_changes,
)
from devnet.vectors.form import FORMAT, VERSION, InvalidVectors, VectorFile, encode_file, read_json
from devnet.vectors.trace_form import TRACE_PREFIX, Trace, encode_trace

MANIFEST, SCHEMA, README = "manifest.json", "schema.json", "README.md"
MAKERS = (
    statements.make_files,
    plain.make_files,
    proofs.make_files,
    contradictions.make_files,
    epoch_changes.make_files,
    rules.make_files,
    seals.make_files,
    steps.make_files,
    view_changes.make_files,
    auction_results.make_files,
)


def make_files() -> Iterator[VectorFile]:
    for make in MAKERS:
        yield from make()


def generate() -> dict[str, bytes]:
    """Every generated file by its name, but for the manifest."""
    files = {f"{file.kind}.json": encode_file(file) for file in make_files()}
    traces: list[Trace] = [*consensus_traces.make_traces(), *economy_traces.make_traces()]
    for trace in traces:
        files[f"{TRACE_PREFIX}{trace.name}.json"] = encode_trace(trace)
    files[SCHEMA] = make_schema()
    return files


def make_schema() -> bytes:
    """JSON Schema (2020-12) of a file of vectors or of a trace."""
    forms, parts = msgspec.json.schema_components([VectorFile, Trace])
    draft = "https://json-schema.org/draft/2020-12/schema"
    whole = {"$schema": draft, "anyOf": forms, "$defs": parts}
    return msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n"


def make_manifest(folder: Path) -> bytes:
    """SHA-256 of every other file of the folder."""
    files = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    manifest = {"format": f"{FORMAT}-manifest", "version": VERSION, "sha256": files}
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def write(folder: Path) -> list[str]:
    """Write what the program produces into `folder`, and the manifest of all that is there. Files
    of kinds that there are no more go away, if the manifest knew them: others are not the
    program's. Returns the names that changed."""
    folder.mkdir(parents=True, exist_ok=True)
    made = generate()
    changed = []
    for name in sorted((read_manifest(folder) or {}).keys() - made.keys()):
        if name.endswith(".json") and (folder / name).is_file() and "/" not in name:
            (folder / name).unlink()
            changed.append(name)
    for name, data in made.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            changed.append(name)
    (folder / MANIFEST).write_bytes(make_manifest(folder))
    return sorted(changed)


def find_differences(folder: Path) -> list[str]:
    """Names of files that are not what the program produces; empty when all are. Raises
    InvalidVectors for no folder."""
    if not folder.is_dir():
        raise InvalidVectors(f"{folder} is no folder")
    made = generate()
    there = {path.name for path in folder.glob("*.json")} - {MANIFEST}
    found = [
        name
        for name in sorted(made.keys() | there)
        if name not in made or not _holds(folder / name, made[name])
    ]
    if not _holds(folder / MANIFEST, make_manifest(folder)):
        found.append(MANIFEST)
    return found


def read_manifest(folder: Path) -> dict[str, str] | None:
    """The digests that the manifest names; None where there is none. Raises InvalidVectors."""
    path = folder / MANIFEST
    if not path.exists():
        return None
    match read_json(path):
        case {"sha256": {**sums}}:
            return {str(name): str(value) for name, value in sums.items()}
    raise InvalidVectors(f"{MANIFEST}: no sha256 of files in it")


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def find_folder() -> Path:
    """Where the vectors are: the source tree, or the package's data. Raises InvalidVectors."""
    import sys

    tree = Path(__file__).resolve().parents[2] / "tests" / "vectors"
    installed = Path(sys.prefix) / "share" / "econode" / "vectors"
    for folder in (tree, installed):
        if (folder / MANIFEST).is_file():
            return folder
    raise InvalidVectors(f"no vectors in {tree} or {installed}: name their folder")
