"""A user's own HTTP service as a process."""

import subprocess
import sys
from pathlib import Path
from typing import Any


class OwnService:
    """`python PROGRAM 0`: a program that prints its URL once it serves."""

    def __init__(self, program: Path) -> None:
        self._program = program

    def __enter__(self) -> "OwnService":
        self._process = subprocess.Popen(
            [sys.executable, str(self._program), "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().decode().strip()
        assert self.url.startswith("http://127.0.0.1:")
        return self

    def __exit__(self, *_: Any) -> None:
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.kill()
        self._process.wait()
