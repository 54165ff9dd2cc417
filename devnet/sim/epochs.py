"""The epochs of a simulated committee, as its facts tell them, and whose quorum proves what."""

from dataclasses import dataclass

from crdt.facts import EpochBegan, Fact, Slashed
from identity.certificate import Certificate
from identity.errors import InvalidBytes
from protocols.committee import Committee


@dataclass(frozen=True, slots=True)
class _Epoch:
    start: int
    members: frozenset[bytes]


class Epochs:
    """Believes no member: it counts the signers of each epoch itself."""

    def __init__(self, committee: Committee) -> None:
        self._network = committee.network
        self._epochs = [_Epoch(0, frozenset(committee.members))]

    def get_last(self) -> int:
        return len(self._epochs) - 1

    def is_member(self, key: bytes) -> bool:
        """Whether `key` is a member in the last epoch."""
        return key in self._epochs[-1].members

    def find_end(self, epoch: int) -> int | None:
        """The position that ended an epoch; None while it goes on."""
        return self._epochs[epoch + 1].start if epoch + 1 < len(self._epochs) else None

    def note(self, position: int, facts: tuple[Fact, ...]) -> str | None:
        """Follow a batch, once; says what is wrong with it. The last fact may begin an epoch, the
        next one and with other members; whoever is slashed is no member afterwards."""
        members = self._epochs[-1].members
        began = [fact for fact in facts if isinstance(fact, EpochBegan)]
        if began:
            former, members = members, frozenset(began[0].members)
            if began != [facts[-1]] or began[0].epoch != len(self._epochs) or members == former:
                return f"{began} at {position}"
            self._epochs.append(_Epoch(position, members))
        offenders = {fact.offender for fact in facts if isinstance(fact, Slashed)}
        if len(members) > 1 and offenders & members:
            return f"an offender of position {position} stays a member"
        return None

    def count_missing(self, epoch: int, position: int | None, signers: set[bytes]) -> int:
        """How many signers a quorum of the epoch lacks; for a position outside of it nobody
        counts."""
        if epoch >= len(self._epochs):
            return 1
        end, members = self.find_end(epoch), self._epochs[epoch].members
        if position is not None:
            is_later = end is not None and position > end
            if is_later or position <= self._epochs[epoch].start:
                return 1
        n = len(members)
        quorum = min(size for size in range(1, n + 1) if 2 * size - n > (n - 1) // 3)
        return max(0, quorum - len(signers & members))

    def is_certified(self, certificate: Certificate, kind: str, position: int) -> bool:
        """True when a quorum of the certificate's epoch signed it, in that epoch."""
        signers = {signer for signer, _ in certificate.signatures}
        try:
            for statement in certificate.rebuild_statements():
                statement.check(self._network)
        except InvalidBytes:
            return False
        missing = self.count_missing(certificate.context.epoch, position, signers)
        return certificate.context.kind == kind and not missing
