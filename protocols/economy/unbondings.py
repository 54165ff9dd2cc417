"""Bonds on their way out: when each may go, and how much of an account's bond will stay.

What leaves is bonded until it is due, so a slash takes it too.
"""

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Collection, Iterator

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

    def __init__(self, waiting: Collection[Unbonding] = ()) -> None:
        self._waiting = sorted(waiting)
        self._amounts: Counter[bytes] = Counter()
        self._counts: Counter[bytes] = Counter()
        for unbonding in self._waiting:
            self._count(unbonding, 1)

    def __iter__(self) -> Iterator[Unbonding]:
        return iter(self._waiting)

    def get_amount(self, account: bytes) -> int:
        """How much of the account's bond is on its way out."""
        return self._amounts[account]

    def is_full(self, account: bytes) -> bool:
        return self._counts[account] >= UNBONDINGS_PER_ACCOUNT_MAX

    def list_of(self, account: bytes) -> list[Unbonding]:
        """The account's unbondings, in the order they fall due."""
        if not self._counts[account]:
            return []
        return [unbonding for unbonding in self._waiting if unbonding.account == account]

    def next_due_ms(self) -> int | None:
        return self._waiting[0].due_ms if self._waiting else None

    def add(self, unbonding: Unbonding) -> None:
        insort(self._waiting, unbonding)
        self._count(unbonding, 1)

    def list_due(self, time_ms: int) -> list[Unbonding]:
        """All that are due at `time_ms`."""
        end = bisect_right(self._waiting, time_ms, key=lambda unbonding: unbonding.due_ms)
        return self._waiting[:end]

    def remove(self, unbonding: Unbonding) -> None:
        del self._waiting[bisect_left(self._waiting, unbonding)]
        self._count(unbonding, -1)

    def drop(self, account: bytes) -> None:
        """Forget the account's unbondings: its bond burned."""
        for unbonding in self.list_of(account):
            self.remove(unbonding)

    def _count(self, unbonding: Unbonding, sign: int) -> None:
        account = unbonding.account
        self._amounts[account] += sign * unbonding.amount
        self._counts[account] += sign
        if not self._counts[account]:
            del self._counts[account], self._amounts[account]
