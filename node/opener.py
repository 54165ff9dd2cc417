"""Opens a node's places: in the founding committee, and in each one that is formed below it.

A committee is formed in the log of a standing one, its parent, so whoever takes part in it, or
follows it, takes part in the parent or follows that, up to the founding committee.
"""

import logging
from typing import TYPE_CHECKING

import trio

from crdt.facts import CommitteeFormed
from node.log_lines import about
from node.place import Place, open_place
from protocols.economy.committees import derive_founding, make_formed_fact
from protocols.economy.model import Formed
from protocols.genesis import MAIN_COMMITTEE
from protocols.step import Certified, Executed, Transferred

if TYPE_CHECKING:
    from node.node import Node

logger = logging.getLogger("econode.opener")

PLACES_MAX = 16
"""Committees of one node. Each agent's runs (RUNS_MAX of `node.agent`) together fill the waiting
room of the executor they share, and no more."""


class Opener:
    """A driver's listener in every committee; `run` runs the places."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._news = trio.Event()

    async def open_all(self) -> None:
        """Open every place that the ledger knows of. Raises EconodeError or LedgerError."""
        node = self._node
        founding = node.genesis.make_committee()
        await self._add(await open_place(node, MAIN_COMMITTEE, node.genesis, founding))
        await self._open_formed()

    async def run(self) -> None:
        """Run every place, those to come as well, until cancelled."""
        async with trio.open_nursery() as nursery:
            running: set[bytes] = set()
            while True:
                self._news = trio.Event()
                await self._open_formed()
                for place in self._node.places.values():
                    if place.id not in running:
                        running.add(place.id)
                        nursery.start_soon(place.run)
                await self._news.wait()

    def on_executed(self, executed: Executed) -> None:
        if any(isinstance(fact, CommitteeFormed) for fact in executed.facts):
            self._news.set()

    def on_transferred(self, transferred: Transferred) -> None:
        self._news.set()

    def on_certified(self, certified: Certified) -> None:
        """Nothing to do: a committee is formed when that is executed."""

    async def _open_formed(self) -> None:
        """Open what is wanted and not open, below the places there are and below those."""
        todo = list(self._node.places.values())
        while todo:
            parent = todo.pop()
            for formed in list(parent.chain.state.formed()):
                place = self._node.places.get(formed.committee)
                if place is None and await self._is_wanted(parent, formed):
                    todo.append(await self._open(parent, formed))

    async def _is_wanted(self, parent: Place, formed: Formed) -> bool:
        node, name = self._node, parent.name_child(formed.name)
        if (
            node.key.public not in formed.members
            and name not in node.config.committees.follow
            # It was followed before, and this node may have become a member since.
            and await node.ledger.get_last(formed.committee) is None
        ):
            return False
        if len(node.places) >= PLACES_MAX:
            logger.error(
                "committee %s: this node has %d places already",
                name,
                PLACES_MAX,
                extra=about("too_many_committees", committee=name),
            )
            return False
        return True

    async def _open(self, parent: Place, formed: Formed) -> Place:
        founding, committee = derive_founding(
            parent.committee,
            formed.position,
            make_formed_fact(formed),
            parent.chain.state.parameters,
        )
        name = parent.name_child(formed.name)
        place = await open_place(self._node, name, founding, committee)
        await self._add(place)
        logger.info(
            "committee %s: n = %d, f = %d",
            name,
            committee.n,
            committee.f,
            extra=about("committee_entered", committee=name, epoch=committee.epoch),
        )
        return place

    async def _add(self, place: Place) -> None:
        node = self._node
        for listener in (self, node.card_writer, node.carrier, node.border_guard, node.funder):
            node.driver.add_listener(place.id, listener)
        await place.join()
        node.places[place.id] = place
        node.docket.apply(place)
