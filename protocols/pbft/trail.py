"""The checkpoints that a replay passes.

Votes for a checkpoint are kept in memory until it is stable. Members that all restart before that
must vote again, also on positions that their ledgers are beyond, or no window ever moves.
"""

from dataclasses import dataclass

from protocols.messages import Checkpoint
from protocols.pbft.application import Application
from protocols.state_tree import digest_state

WINDOW_CHECKPOINTS = 2
"""Checkpoints in a window: nothing is ordered further beyond the last stable one."""


@dataclass(frozen=True, slots=True)
class Passed:
    """What a member votes on at a checkpoint, and the state there."""

    checkpoint: Checkpoint
    state: bytes

    @classmethod
    def make(cls, application: Application) -> "Passed":
        """Where the application stands."""
        state, head = application.dump_state(), application.get_head()
        return cls(Checkpoint(application.get_position(), head, digest_state(state)), state)


class Trail:
    """The checkpoints of one replay, every `interval` batches, that may not be stable yet: those
    less than a window before `last`, where it ends."""

    def __init__(self, interval: int, last: int) -> None:
        self._interval = interval
        self._after = last - WINDOW_CHECKPOINTS * interval
        self.passed: list[Passed] = []

    def note(self, application: Application) -> None:
        """A batch was executed again."""
        position = application.get_position()
        if position % self._interval == 0 and position > self._after:
            self.passed.append(Passed.make(application))
