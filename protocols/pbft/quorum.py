"""Counting votes: distinct member signers of one digest, verified no earlier than they matter.

A vote that its own signer delivered (the channel proves who sent it) is kept unverified until
counting it could complete a quorum, and is then verified; once a quorum stands, further votes
cost nothing. A vote relayed by somebody else is verified on arrival, so that nobody can block a
member's vote with a forged one.
"""

from collections.abc import Callable
from dataclasses import dataclass

from identity.envelope import Statement
from identity.errors import InvalidSignature

Check = Callable[[Statement], None]
"""Verifies a statement's signature; raises InvalidSignature."""


@dataclass(slots=True)
class _Vote:
    digest: bytes
    statement: Statement
    is_verified: bool


class Tally:
    """The votes of one phase for one slot: at most one a signer."""

    __slots__ = ("_votes",)

    def __init__(self) -> None:
        self._votes: dict[bytes, _Vote] = {}

    def add(
        self, statement: Statement, digest: bytes, *, is_verified: bool, check: Check
    ) -> Statement | None:
        """Count a vote. Returns the signer's earlier, verified statement for another digest, if
        there is one: together they are evidence. Raises InvalidSignature when a vote that
        contradicts an earlier one does not verify."""
        known = self._votes.get(statement.signer)
        if known is None:
            self._votes[statement.signer] = _Vote(digest, statement, is_verified)
            return None
        if known.digest == digest:
            return None
        if not is_verified:
            check(statement)
        if not known.is_verified:
            try:
                check(known.statement)
            except InvalidSignature:
                self._votes[statement.signer] = _Vote(digest, statement, True)
                return None
            known.is_verified = True
        return known.statement

    def has(self, signer: bytes) -> bool:
        return signer in self._votes

    def collect(self, digest: bytes, size: int, check: Check) -> dict[bytes, Statement] | None:
        """`size` or more verified votes for `digest` by signer, or None; drops forged ones."""
        matching = [vote for vote in self._votes.values() if vote.digest == digest]
        if len(matching) < size:
            return None
        matching.sort(key=lambda vote: not vote.is_verified)
        found: dict[bytes, Statement] = {}
        for vote in matching:
            if not vote.is_verified:
                if len(found) >= size:
                    break
                try:
                    check(vote.statement)
                except InvalidSignature:
                    del self._votes[vote.statement.signer]
                    continue
                vote.is_verified = True
            found[vote.statement.signer] = vote.statement
        return found if len(found) >= size else None

    def get_statements(self) -> list[Statement]:
        """All votes that are kept."""
        return [vote.statement for vote in self._votes.values()]
