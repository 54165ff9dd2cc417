"""Bonds on their way out: when each may go, and how much of an account's bond will stay.

What leaves is bonded until it is due, so a slash takes it too.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator

import msgspec

UNBONDINGS_PER_ACCOUNT_MAX = 8
"""Unbondings that one account may have under way; an account without a bond has none."""


class Unbonding(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, order=True
):
    """`amount` credits of `account` that are free from `due_ms` on. Ordered by its fields; `nonce`
    numbers the account's operation that began it."""

    due_ms: int
    account: bytes
    nonce: int
    amount: int


class Unbondings:
    """All unbondings of a committee, in the order they fall due. Iterates over them."""

    def __init__(self, waiting: Iterable[Unbonding] = ()) -> None:
        self._waiting: list[Unbonding] = []
        self._of: dict[bytes, list[Unbonding]] = {}
        for unbonding in sorted(waiting):
            self.add(unbonding)

    def __iter__(self) -> Iterator[Unbonding]:
        return iter(self._waiting)

    def get_amount(self, account: bytes) -> int:
        """How much of the account's bond is on its way out."""
        return sum(unbonding.amount for unbonding in self._of.get(account, ()))

    def is_full(self, account: bytes) -> bool:
        return len(self._of.get(account, ())) >= UNBONDINGS_PER_ACCOUNT_MAX

    def list_of(self, account: bytes) -> list[Unbonding]:
        """The account's unbondings, in the order they fall due."""
        return list(self._of.get(account, ()))

    def next_due_ms(self) -> int | None:
        return self._waiting[0].due_ms if self._waiting else None

    def add(self, unbonding: Unbonding) -> None:
        insort(self._waiting, unbonding)
        insort(self._of.setdefault(unbonding.account, []), unbonding)

    def list_due(self, time_ms: int) -> list[Unbonding]:
        """All that are due at `time_ms`."""
        end = bisect_right(self._waiting, time_ms, key=lambda unbonding: unbonding.due_ms)
        return self._waiting[:end]

    def remove(self, unbonding: Unbonding) -> None:
        del self._waiting[bisect_left(self._waiting, unbonding)]
        mine = self._of[unbonding.account]
        mine.remove(unbonding)
        if not mine:
            del self._of[unbonding.account]

    def drop(self, account: bytes) -> None:
        """Forget the account's unbondings: its bond burned."""
        for unbonding in self.list_of(account):
            self.remove(unbonding)
