"""Watches over what other committees are said to have certified.

An import shows a certificate of the other committee. A node that holds that committee's log itself
compares: two certificates of different heads at one position are what only a quorum of liars can
make. That is evidence: it is told, their accusation is ordered, which freezes the border, and the
committee halts (`node/docket.py`).
"""

import logging
from typing import TYPE_CHECKING

import trio

from crdt.facts import BorderFrozen, BorderRenewed, Imported, Rejected
from crdt.heads import get_head
from crdt.log import Head
from identity import schema
from identity.certificate import Certificate
from identity.errors import InvalidBytes
from node.docket import Docket
from node.ledger import Ledger
from node.log_lines import about
from protocols import light
from protocols.economy.operations import Import
from protocols.messages import CERTIFICATE_BYTES_MAX
from protocols.requests import parse_request
from protocols.step import Certified, Executed, Transferred

if TYPE_CHECKING:
    from node.place import Place

logger = logging.getLogger("econode.border")

WAITING_MAX = 64
"""Imports that wait to be compared; more are left to other nodes."""
_TOLD_OF_IMPORTS = (Imported, BorderRenewed, Rejected)
"""Facts of batches that may hold an import: also one that was refused may show a contradiction."""


class BorderGuard:
    """A driver's listener in every committee; `run` compares. `places` is the node's, by id."""

    def __init__(self, places: "dict[bytes, Place]", ledger: Ledger, docket: Docket) -> None:
        self._places, self._ledger, self._docket = places, ledger, docket
        self._put, self._get = trio.open_memory_channel[light.Bundle](WAITING_MAX)

    def on_executed(self, executed: Executed) -> None:
        place = self._places.get(executed.committee)
        if place is None:
            return
        for fact in executed.facts:
            if isinstance(fact, BorderFrozen):
                logger.error(
                    "committee %s: the border to committee %s is frozen (%s): more than f of its "
                    "members lie",
                    *(place.name, fact.committee.hex(), fact.reason),
                    extra=about("border_frozen_alarm", committee=place.name),
                )
        if any(isinstance(fact, _TOLD_OF_IMPORTS) for fact in executed.facts):
            for data in executed.operations:
                self._note(place, data)

    def on_transferred(self, transferred: Transferred) -> None:
        """Nothing to do: what was imported meanwhile was seen by others."""

    def on_certified(self, certified: Certified) -> None:
        """Nothing to do: own certificates are read from the ledger."""

    async def run(self) -> None:
        """Compare until cancelled. Raises LedgerError."""
        async for bundle in self._get:
            await self._compare(bundle)

    def _note(self, place: "Place", data: bytes) -> None:
        """Have an import looked at, whose source's log this node holds as well."""
        try:
            body = parse_request(data, place.committee)[0].operation.body
            bundle = light.decode_bundle(body.proof) if isinstance(body, Import) else None
        except InvalidBytes:
            return  # its execution said so
        if bundle is not None and bundle.committee in self._places:
            try:
                self._put.send_nowait(bundle)
            except trio.WouldBlock:
                logger.warning("too many imports to compare at once", extra=about("imports_busy"))

    async def _compare(self, bundle: light.Bundle) -> None:
        header = bundle.headers[-1] if bundle.headers else bundle.entry.header
        place = self._places[bundle.committee]
        await self._ledger.flush()
        own = await self._ledger.get_certificate(place.id, header.position)
        if own is None:
            return  # further than this node, or certified at another position here
        mine = Certificate.decode(own, place.node.network, size_max=CERTIFICATE_BYTES_MAX)
        if schema.decode(mine.payload, Head, size_max=CERTIFICATE_BYTES_MAX) != get_head(header):
            await self._docket.take_fork(place.id, own, bundle.certificate)
