"""What agents of all sorts share: they look at the state again whenever it has changed."""

import trio

from protocols.step import Certified, Executed, Transferred


class Woken:
    """A `Listener` (`node/driver.py`) for a task that waits for `_news` and then looks what to do.
    Whoever waits puts a new event in its place."""

    def __init__(self) -> None:
        self._news = trio.Event()

    def on_executed(self, executed: Executed) -> None:
        self._news.set()

    def on_transferred(self, transferred: Transferred) -> None:
        self._news.set()

    def on_certified(self, certified: Certified) -> None:
        """Nothing to do: what to do follows from what is executed."""
