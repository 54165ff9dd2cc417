"""Prunes by itself, where config.toml names a retention: `[ledger]` and `[storage]`."""

import logging
import time
from typing import TYPE_CHECKING

import trio

from node.driver import read_clock_ms
from node.ledger_prune import find_hindrance, find_target, prune
from node.log_lines import about

if TYPE_CHECKING:
    from node.node import Node

logger = logging.getLogger("econode.pruner")

LOOK_SECONDS = 300.0
HOUR_MS = 3_600_000


class Pruner:
    """`run` prunes. Does nothing for a node without a retention."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._ledger_ms = node.config.ledger.retention_hours * HOUR_MS
        self._blob_ms = node.config.storage.blob_retention_hours * HOUR_MS

    async def run(self) -> None:
        """Prune until cancelled. Raises LedgerError."""
        while self._ledger_ms or self._blob_ms:
            if self._ledger_ms:
                for committee in list(self._node.places):
                    await self._prune(committee)
            if self._blob_ms:
                store = self._node.blobs.store
                count = await store.expire(time.time(), self._blob_ms / 1_000)
                if count:
                    logger.info(
                        "%d blobs were older than the retention",
                        count,
                        extra=about("blobs_pruned", count=count),
                    )
            await trio.sleep(LOOK_SECONDS)

    async def _prune(self, committee: bytes) -> None:
        node = self._node
        until_ms = read_clock_ms() - self._ledger_ms
        target = await find_target(node.ledger, committee, before=None, until_ms=until_ms)
        if target is None:
            return
        states = {id_: place.chain.state for id_, place in node.places.items()}
        hindrance = await find_hindrance(node.ledger, states, committee, target.position)
        if hindrance:
            logger.info(
                "committee %s is not pruned yet: %s",
                committee.hex()[:8],
                hindrance,
                extra=about("prune_hindered"),
            )
            return
        done = await prune(node.ledger, target)
        logger.info(
            "committee %s: %d batches up to position %d were older than the retention",
            *(committee.hex()[:8], done.batches, done.position),
            extra=about("ledger_pruned", position=done.position),
        )
