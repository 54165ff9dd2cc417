"""The simulated network: frames from one process to another, late, twice, damaged or never."""

from collections import Counter
from collections.abc import Callable
from random import Random

from devnet.sim.plan import Link

PPM = 1_000_000

Deliver = Callable[[int, int, bytes], None]
"""(source id, target id, frame)"""


class Network:
    """Links between processes, by id. Frames of one link keep their order unless it reorders."""

    def __init__(self, random: Random, link: Link, push: Callable[..., None]) -> None:
        self.link = link
        self.extra = Counter[str]()
        """Bursts on top of the link: loss, corrupt (shares in millionths) and delay (ms)."""
        self.counts = Counter[str]()
        self.cuts: Counter[tuple[int, int]] = Counter()
        """How many faults cut a link at present."""
        self._random = random.random
        self._push = push
        self._last_ms: dict[tuple[int, int], int] = {}
        self._update()

    def set_link(self, link: Link) -> None:
        self.link = link
        self._update()

    def add_burst(self, kind: str, value: int) -> None:
        """Raise a share or the delay by `value`; a negative value takes it back."""
        self.extra[kind] += value
        self._update()

    def cut(self, source: int, target: int, count: int) -> None:
        """Cut the link from source to target (`count` 1), or take that back (-1)."""
        self.cuts[source, target] += count
        if not self.cuts[source, target]:
            del self.cuts[source, target]

    def heal(self) -> None:
        self.cuts.clear()
        self.extra.clear()
        self._update()

    def send(self, now_ms: int, source: int, target: int, frame: bytes, late_ms: int = 0) -> None:
        """Put a frame on its way; `late_ms` is what the sender holds it back."""
        pair = (source, target)
        if self.cuts and pair in self.cuts:
            self.counts["cut"] += 1
            return
        link, random = self.link, self._random
        at_ms = now_ms + self._delay_ms + late_ms
        if link.jitter_ms:
            at_ms += int(random() * link.jitter_ms)
        if self._is_rough:
            if random() < self._loss:
                self.counts["loss"] += 1
                return
            if random() < self._duplicate:
                self.counts["duplicate"] += 1
                self._push(at_ms + int(random() * 100), source, target, frame)
            if random() < self._corrupt:
                self.counts["corrupt"] += 1
                frame = self._damage(frame)
            if random() < self._reorder:
                self.counts["reorder"] += 1
                self._push(at_ms + int(random() * 50), source, target, frame)
                return
        last_ms = self._last_ms.get(pair, 0)
        if at_ms < last_ms and not late_ms:
            at_ms = last_ms
        self._last_ms[pair] = at_ms
        self._push(at_ms, source, target, frame)

    def _damage(self, frame: bytes) -> bytes:
        """One bit flipped, or the end cut off."""
        place = int(self._random() * len(frame))
        if self._random() < 0.1:
            return frame[:place]
        bit = 1 << int(self._random() * 8)
        return frame[:place] + bytes([frame[place] ^ bit]) + frame[place + 1 :]

    def _update(self) -> None:
        link, extra = self.link, self.extra
        self._delay_ms = link.delay_ms + extra["delay"]
        self._loss = (link.loss_ppm + extra["loss"]) / PPM
        self._corrupt = (link.corrupt_ppm + extra["corrupt"]) / PPM
        self._duplicate = link.duplicate_ppm / PPM
        self._reorder = link.reorder_ppm / PPM
        self._is_rough = any((self._loss, self._corrupt, self._duplicate, self._reorder))
