"""Sends home what an account earned in other committees, where config.toml names a home.

What goes is what is free beyond `[committees] keep_free` in a neighbour of the home committee: a
rule on the state alone, so a restart forgets nothing.
"""

import logging
from typing import TYPE_CHECKING

import trio

from identity.errors import EconodeError
from protocols.economy.operations import Export

if TYPE_CHECKING:
    from node.node import Node
    from node.place import Place

from node.log_lines import about

logger = logging.getLogger("econode.homing")

LOOK_SECONDS = 1.0
REFUSED_PAUSE_SECONDS = 600.0
"""After an export that was refused, for a fee."""
FEES_MIN = 20
"""Less than so many fees is not worth one for leaving and one for arriving."""


class Homing:
    """`run` sends. Does nothing for a node without a home."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        settings = node.config.committees
        self._home, self._keep = settings.home, settings.keep_free
        self._busy: set[bytes] = set()
        """Committees that an export is under way from, or that have refused one lately."""

    async def run(self) -> None:
        """Send until cancelled."""
        async with trio.open_nursery() as nursery:
            while self._home:
                await trio.sleep(LOOK_SECONDS)
                places = list(self._node.places.values())
                for home in (place for place in places if place.name == self._home):
                    for place in places:
                        amount = self._compute_surplus(place, home)
                        if amount and place.id not in self._busy:
                            self._busy.add(place.id)
                            nursery.start_soon(self._send, place, home, amount)

    def _compute_surplus(self, place: "Place", home: "Place") -> int:
        """What goes home from `place` now, 0 for nothing."""
        state, me = place.chain.state, self._node.key.public
        there, here = state.get_border(home.id), home.chain.state.get_border(place.id)
        if there is None or here is None or there.frozen or here.frozen:
            return 0
        if place.seat.catch_up.is_behind() or self._node.funder.is_busy(place.id):
            return 0
        fee = state.parameters.operation_fee
        amount = state.stake.get(me, "free") - self._keep - fee
        return amount if amount >= max(1, FEES_MIN * fee) else 0

    async def _send(self, place: "Place", home: "Place", amount: int) -> None:
        logger.info(
            "%d credits leave %s for %s",
            amount,
            place.name,
            home.name,
            extra=about("credits_sent_home", committee=place.name, amount=amount),
        )
        try:
            ordered = await place.account.submit(Export(home.id, self._node.key.public, amount))
            await ordered.wait()
        except EconodeError as error:
            logger.warning(
                "%s sent nothing to %s: %s",
                place.name,
                home.name,
                error,
                extra=about("credits_not_sent", committee=place.name),
            )
            await trio.sleep(REFUSED_PAUSE_SECONDS)
        finally:
            self._busy.discard(place.id)
