"""Idempotency keys and their answers in the ledger's file, among the node's own notes."""

from node.idempotency import ANSWERS_KEPT_MAX, KeptAnswer
from node.ledger import Ledger
from node.ledger_states import Statements

_FORGET_OLD = (
    "DELETE FROM answers WHERE rowid <= (SELECT max(rowid) FROM answers) - ? AND status <> 0"
)
"""Keys under way are few: the API bounds its requests in flight."""
_FORGET_UNKNOWN = "DELETE FROM answers WHERE rowid <= (SELECT max(rowid) FROM answers) - ?"


class LedgerAnswers:
    """Implements AnswerStore."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def read(self, key: str) -> KeptAnswer | None:
        found = await self._ledger.read_answer(key)
        return None if found is None else KeptAnswer(*found)

    async def write(self, key: str, kept: KeptAnswer | None) -> None:
        statements: Statements = [("DELETE FROM answers WHERE key = ?", [(key,)])]
        if kept is not None:
            row = (key, kept.request, kept.status, kept.media, kept.body)
            statements.append(("INSERT INTO answers VALUES (?, ?, ?, ?, ?)", [row]))
            statements.append((_FORGET_OLD, [(ANSWERS_KEPT_MAX,)]))
            statements.append((_FORGET_UNKNOWN, [(2 * ANSWERS_KEPT_MAX,)]))
        await self._ledger.change(statements)
        await self._ledger.flush()
