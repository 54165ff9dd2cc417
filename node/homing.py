"""Sends home what an account earned in other committees, where config.toml names a home.

What goes is what is free beyond `[committees] keep_free` in a neighbour of the home committee: a
rule on the state alone, so a restart loses nothing and sends nothing twice.
"""

import logging
from typing import TYPE_CHECKING

import trio

from protocols.economy.operations import Export

if TYPE_CHECKING:
    from node.node import Node
    from node.place import Place

logger = logging.getLogger("econode.homing")

LOOK_SECONDS = 1.0
FEES_MIN = 20
"""Less than so many fees is not worth one for leaving and one for arriving."""


class Homing:
    """`run` sends. Does nothing for a node without a home."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        settings = node.config.committees
        self._home, self._keep = settings.home, settings.keep_free

    async def run(self) -> None:
        """Send until cancelled."""
        while self._home:
            await trio.sleep(LOOK_SECONDS)
            places = list(self._node.places.values())
            home = next((place for place in places if place.name == self._home), None)
            if home is not None:
                for place in places:
                    self._send(place, home)

    def _send(self, place: "Place", home: "Place") -> None:
        state, me = place.chain.state, self._node.key.public
        there, here = state.get_border(home.id), home.chain.state.get_border(place.id)
        if there is None or here is None or there.frozen or here.frozen:
            return
        if place.seat.catch_up.is_behind() or self._node.funder.is_busy(place.id):
            return
        if any(isinstance(operation.body, Export) for operation in place.account.get_pending()):
            return
        fee = state.parameters.operation_fee
        amount = state.stake.get(me, "free") - self._keep - fee
        if amount >= max(1, FEES_MIN * fee):
            logger.info("%d credits leave %s for %s", amount, place.name, home.name)
            place.account.try_submit(Export(home.id, me, amount))
