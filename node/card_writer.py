"""Keeps this node's agent card in its own log: what it offers, where it listens, until when."""

from typing import TYPE_CHECKING

from crdt.facts import Offered, OfferedCapability
from crdt.items import Card
from node.driver import read_clock_ms
from protocols.step import Certified, Executed, Transferred

if TYPE_CHECKING:
    from node.node import Node

CARD_DAYS = 30
CARD_CHECK_MS = 60_000
"""Time between two looks at whether the card still says what is true."""
CARD_MS = CARD_DAYS * 24 * 3_600_000


class CardWriter:
    """A driver's listener for every committee: a peer has one card for all it is in."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._checked_ms = 0

    def on_executed(self, executed: Executed) -> None:
        """Observers see few certificates, and their cards must tell others where they listen
        before they are members of anything. An offer of this node's own shows at once."""
        me = self._node.key.public
        if any(isinstance(fact, Offered) and fact.agent == me for fact in executed.facts):
            self._checked_ms = 0
        self._look(executed.committee)

    def on_transferred(self, transferred: Transferred) -> None:
        """Nothing to do: see above."""

    def on_certified(self, certified: Certified) -> None:
        self._look(certified.committee)

    def _look(self, committee: bytes) -> None:
        place = self._node.places.get(committee)
        if place is None or place.seat.catch_up.is_behind():
            return  # what it offers is not known yet
        now_ms = read_clock_ms()
        if now_ms >= self._checked_ms + CARD_CHECK_MS:
            self._checked_ms = now_ms
            self._renew(now_ms)

    def _renew(self, now_ms: int) -> None:
        node = self._node
        addresses = tuple(node.config.network.announce or node.transport.listen_addresses())
        price = node.config.agent.price_base
        known = node.logs.directory.get_card(node.key.public)
        wanted = Card(self._list_offered(), addresses, price, now_ms + CARD_MS)
        if (
            known is None
            or known.expires_ms < now_ms + CARD_MS // 2
            or (
                (known.capabilities, known.addresses, known.price_hint)
                != (wanted.capabilities, wanted.addresses, wanted.price_hint)
            )
        ):
            node.logs.append([wanted])

    def _list_offered(self) -> tuple[OfferedCapability, ...]:
        """What any committee has an offer of."""
        me, places = self._node.key.public, self._node.places.values()
        offered = {c.id: c for place in places for c in place.chain.state.get_offer(me) or ()}
        return tuple(offered[id_] for id_ in sorted(offered))
