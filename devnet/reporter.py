"""Telling a person how a devnet goes: a live view on a terminal, plain lines elsewhere."""

import time
from typing import Protocol, TextIO

from rich.console import Console
from rich.live import Live

from devnet.view import Scene, SceneView, format_line

LIVE_EVERY_S = 0.25
LINE_EVERY_S = 2.0


class Reporter(Protocol):
    """Shows scenes; may leave some out. `close` leaves the terminal as it was."""

    def show(self, scene: Scene) -> None: ...

    def close(self) -> None: ...


class LiveReporter:
    """The view on a terminal, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False)
        self._next_s = 0.0
        self._started = False

    def show(self, scene: Scene) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + LIVE_EVERY_S
        if not self._started:
            self._live.start()
            self._started = True
        self._live.update(SceneView(scene), refresh=True)

    def close(self) -> None:
        if self._started:
            self._live.stop()
            self._started = False


class PlainReporter:
    """A line when the step changes, and every LINE_EVERY_S while there is something new."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._next_s = 0.0
        self._step = ""
        self._told: object = None

    def show(self, scene: Scene) -> None:
        now_s = time.monotonic()
        news = (scene.step, dict(scene.counts), [node.state for node in scene.nodes])
        if news == self._told or (scene.step == self._step and now_s < self._next_s):
            return
        self._next_s, self._step, self._told = now_s + LINE_EVERY_S, scene.step, news
        print(format_line(scene), file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing to put back."""
