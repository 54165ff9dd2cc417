"""`make test` runs on two processes: one starts networks of real nodes, one network at a time, and
the other has the rest."""

import os
import signal
from pathlib import Path

import pytest

PLACE = Path(__file__).parent
NETWORKS = ("system", "devnet", "bench")
"""Folders whose tests start several nodes each."""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Whoever runs the tests in the background ignores Ctrl-C, and processes inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.pop("COLUMNS", None)  # xdist sets it, and what no terminal shows has no width


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(PLACE).parts[0] in NETWORKS:
            item.add_marker(pytest.mark.xdist_group("networks"))
