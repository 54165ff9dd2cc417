"""What members are told of their links: that a peer's process is there, or that its link broke.

A transport notices the end of a process after a moment. It may also be wrong: a link breaks and
comes back while both ends live.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devnet.sim.member import Member
    from devnet.sim.world import World

NOTICE_MS = 12
"""Until a transport notices."""


class Connections:
    """Tells both ends of each link; nobody, in a world whose plan has no links."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def on_process(self, member: "Member", is_up: bool) -> None:
        """The process of `member` has started or ended."""
        if self._world.plan.tells_links:
            self._tell_later([(member, other) for other in self._world.members], is_up)

    def drop(self, pair: tuple[int, ...], *, is_up: bool) -> None:
        """The link between two members, by index, breaks though both live, or comes back."""
        members = self._world.members
        ends = [(a, b) for a in members for b in members if (a.index, b.index) == pair]
        self._tell_later(ends, is_up)

    def _tell_later(self, ends: list[tuple["Member", "Member"]], is_up: bool) -> None:
        world = self._world
        for one, other in ends:
            if one is not other:
                world.at(world.now_ms + NOTICE_MS, self._tell, one, other, is_up)

    def _tell(self, one: "Member", other: "Member", is_up: bool) -> None:
        """A link is there only while both processes are."""
        if is_up and not (one.is_up and other.is_up):
            return
        one.on_link(other.public, is_up)
        other.on_link(one.public, is_up)
