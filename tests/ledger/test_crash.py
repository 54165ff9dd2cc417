"""kill -9 of a writing process loses no row that was acknowledged, and leaves no half batch."""

import subprocess
import sys
from pathlib import Path

import pytest
import trio_asyncio

from node.ledger import Ledger
from node.ledger_verify import verify_ledger
from tests.ledger.network import Network

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("lines", [1, 7, 23])
async def test_no_acknowledged_row_is_lost(tmp_path: Path, lines: int) -> None:
    network = Network()
    path = tmp_path / "ledger.sqlite3"
    with subprocess.Popen(
        [sys.executable, "-m", "tests.ledger.writer", str(path)], stdout=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(lines)]
        process.kill()
        acknowledged += [int(line) for line in process.stdout.read().split(b"\n")[:-1] if line]
    report = verify_ledger(path, network.genesis)
    assert report.findings == []
    assert report.position >= acknowledged[-1]
    async with trio_asyncio.open_loop(), Ledger.open(path, network.id) as ledger:
        assert await ledger.get_last(network.committee.id) == (report.position, report.head)
