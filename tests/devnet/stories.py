"""A true history to bend: four real agents of the real economy, one of which lies, and a restart
of nothing but the facts. Where a rule of the economy changes, the history changes with it."""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import replace

from crdt.facts import AnyFact
from devnet.history import History, HistoryEntry, Ordered
from protocols.economy.state import OrderedOperation
from tests.economy.world import World, digest

LIAR = "m1"
TASKS = 3


class Recorder(World):
    """A world that keeps what every batch did as the entries of a history."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[HistoryEntry] = []
        self._record(digest("genesis"), (), self.state.genesis_facts())

    def run(self, *operations: OrderedOperation, wait_ms: int = 0) -> tuple[AnyFact, ...]:
        facts = super().run(*operations, wait_ms=wait_ms)
        self._record(digest(f"batch {self.state.position}"), operations, facts)
        return facts

    def _record(
        self, batch: bytes, operations: tuple[OrderedOperation, ...], facts: tuple[AnyFact, ...]
    ) -> None:
        ordered = tuple(Ordered(o.digest, o.signer, o.operation.nonce) for o in operations)
        head = hashlib.sha256(b"head" + batch).digest()
        entry = HistoryEntry(self.state.position, batch, head, self.time_ms, ordered, facts)
        self.entries.append(entry)


@functools.cache
def record() -> Recorder:
    """m1 to m4 offer, m1, the cheapest, lies; alice's tasks are worked on until all have ended."""
    world = Recorder()
    world.run(*world.offer(*world.members))
    world.run(world.open("alice", count=TASKS))
    says = {name: "lie" if name == LIAR else "truth" for name in world.members}
    world.play(says)
    return world


def tell(node: str = "node-1") -> History:
    return History(node, record().committee.id, tuple(record().entries))


def get_liar() -> bytes:
    return record().keys[LIAR]


def bend(history: History, change: Callable[[AnyFact], AnyFact | list[AnyFact] | None]) -> History:
    """The history with each fact replaced by what `change` says: a fact, several, or None."""
    entries = []
    for entry in history.entries:
        facts: list[AnyFact] = []
        for fact in entry.facts:
            bent = change(fact)
            facts += bent if isinstance(bent, list) else [] if bent is None else [bent]
        entries.append(replace(entry, facts=tuple(facts)))
    return replace(history, entries=tuple(entries))


class Once:
    """Applies `change` to the first fact of `kind` and leaves all others alone."""

    def __init__(self, kind: type, change: Callable[[AnyFact], AnyFact | list[AnyFact] | None]):
        self._kind, self._change, self._done = kind, change, False

    def __call__(self, fact: AnyFact) -> AnyFact | list[AnyFact] | None:
        if self._done or not isinstance(fact, self._kind):
            return fact
        self._done = True
        return self._change(fact)
