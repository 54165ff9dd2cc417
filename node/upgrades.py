"""What a node does about versions of the semantics: it announces what its program executes, and
says what it lacks (docs/adr/0025-versions.md)."""

import logging
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from node.account import Ordered
from node.problem import Problem
from node.version import get_version
from protocols.economy.operations_upgrades import AnnounceSemantics
from protocols.economy.semantics import FIRST, SUPPORTED
from protocols.economy.state import EconomyState
from protocols.step import Certified, Executed, Transferred

if TYPE_CHECKING:
    from node.place import Place

logger = logging.getLogger("econode.upgrades")

PROGRAM_CHARS_MAX = 64


class Announcer:
    """A driver's listener that keeps what a member has announced in one committee true."""

    def __init__(self, place: "Place") -> None:
        self._place = place
        self._ordered: Ordered | None = None
        """The last announcement. One is under way at a time, and none after it was executed."""
        self._is_outdated = False

    def announce(self) -> None:
        """Order an announcement if this node is a member and its last one is no longer true; say
        once when the log goes on by semantics that this program lacks."""
        place = self._place
        state, me = place.chain.state, place.node.key.public
        outdated = explain_outdated(place)
        if outdated is not None:
            if not self._is_outdated:
                self._is_outdated = True
                logger.error("%s. %s", outdated.detail, outdated.remedy)
            return
        if not state.committee.is_member(me) or self._is_under_way():
            return
        told = state.announced().get(me)
        if (FIRST if told is None else told.semantics) == SUPPORTED or not place.accuser.can_pay():
            return
        body = AnnounceSemantics(SUPPORTED, get_version()[:PROGRAM_CHARS_MAX])
        self._ordered = place.account.try_submit(body)

    def _is_under_way(self) -> bool:
        """False, too, once another operation took its nonce: it was signed behind the log."""
        pending = self._place.account.get_pending()
        return self._ordered is not None and self._ordered.request.operation in pending

    def on_executed(self, executed: Executed) -> None:
        self.announce()

    def on_transferred(self, transferred: Transferred) -> None:
        self.announce()

    def on_certified(self, certified: Certified) -> None:
        """Nothing to do: what counts is what is executed."""


def explain_outdated(place: "Place") -> Problem | None:
    """Why this program takes no part in the committee after its last position; None if it does."""
    state = place.chain.state
    needed = state.committee.semantics
    if needed <= SUPPORTED:
        return None
    return Problem(
        "program-too-old",
        f"committee {place.name} follows version {needed} of the semantics after position "
        f"{state.committee.start}, and this program ({get_version()}) executes versions up to "
        f"{SUPPORTED}: it keeps and serves what it has, and takes no part",
        remedy=f"install {_name_release(state, needed)} and start it: it goes on from there, "
        "nothing is lost",
        status=503,
    )


def list_outdated(places: Iterable["Place"]) -> list[str]:
    """The committees that this program is too old for, in words with the remedy."""
    found = [explain_outdated(place) for place in places]
    return [f"{problem.detail}; {problem.remedy}" for problem in found if problem is not None]


def _name_release(state: EconomyState, needed: int) -> str:
    """The release that most members announced for that version, in words."""
    programs = Counter(
        told.program
        for _, told in sorted(state.announced().items())
        if told.semantics >= needed and told.program
    )
    version = f"a release of Econode that supports version {needed}"
    return f"{version} (members run {programs.most_common(1)[0][0]})" if programs else version
