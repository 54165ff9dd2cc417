"""A committee: the members that run one PBFT instance at one epoch, and its quorum sizes.

An epoch begins after the position at which its members were decided, and ends with the position
that decides the next ones (`protocols/economy/membership.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from crdt.heads import Voters


def compute_faults(n: int) -> int:
    """f: how many Byzantine members a committee of n survives (Castro and Liskov, section 3)."""
    return (n - 1) // 3


def compute_quorum(n: int) -> int:
    """q: the least size of which any two sets share an honest member.

    2q - n > f, and q <= n - f so that f silent members stop nothing. For n = 3f+1 this is 2f+1;
    a literal 2f+1 is unsafe for other n.
    """
    return (n + compute_faults(n)) // 2 + 1


@dataclass(frozen=True, slots=True)
class Committee:
    """`members` are public keys in ascending order; view v is led by members[v mod n].

    The epoch orders the positions after `start`; epoch 0 begins with genesis, at 0. They are
    executed by this version of the semantics (`protocols/economy/upgrades.py`).
    """

    network: bytes
    id: bytes
    epoch: int
    members: tuple[bytes, ...]
    start: int = 0
    semantics: int = field(default=1, kw_only=True)
    n: int = field(init=False)
    f: int = field(init=False)
    q: int = field(init=False)
    _index: frozenset[bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.members or list(self.members) != sorted(set(self.members)):
            raise ValueError("members are distinct keys in ascending order, at least one")
        object.__setattr__(self, "n", len(self.members))
        object.__setattr__(self, "f", compute_faults(self.n))
        object.__setattr__(self, "q", compute_quorum(self.n))
        object.__setattr__(self, "_index", frozenset(self.members))

    def is_member(self, key: bytes) -> bool:
        return key in self._index

    def make_voters(self, end: int | None = None) -> Voters:
        """Who certifies heads in this epoch, which ends with position `end` if it has ended."""
        first = self.start + 1 if self.epoch else 0
        return Voters(self.epoch, self._index, self.q, first, end)

    def get_primary(self, view: int) -> bytes:
        return self.members[view % self.n]


def make_epochs(committees: Sequence[Committee]) -> tuple[Voters, ...]:
    """The voters of consecutive epochs, the last of which goes on."""
    ends = [*(later.start for later in committees[1:]), None]
    return tuple(each.make_voters(end) for each, end in zip(committees, ends, strict=True))
