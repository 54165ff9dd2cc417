"""Files that are written whole or not at all, and read with a bound."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from node.problem import Problem

PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644


def read_bounded(path: Path, size_max: int) -> bytes:
    """The file's content. Raises Problem when it is larger than `size_max` bytes, and OSError."""
    with path.open("rb") as file:
        data = file.read(size_max + 1)
    if len(data) > size_max:
        raise Problem("too-large", f"more than {size_max} bytes", where=str(path))
    return data


def write_atomic(path: Path, data: bytes, *, mode: int = PUBLIC_MODE) -> None:
    """Put `data` at `path`: after a crash the old content is there, or the new, never a part."""
    with open_atomic(path, mode=mode) as file:
        file.write(data)


@contextlib.contextmanager
def open_atomic(path: Path, *, mode: int = PUBLIC_MODE) -> Iterator[BinaryIO]:
    """A file to write into that takes the place of `path` when the block ends well; when it does
    not, nothing has changed.

    One process at a time may write in a folder (the home's lock sees to that): the temporary
    name is fixed, so that what a crash left behind is taken over by the next write.
    """
    fresh = path.with_name(f".{path.name}.econode-new")
    fresh.unlink(missing_ok=True)  # left by a crash; opened anew so that `mode` holds
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)  # there only if something failed
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
