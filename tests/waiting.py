"""Waiting for what another process does: looked at again and again, with an end."""

import time
from collections.abc import Callable

PAUSE_S = 0.01


def wait_until(is_done: Callable[[], object], what: str, s_max: float) -> None:
    """Return once `is_done` is true; fail with `what` when that takes longer than `s_max`."""
    deadline = time.monotonic() + s_max
    while not is_done():
        assert time.monotonic() < deadline, f"not within {s_max:.0f} s: {what}"
        time.sleep(PAUSE_S)
