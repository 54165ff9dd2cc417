"""Brings equivocation before the committee: whoever sees two contradicting votes orders them."""

import logging
from typing import TYPE_CHECKING

from identity.errors import InvalidBytes
from identity.keys import compute_peer_id
from protocols.economy.operations import Accuse
from protocols.pbft.evidence import check_equivocation, read_epoch
from protocols.step import Equivocation

if TYPE_CHECKING:
    from node.place import Place

logger = logging.getLogger("econode.accuser")


class Accuser:
    """Accuses each offender once: its bond burns once."""

    def __init__(self, place: "Place") -> None:
        self._place = place
        self._accused: set[bytes] = set()

    def on_evidence(self, evidence: Equivocation) -> None:
        place, first, second = self._place, evidence.first.data, evidence.second.data
        try:
            committee = place.chain.find_committee(read_epoch(first))
            if committee is None:
                return  # so long ago that nobody can check it any more
            offender = check_equivocation(committee, first, second).offender
        except InvalidBytes:
            return  # VIEW-CHANGEs with so many certificates that they are too large to be ordered
        if offender in self._accused or place.chain.state.is_banned(offender):
            return
        logger.warning("%s signed two different votes for one slot", compute_peer_id(offender))
        if place.account.try_submit(Accuse(first, second)) is not None:
            self._accused.add(offender)
