"""The views of one committee as a pycrdt document, for dashboards, live deltas and Yjs clients.

A way out only: the document is written by this fold alone and never reads an update of anyone
else (a foreign Yjs update can crash the process or diverge silently). Amounts are decimal
strings, since numbers become floats there; keys and ids are hexadecimal.

    stake       account -> {bucket: amount}      the common buckets' account is "common"
    reputation  agent   -> {good, bad, score_ppm}
    tasks       task    -> {state, requester, capability, round, budget, winner, price, ...}
    directory   agent   -> {price_hint, expires_ms, addresses, capabilities}
    data        author  -> namespace -> {key: bytes}, or the number of bytes where they are many

Equal calls in equal order with an equal client id give equal bytes; the node calls once for each
entry. Nested values are Y.Maps written key by key: a plain dict's order varies by process.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from pycrdt import Array, Doc, Map, Subscription, TransactionEvent

from crdt.facts import COMMON, Bucket, Fact, Score, Snapshot
from crdt.items import Card
from crdt.stake import StakeView
from crdt.tasks import ENDED_STATES, TaskRow, fold_task, get_task

TASKS_MAX = 2_000
"""Tasks shown. The oldest go first; the ledger keeps them all."""
VALUE_BYTES_SHOWN_MAX = 1_024
"""Of a longer value of application data the document shows the length, a decimal string."""

_Fields = Mapping[str, str]


class Document:
    """Folds facts and cards; see the module's docstring."""

    def __init__(self, client_id: int) -> None:
        self._doc: Doc[Any] = Doc(client_id=client_id)
        self._roots: dict[str, Map[Any]] = {
            name: self._doc.get(name, type=Map)
            for name in ("stake", "reputation", "tasks", "directory", "data")
        }
        self._rows: dict[tuple[str, str], Map[Any]] = {}
        self._values: dict[tuple[str, str], dict[str, str]] = {}
        self._stake = StakeView()
        self._tasks: dict[bytes, TaskRow] = {}
        self._data: dict[tuple[str, str], dict[str, bytes | str]] = {}
        self._data_maps: dict[tuple[str, ...], Map[Any]] = {}

    def apply_facts(self, facts: Iterable[Fact], time_ms: int) -> None:
        """Fold the facts of one entry, which happened at agreed time `time_ms`.

        One transaction, so one delta for the observers. Raises Unbalanced for facts that do not
        follow what was applied before; the facts before that one have been applied.
        """
        stakes: dict[tuple[bytes, Bucket], None] = {}
        tasks: dict[bytes, None] = {}
        snapshot: Snapshot | None = None
        with self._doc.transaction():
            try:
                for fact in facts:
                    self._stake.apply(fact)
                    for move in fact.moves:
                        stakes[(move.source, move.source_bucket)] = None
                        stakes[(move.target, move.target_bucket)] = None
                    if (task := self._fold_task(fact, time_ms)) is not None:
                        tasks[task] = None
                    snapshot = fact if isinstance(fact, Snapshot) else snapshot
            finally:
                self._write_stakes(stakes)
                self._write_tasks(tasks)
                if snapshot is not None:
                    self._write_scores(snapshot.scores)

    def restore(
        self,
        balances: Iterable[tuple[bytes, Bucket, int]],
        scores: Iterable[Score],
        tasks: Iterable[TaskRow],
    ) -> None:
        """Show a state instead of what the facts before it gave: its balances, its scores and the
        tasks that are under way in it. Tasks that were shown and have ended since stay as the last
        fact left them if they had ended, and go if they had not."""
        with self._doc.transaction():
            former = set(self._stake.balances())
            self._stake = StakeView()
            self._stake.restore(balances, ())
            self._write_stakes({**dict.fromkeys(former), **dict.fromkeys(self._stake.balances())})
            self._write_scores(scores)
            for task in [t for t, r in self._tasks.items() if r.state not in ENDED_STATES]:
                del self._tasks[task]
                self._remove("tasks", task.hex())
            found = {row.task: row for row in tasks}
            self._tasks.update(found)
            self._write_tasks(found)

    def apply_card(self, agent: bytes, card: Card | None) -> None:
        """Show the agent's newest card, or none."""
        if card is None and ("directory", agent.hex()) not in self._rows:
            return
        with self._doc.transaction():
            if card is None:
                self._remove("directory", agent.hex())
                return
            fields = {"price_hint": str(card.price_hint), "expires_ms": str(card.expires_ms)}
            self._write("directory", agent.hex(), fields)
            row = self._rows[("directory", agent.hex())]
            row["addresses"] = Array(list(card.addresses))
            row["capabilities"] = Array(
                [f"{each.name} {each.version} {each.id.hex()}" for each in card.capabilities]
            )

    def apply_data(self, author: bytes, namespace: str, key: str, value: bytes | None) -> None:
        """Show the author's value under a key, or none."""
        place = (author.hex(), namespace)
        shown: bytes | str | None = value
        if value is not None and len(value) > VALUE_BYTES_SHOWN_MAX:
            shown = str(len(value))
        known = self._data.get(place, {})
        if known.get(key) == shown:
            return
        with self._doc.transaction():
            if shown is None:
                self._remove_data(place, key)
            else:
                known = self._data.setdefault(place, known)
                known[key] = shown
                self._get_data_map(place)[key] = shown

    def list_data(self) -> list[tuple[bytes, str, str]]:
        """Author, namespace and key of each value shown, ascending."""
        return sorted(
            (bytes.fromhex(author), namespace, key)
            for (author, namespace), keys in self._data.items()
            for key in keys
        )

    def snapshot(self) -> bytes:
        """The whole document as a Yjs v1 update."""
        return self._doc.get_update()

    def observe(self, callback: Callable[[bytes], None]) -> Subscription:
        """Call `callback` with the Yjs update of each change; end it with `unobserve`.

        The callback runs inside the call that changes the document and must not raise.
        """

        def hear(event: TransactionEvent) -> None:
            callback(event.update)

        return self._doc.observe(hear)

    def unobserve(self, subscription: Subscription) -> None:
        self._doc.unobserve(subscription)

    def to_dict(self) -> dict[str, object]:
        """The content as plain values."""
        return {name: root.to_py() for name, root in self._roots.items()}

    def _fold_task(self, fact: Fact, time_ms: int) -> bytes | None:
        """The task that the fact changed."""
        task = get_task(fact)
        if task is None:
            return None
        before = self._tasks.get(task)
        row = fold_task(before, fact, time_ms)
        if row is None or row is before:
            return None
        self._tasks[task] = row
        return task

    def _write_stakes(self, touched: Iterable[tuple[bytes, Bucket]]) -> None:
        changed: dict[bytes, dict[str, str]] = {}
        for account, bucket in touched:
            amount = str(self._stake.get(account, bucket))
            changed.setdefault(account, {})[bucket] = amount
        for account, fields in changed.items():
            self._write("stake", "common" if account == COMMON else account.hex(), fields)

    def _write_tasks(self, touched: Iterable[bytes]) -> None:
        for task in touched:
            values = msgspec.structs.asdict(self._tasks[task])
            fields = {name: _show(value) for name, value in values.items()}
            del fields["task"]
            self._write("tasks", task.hex(), fields)
        while len(self._tasks) > TASKS_MAX:
            oldest = next(iter(self._tasks))
            del self._tasks[oldest]
            self._remove("tasks", oldest.hex())

    def _write_scores(self, scores: Iterable[Score]) -> None:
        for score in scores:
            fields = {
                "good": str(score.good),
                "bad": str(score.bad),
                "score_ppm": str(score.score_ppm),
            }
            self._write("reputation", score.agent.hex(), fields)

    def _write(self, root: str, key: str, fields: _Fields) -> None:
        """Set the fields of a row that differ, in their order."""
        place = (root, key)
        row = self._rows.get(place)
        if row is None:
            row = self._rows[place] = Map()
            self._roots[root][key] = row
        known = self._values.setdefault(place, {})
        for name, value in fields.items():
            if known.get(name) != value:
                known[name] = value
                row[name] = value

    def _get_data_map(self, path: tuple[str, ...]) -> Map[Any]:
        """The map at (author,) or (author, namespace), made where it is missing."""
        found = self._data_maps.get(path)
        if found is None:
            above = self._roots["data"] if len(path) == 1 else self._get_data_map(path[:-1])
            found = self._data_maps[path] = Map()
            above[path[-1]] = found
        return found

    def _remove_data(self, place: tuple[str, str], key: str) -> None:
        """Take a key out, and the maps that are empty then."""
        del self._data[place][key]
        del self._data_maps[place][key]
        if self._data[place]:
            return
        author, namespace = place
        del self._data[place], self._data_maps[place], self._data_maps[(author,)][namespace]
        if not len(self._data_maps[(author,)]):
            del self._data_maps[(author,)], self._roots["data"][author]

    def _remove(self, root: str, key: str) -> None:
        if self._rows.pop((root, key), None) is not None:
            del self._values[(root, key)]
            del self._roots[root][key]


def _show(value: object) -> str:
    """What is not known yet, or no longer, is empty."""
    if value is None:
        return ""
    return value.hex() if isinstance(value, bytes) else str(value)
