"""The main job: statistics of real files, by default the standard library's own sources.

A file is read once: its bytes become a task's input, and what a plain single-process run gives
for the very same bytes is kept to compare with.
"""

import random
import stat
import sysconfig
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from node import file_stats
from node.problem import Problem
from protocols.economy.operations import BLOB_BYTES_MAX

TASKS_DEFAULT = 64
TASKS_MIN = 60
"""Fewer would not be the default job: a standard library always has more."""
SOURCE_BYTES_MAX = 256 * 1024
FILES_MAX = 2_000
FILE_BYTES_MAX = BLOB_BYTES_MAX
JOB_BYTES_MAX = 1024 * 1024 * 1024
_SKIPPED_FOLDERS = frozenset({"site-packages", "dist-packages", "__pycache__"})


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of the job; `name` is its path inside the job's folder, with slashes."""

    name: str
    path: Path
    size_bytes: int


@dataclass(slots=True)
class PlainRun:
    """What one process computes without any network; `seconds` is the computing alone."""

    outputs: dict[str, bytes] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, name: str, data: bytes) -> None:
        start = time.perf_counter()
        self.outputs[name] = file_stats.stats(data)
        self.seconds += time.perf_counter() - start


def choose_files(job: Path | None, seed: int | None) -> tuple[SourceFile, ...]:
    """The files of the job in order of their names. Raises Problem `no-job`.

    Without a folder: TASKS_DEFAULT source files of this machine's standard library, the same
    ones for the same seed.
    """
    if job is not None:
        return _check_bounds(job, list_files(job))
    library = Path(sysconfig.get_path("stdlib"))
    sources = [
        file
        for file in list_files(library, _SKIPPED_FOLDERS)
        if file.name.endswith(".py") and 0 < file.size_bytes <= SOURCE_BYTES_MAX
    ]
    if len(sources) < TASKS_MIN:
        raise Problem(
            "no-job",
            f"the standard library has {len(sources)} source files here, {TASKS_MIN} are needed",
            where=str(library),
            remedy="give files of your own: econode devnet --job FOLDER",
        )
    chosen = random.Random(seed or 0).sample(sources, min(TASKS_DEFAULT, len(sources)))
    return tuple(sorted(chosen, key=lambda file: file.name))


def list_files(folder: Path, skipped: Collection[str] = ()) -> list[SourceFile]:
    """Regular files below `folder`, by name, but for those in folders called one of `skipped`.

    Links are not followed. Raises Problem `no-job`.
    """
    if not folder.is_dir():
        raise Problem("no-job", "there is no such folder", where=str(folder))
    found: list[SourceFile] = []
    waiting = [folder]
    while waiting:
        try:
            children = sorted(waiting.pop().iterdir())
            for path in children:
                status = path.lstat()
                if stat.S_ISDIR(status.st_mode) and path.name not in skipped:
                    waiting.append(path)
                elif stat.S_ISREG(status.st_mode):
                    name = path.relative_to(folder).as_posix()
                    found.append(SourceFile(name, path, status.st_size))
        except OSError as error:
            raise _unreadable(error) from None
    return sorted(found, key=lambda file: file.name)


def read_file(file: SourceFile) -> bytes:
    """The bytes of a file, at most FILE_BYTES_MAX. Raises Problem `no-job`."""
    try:
        with open(file.path, "rb") as opened:
            data = opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise _unreadable(error) from None
    if len(data) > FILE_BYTES_MAX:
        raise Problem(
            "no-job", f"a file may have {FILE_BYTES_MAX} bytes at most", where=str(file.path)
        )
    return data


def count_wrong(outputs: Mapping[str, bytes], plain: Mapping[str, bytes]) -> int:
    """Results (by file name) that are not byte for byte what the plain run gave."""
    return sum(plain.get(name) != output for name, output in outputs.items())


def _check_bounds(folder: Path, files: list[SourceFile]) -> tuple[SourceFile, ...]:
    if not files:
        raise Problem(
            "no-job",
            "there is no regular file in this folder",
            where=str(folder),
            remedy="give a folder with at least one file",
        )
    if len(files) > FILES_MAX:
        detail = f"{len(files)} files, one job has {FILES_MAX} at most"
        raise Problem("no-job", detail, where=str(folder), remedy="give a smaller folder")
    for file in files:
        if file.size_bytes > FILE_BYTES_MAX:
            raise Problem(
                "no-job",
                f"{file.size_bytes} bytes, a file may have {FILE_BYTES_MAX} at most",
                where=str(file.path),
                remedy="move it out of the folder",
            )
    total = sum(file.size_bytes for file in files)
    if total > JOB_BYTES_MAX:
        detail = f"{total} bytes, one job has {JOB_BYTES_MAX} at most"
        raise Problem("no-job", detail, where=str(folder), remedy="give a smaller folder")
    return tuple(files)


def _unreadable(error: OSError) -> Problem:
    return Problem(
        "no-job",
        f"cannot read: {error.strerror}",
        where=str(error.filename or ""),
        remedy="give a folder that you may read",
    )
