"""Brings evidence before a committee: whoever has it orders it, once."""

from typing import TYPE_CHECKING

from node.account import Ordered
from protocols.economy.operations import Accuse, AccuseCommittee
from protocols.step import Equivocation

if TYPE_CHECKING:
    from node.place import Place


class Accuser:
    """Accuses in one committee, each offender once: its bond burns once."""

    def __init__(self, place: "Place") -> None:
        self._place = place
        self._accused: dict[bytes, Ordered] = {}

    def on_evidence(self, evidence: Equivocation) -> None:
        """Two votes that this node's core heard: it accuses at once, others only if need be."""
        first, second = evidence.first.data, evidence.second.data
        offence = self._place.node.docket.note_votes(self._place, first, second)
        if offence is not None:
            self.accuse(offence.offender, Accuse(first, second))

    def accuse(self, offender: bytes, body: Accuse | AccuseCommittee) -> None:
        """Order `body`, if this node's account can pay for it and has not done so before."""
        place = self._place
        state, me = place.chain.state, place.node.key.public
        if offender in self._accused or place.seat.is_halted:
            return
        if state.stake.get(me, "free") < max(1, state.parameters.operation_fee):
            return
        ordered = place.account.try_submit(body)
        if ordered is not None:
            self._accused[offender] = ordered

    def is_ordered(self, offender: bytes) -> bool:
        """Whether an accusation by this node is under way."""
        ordered = self._accused.get(offender)
        pending = self._place.account.get_pending()
        return ordered is not None and ordered.request.operation in pending
