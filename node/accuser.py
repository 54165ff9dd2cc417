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
        if offender in self._accused or self._place.seat.is_halted or not self.can_pay():
            return
        ordered = self._place.account.try_submit(body)
        if ordered is not None:
            self._accused[offender] = ordered

    def can_pay(self) -> bool:
        """Whether this node's account has the fee; nobody orders anything of others."""
        state, me = self._place.chain.state, self._place.node.key.public
        return state.stake.get(me, "free") >= max(1, state.parameters.operation_fee)

    def is_ordered(self, offender: bytes) -> bool:
        """Whether an accusation by this node is under way."""
        ordered = self._accused.get(offender)
        pending = self._place.account.get_pending()
        return ordered is not None and ordered.request.operation in pending
