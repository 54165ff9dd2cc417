"""The stake view: balances as a fold over the moves of facts.

There is no other balance engine. The ordered code (`protocols/economy`) keeps its balances by
the same `apply`, and whoever holds a committee's log gets the same numbers from it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from crdt.facts import COMMON, Bucket, Fact, Move, is_transit_account
from identity.errors import EconodeError

OWNED_BUCKETS: tuple[Bucket, ...] = ("free", "bonded", "locked", "escrow", "transit")
COMMON_BUCKETS: tuple[Bucket, ...] = ("treasury", "burned", "minted")


class Unbalanced(EconodeError):
    """A move that would leave a balance negative, or touches a bucket that is not there."""


class StakeView:
    """Balances by (account, bucket). `minted` counts what was ever created."""

    def __init__(self) -> None:
        self._balances: defaultdict[tuple[bytes, Bucket], int] = defaultdict(int)
        self._accounts: set[bytes] = set()

    def get(self, account: bytes, bucket: Bucket) -> int:
        return self._balances.get((account, bucket), 0)

    def accounts(self) -> Iterable[bytes]:
        """Every account of somebody that ever held credits, in ascending order."""
        return sorted(self._accounts)

    def has(self, account: bytes) -> bool:
        return account in self._accounts

    def apply(self, fact: Fact) -> None:
        """Apply all moves of a fact, or none: raises Unbalanced and changes nothing."""
        done: list[Move] = []
        try:
            for move in fact.moves:
                self._apply(move)
                done.append(move)
        except Unbalanced:
            for move in reversed(done):
                self._revert(move)
            raise

    def balances(self) -> Mapping[tuple[bytes, Bucket], int]:
        """All balances that are not zero, in ascending order of (account, bucket)."""
        return {key: value for key, value in sorted(self._balances.items()) if value}

    def restore(
        self, balances: Iterable[tuple[bytes, Bucket, int]], accounts: Iterable[bytes]
    ) -> None:
        """Take over what `balances` and `accounts` of another view gave."""
        self._balances = defaultdict(int, {(a, bucket): value for a, bucket, value in balances})
        self._accounts = set(accounts)

    def totals(self) -> dict[str, int]:
        """Credits by bucket; the conserved sum is `is_conserved`'s."""
        totals: dict[str, int] = dict.fromkeys((*OWNED_BUCKETS, *COMMON_BUCKETS), 0)
        for (_, bucket), value in self._balances.items():
            totals[bucket] += value
        return totals

    def is_conserved(self) -> bool:
        """Conservation: every credit ever minted is in exactly one other bucket."""
        totals = self.totals()
        minted = totals.pop("minted")
        return sum(totals.values()) == minted

    def _apply(self, move: Move) -> None:
        for account, bucket in (
            (move.source, move.source_bucket),
            (move.target, move.target_bucket),
        ):
            if (account == COMMON) != (bucket in COMMON_BUCKETS):
                raise Unbalanced(f"bucket {bucket} of account {account.hex()[:8]}")
            if bucket != "transit" and is_transit_account(account):
                raise Unbalanced(f"bucket {bucket} of what is in transit")
        if move.target_bucket == "minted":
            raise Unbalanced("nothing is ever moved back to the mint")
        source = (move.source, move.source_bucket)
        if move.source_bucket == "minted":
            self._balances[source] += move.amount
        elif self.get(*source) < move.amount:
            raise Unbalanced(
                f"{move.source.hex()[:8]} has {self.get(*source)} {move.source_bucket}, "
                f"{move.amount} are needed"
            )
        else:
            self._balances[source] -= move.amount
        self._balances[(move.target, move.target_bucket)] += move.amount
        if move.target != COMMON and not is_transit_account(move.target):
            self._accounts.add(move.target)

    def _revert(self, move: Move) -> None:
        source = (move.source, move.source_bucket)
        self._balances[source] += -move.amount if move.source_bucket == "minted" else move.amount
        self._balances[(move.target, move.target_bucket)] -= move.amount
