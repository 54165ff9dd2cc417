"""What peers did that no honest peer does: counted for the owner, and told without a flood."""

import logging

from identity.keys import compute_peer_id
from node.log_lines import about

logger = logging.getLogger("econode.faults")

PEERS_MAX = 1_024
"""Peers whose faults are counted one by one; beyond, those silent for longest are forgotten."""
REASON_CHARS_MAX = 200


class Faults:
    """Counts faults by peer. A peer's 1st, 2nd, 4th, 8th, ... is logged: a hostile peer must not
    fill the disk with its own misdeeds."""

    def __init__(self) -> None:
        self.total = 0
        self._counts: dict[bytes, int] = {}

    def note(self, peer: bytes, reason: str) -> None:
        """Count a fault of the peer with this key."""
        self.total += 1
        count = self._counts.pop(peer, 0) + 1
        self._counts[peer] = count
        if len(self._counts) > PEERS_MAX:
            del self._counts[next(iter(self._counts))]
        if count & (count - 1) == 0:
            name = compute_peer_id(peer)
            logger.warning(
                "refused from %s (fault %d): %s",
                name,
                count,
                reason[:REASON_CHARS_MAX],
                extra=about("fault", peer=name, count=count),
            )
