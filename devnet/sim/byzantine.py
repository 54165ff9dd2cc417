"""What Byzantine members do to the messages that leave them.

A Byzantine member runs the product's core and lies with its own key only: between its core and
the network stands a sender that delays, drops, changes and signs anew. Twins are two processes of
one key, each of which talks to a side of the committee (Bano et al., Twins, 2020).
"""

import hashlib
from collections.abc import Iterable
from random import Random
from typing import TYPE_CHECKING

import msgspec

from devnet.sim.mutate import (
    equivocate,
    falsify_chunk,
    falsify_offer,
    leave_out,
    leave_views,
    mutate,
    prepare_own,
    propose_another,
    usurp,
    weaken_certificates,
)
from devnet.sim.plan import VIEW_LIES, Byzantine, Habit
from node.router import AnyHop
from protocols.messages import (
    Batches,
    CarryNewView,
    CarryViewChange,
    GiveState,
    Hop,
    OfferState,
    Propose,
    Status,
    Submit,
    Votes,
)

if TYPE_CHECKING:
    from devnet.sim.member import Member
    from devnet.sim.world import World

MUTATED_SHARE = 0.25
SLOW_MS = (150, 700, 1_500, 1_900)
"""How long a slow member holds back what it says: under the timeout of the others."""
AFTER_OFFER_MS = (0, 50, 200, 400)
"""How long after its offer of a state a liar follows it up: before `OFFER_WAIT_MS` is over."""
BOTH = 2


class Sender:
    """An honest member's: everything goes out at once."""

    def __init__(self, world: "World", member: "Member") -> None:
        self._world, self._member = world, member

    def send(self, to: bytes | None, message: Hop) -> None:
        self._world.send_frame(self._member, to, message)

    def hears(self, source: "Member") -> bool:
        """Whether what `source` sends to this key comes to this process."""
        return True

    def listen(self, message: AnyHop) -> AnyHop:
        """What this process makes of a message that has come."""
        return message


class _Liar(Sender):
    """Base of what lies: gives each receiver its own message, or none."""

    def __init__(self, world: "World", member: "Member", liar: Byzantine) -> None:
        super().__init__(world, member)
        self._random = Random(world.plan.seed * 31 + member.id)

    def send(self, to: bytes | None, message: Hop) -> None:
        for key in [to] if to is not None else self._others():
            for changed, late_ms in self.choose(key, message):
                self._world.send_frame(self._member, key, changed, late_ms)

    def choose(self, to: bytes, message: Hop) -> Iterable[tuple[Hop, int]]:
        """What goes to `to` instead of `message`, each with its delay."""
        return ((message, 0),)

    def _others(self) -> list[bytes]:
        committee = self._member.core.committee
        return [key for key in committee.members if key != self._member.public]

    def _first_others(self) -> list[bytes]:
        """The other members that there were at the start."""
        return [key for key in self._world.committee.members if key != self._member.public]

    def _count(self, what: str) -> None:
        self._world.fault_counts[what] += 1


class _Twin(_Liar):
    """Talks and listens to one side; some members are on both."""

    def __init__(self, world: "World", member: "Member", liar: Byzantine) -> None:
        super().__init__(world, member, liar)
        sides = Random(world.plan.seed * 17 + member.index)
        self._sides = {key: sides.choice((0, 1, BOTH)) for key in world.committee.members}
        self._side = member.id // 100

    def choose(self, to: bytes, message: Hop) -> Iterable[tuple[Hop, int]]:
        if self._sides.get(to, BOTH) in (self._side, BOTH):
            self._count("twins")
            return ((message, 0),)
        return ()

    def hears(self, source: "Member") -> bool:
        return self._sides.get(source.public, BOTH) in (self._side, BOTH)


class _Mutator(_Liar):
    """Changes some of what it says, signs it anew, and repeats old words.

    Its habit, if it has one: the same lie about each view that it leaves or leads; boasting of
    batches that nobody has while it proposes nothing; leaving its view again and again;
    proposing other batches than its NEW-VIEW announced; handing on epochs without a quorum; or
    states that no quorum certified, some after an honest offer of the same.
    """

    def __init__(self, world: "World", member: "Member", liar: Byzantine) -> None:
        super().__init__(world, member, liar)
        self._said: list[Hop] = []
        self._habit, self._is_alike = liar.habit, liar.alike
        self._lie = liar.habit if liar.habit in VIEW_LIES else None
        self._carried: dict[bytes, bytes] = {}
        """What was sent in place of each VIEW-CHANGE, by its digest."""

    def send(self, to: bytes | None, message: Hop) -> None:
        if to is not None or not self._is_alike:
            super().send(to, message)
            return
        for changed, late_ms in self.choose(b"", message):
            self._world.send_frame(self._member, None, changed, late_ms)

    def choose(self, to: bytes, message: Hop) -> Iterable[tuple[Hop, int]]:
        random = self._random
        if self._habit != "boast" or not isinstance(message, Status):
            self._remember(message)  # who boasts never takes it back by repeating the truth
        if self._habit == "false_state" and isinstance(message, OfferState):
            return self._offer(message)
        indulged = self._indulge(message)
        if indulged is not None:
            self._count("mutate")
            return ((part, 0) for part in indulged)
        if random.random() >= MUTATED_SHARE:
            return ((message, 0),)
        self._count("mutate")
        key, committee = self._member.key, self._member.core.committee
        if random.random() < 0.2:
            return ((random.choice(self._said), 0), (message, 0))
        if isinstance(message, Votes) and random.random() < 0.1:
            return ((usurp(random, key, committee, self._member.core), 0), (message, 0))
        changed = mutate(random, key, committee, message, self._lie)
        return ((changed, 0), (message, 0)) if random.random() < 0.3 else ((changed, 0),)

    def _remember(self, message: Hop) -> None:
        if len(self._said) < 64:
            self._said.append(message)
        elif self._random.random() < 0.1:
            self._said[self._random.randrange(64)] = message

    def _indulge(self, message: Hop) -> list[Hop] | None:
        """What its habits make of a message; None when they do not concern it."""
        key, committee = self._member.key, self._member.core.committee
        if self._lie is not None:
            return self._lie_of_views(message, self._lie)
        if self._habit == "weak_proofs" and isinstance(message, Batches):
            return [weaken_certificates(message)]
        if self._habit == "false_state" and isinstance(message, GiveState):
            return [falsify_chunk(message)]
        if self._habit == "boast" and isinstance(message, Status):
            return [msgspec.structs.replace(message, executed=message.executed + 1_000)]
        if self._habit == "boast" and isinstance(message, Propose):
            return []
        if self._habit == "another_batch" and isinstance(message, Propose):
            expected = self._member.core.views.expected
            return propose_another(key, committee, message, expected, is_null=False)
        if self._habit == "restless" and isinstance(message, Status):
            core = self._member.core
            return [message, leave_views(key, committee, core, core.view + 1)]
        return None

    def _offer(self, message: OfferState) -> Iterable[tuple[Hop, int]]:
        """A false offer; or the true one, which stands among the sources, and a false one of the
        same state after it; or only the true one: whom it lets choose it may lie to about the
        chunks."""
        self._count("mutate")
        random, committee = self._random, self._member.core.committee
        false = falsify_offer(random, self._member.key, committee, message)
        match random.randrange(3):
            case 0:
                return ((false, 0),)
            case 1:
                return ((message, 0),)
        return ((message, 0), (false, random.choice(AFTER_OFFER_MS)))

    def _lie_of_views(self, message: Hop, lie: Habit) -> list[Hop] | None:
        """One lie in every view change; told early, so that the next primary builds on it."""
        key, core = self._member.key, self._member.core
        committee = core.committee
        match message:
            case CarryViewChange() | CarryNewView():
                changed = mutate(self._random, key, committee, message, lie, self._carried)
                if isinstance(changed, CarryViewChange):
                    digest = hashlib.sha256(message.statement).digest()
                    self._carried[digest] = changed.statement
                return [changed]
            case Propose():
                return propose_another(key, committee, message, core.views.expected, is_null=True)
            case Status():
                early = leave_views(key, committee, core, core.view + 1)
                return [message, mutate(self._random, key, committee, early, lie)]
        return None


class _Silent(_Liar):
    """Says nothing from some time on."""

    def __init__(self, world: "World", member: "Member", liar: Byzantine) -> None:
        super().__init__(world, member, liar)
        self._from_ms = self._random.choice((0, 5_000, world.plan.safety_ms))

    def choose(self, to: bytes, message: Hop) -> Iterable[tuple[Hop, int]]:
        if self._world.now_ms < self._from_ms:
            return ((message, 0),)
        self._count("silent")
        return ()


class _Slow(_Liar):
    """Says everything late, but not so late that others give up at once."""

    def __init__(self, world: "World", member: "Member", liar: Byzantine) -> None:
        super().__init__(world, member, liar)
        self._late_ms = self._random.choice(SLOW_MS)

    def choose(self, to: bytes, message: Hop) -> Iterable[tuple[Hop, int]]:
        self._count("slow")
        return ((message, self._late_ms),)


class _Selective(_Liar):
    """Talks to some members only."""

    def __init__(self, world: "World", member: "Member", liar: Byzantine) -> None:
        super().__init__(world, member, liar)
        others = self._first_others()
        self._heard_by = set(self._random.sample(others, self._random.randrange(len(others))))

    def choose(self, to: bytes, message: Hop) -> Iterable[tuple[Hop, int]]:
        if to in self._heard_by:
            return ((message, 0),)
        self._count("selective")
        return ()


class _Equivocator(_Liar):
    """Tells half of the members something else at every slot: proposals and votes."""

    def __init__(self, world: "World", member: "Member", liar: Byzantine) -> None:
        super().__init__(world, member, liar)
        others = self._first_others()
        self._fooled = set(self._random.sample(others, (len(others) + 1) // 2))
        self._other_digests: dict[tuple[int, int], bytes] = {}

    def choose(self, to: bytes, message: Hop) -> Iterable[tuple[Hop, int]]:
        if to not in self._fooled:
            return ((message, 0),)
        self._count("equivocate")
        extra: Iterable[tuple[Hop, int]] = ()
        key, committee = self._member.key, self._member.core.committee
        changed = equivocate(key, committee, message, self._other_digests)
        if isinstance(changed, Propose):
            extra = ((prepare_own(key, committee, changed), 0),)
        return ((changed, 0), *extra)


class _Censor(_Liar):
    """Hears nothing of one client's operations from some time on, so it proposes all others."""

    def __init__(self, world: "World", member: "Member", liar: Byzantine) -> None:
        super().__init__(world, member, liar)
        self._victim = world.foundation.clients[0].public
        self._from_ms = self._random.choice((0, 5_000, 12_000))

    def listen(self, message: AnyHop) -> AnyHop:
        if not isinstance(message, Submit) or self._world.now_ms < self._from_ms:
            return message
        self._count("censor")
        return leave_out(message, self._victim)


_SENDERS: dict[str, type[_Liar]] = {
    "twins": _Twin,
    "mutate": _Mutator,
    "silent": _Silent,
    "slow": _Slow,
    "selective": _Selective,
    "equivocate": _Equivocator,
    "censor": _Censor,
}


def make_sender(world: "World", member: "Member", liar: Byzantine | None) -> Sender:
    """The sender of a member, honest when `liar` is None."""
    return Sender(world, member) if liar is None else _SENDERS[liar.behaviour](world, member, liar)
