"""Serving states to those that fetch them: within bounds, and from the ledger's snapshots."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from protocols.messages import CHUNKS_PER_FETCH_MAX, AskState, FetchState, GiveState
from protocols.state_tree import StateTree
from protocols.step import ServeChunks, ServeOffer, Step

if TYPE_CHECKING:
    from protocols.pbft.core import Core

CHUNKS_PER_SECOND = 512
"""What one peer is served at most: 32 MiB a second."""
BURST_CHUNKS = 8 * CHUNKS_PER_FETCH_MAX
OFFER_PAUSE_MS = 200
T = TypeVar("T")

PEERS_MAX = 256
"""Peers whose use is remembered; of more the one that was served longest ago is forgotten."""


class StateServer:
    """Decides which questions for a state are answered."""

    def __init__(self, core: "Core") -> None:
        self._core = core
        self._offered_ms: dict[bytes, int] = {}
        self._spent: dict[bytes, tuple[int, int]] = {}
        """By peer: thousandths of chunks that it may not have yet, as of a time."""

    def on_ask(self, peer: bytes, ask: AskState, now_ms: int) -> Step:
        step = Step()
        if ask.after < self._core.executed and self._may_offer(peer, now_ms):
            step.serve.append(ServeOffer(self._core.committee.id, peer, ask.after))
        return step

    def on_fetch(self, peer: bytes, fetch: FetchState, now_ms: int) -> Step:
        step, count = Step(), len(set(fetch.chunks))
        spent, at_ms = self._spent.pop(peer, (0, now_ms))
        spent = max(0, spent - (now_ms - at_ms) * CHUNKS_PER_SECOND)
        is_served = spent + count * 1_000 <= BURST_CHUNKS * 1_000
        _remember(self._spent, peer, (spent + count * 1_000 if is_served else spent, now_ms))
        if is_served and fetch.position <= self._core.executed:
            chunks = tuple(sorted(set(fetch.chunks)))
            place = (self._core.committee.id, peer, fetch.position)
            step.serve.append(ServeChunks(*place, chunks))
        return step

    def _may_offer(self, peer: bytes, now_ms: int) -> bool:
        offered_ms = self._offered_ms.get(peer)
        if offered_ms is not None and now_ms < offered_ms + OFFER_PAUSE_MS:
            return False
        self._offered_ms.pop(peer, None)
        _remember(self._offered_ms, peer, now_ms)
        return True


def _remember(known: dict[bytes, T], peer: bytes, value: T) -> None:
    known[peer] = value
    if len(known) > PEERS_MAX:
        del known[next(iter(known))]


def give_chunks(
    serve: ServeChunks, tree: StateTree | None, held: Mapping[int, bytes]
) -> list[GiveState]:
    """The chunks that were asked for, each with its path in `tree`; without data where it is not
    among those `held`."""
    return [
        GiveState(
            committee=serve.committee,
            position=serve.position,
            chunk=index,
            data=held.get(index, b""),
            path=tree.get_path(index) if tree is not None and index in held else (),
        )
        for index in serve.chunks
    ]
