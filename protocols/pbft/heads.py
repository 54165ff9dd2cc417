"""Certificates of outcomes: q signatures over the head of the committee's log."""

from typing import TYPE_CHECKING

from crdt.log import HEAD_KIND, Head
from identity import schema
from identity.certificate import Certificate
from identity.envelope import Context, Statement
from identity.errors import InvalidCertificate
from protocols.messages import CERTIFICATE_BYTES_MAX
from protocols.pbft.quorum import Tally
from protocols.step import Certified, Equivocation, Step

if TYPE_CHECKING:
    from protocols.pbft.core import Core


class Heads:
    """The votes towards the next outcome certificate.

    A head covers everything before it, so a certificate for a later position replaces the
    earlier ones that are still missing.
    """

    def __init__(self, core: "Core") -> None:
        self._core = core
        self._tallies: dict[int, Tally] = {}
        self._hashes: dict[int, bytes] = {}
        self._newest: Statement | None = None
        self.certified = core.committee.start
        self.certificate: Certificate | None = None

    def note_executed(self, step: Step) -> None:
        """Remember the head that execution has just reached."""
        core = self._core
        position = core.executed
        self._hashes[position] = core.application.get_head()
        self._hashes.pop(position - core.checkpoints.window, None)
        self._try_certify(position, step)

    def sign(self, position: int, step: Step) -> None:
        """Sign the head at `position`, which the ledger holds for good: a view change may build
        on a certified head only because its signers can hand on what is below it."""
        core, digest = self._core, self._hashes.get(position)
        if digest is None or not core.is_member:
            return
        self._newest = core.sign(HEAD_KIND, Head(core.committee.id, position, digest))
        if position > self.certified:
            tally = self._get_tally(position)
            tally.add(self._newest, digest, is_verified=True, check=core.check)
        step.votes.append((core.committee.id, self._newest.data))
        self._try_certify(position, step)

    def on_vote(self, statement: Statement, vote: Head, direct: bool, step: Step) -> None:
        core = self._core
        if vote.author != core.committee.id or not (
            self.certified < vote.position <= core.executed + core.checkpoints.window
        ):
            return
        if not direct:
            core.check(statement)
        earlier = self._get_tally(vote.position).add(
            statement, vote.hash, is_verified=not direct, check=core.check
        )
        if earlier is not None:
            step.evidence.append(Equivocation(earlier, statement))
        self._try_certify(vote.position, step)

    def accept(self, data: bytes, step: Step) -> None:
        """Take the certificate of the newest executed head from a peer. Raises InvalidBytes."""
        core, position = self._core, self._core.executed
        if position <= self.certified:
            return
        committee, digest = core.committee, core.application.get_head()
        place = Context(committee.network, committee.id, committee.epoch, HEAD_KIND)
        certificate = Certificate.decode(data, committee.network, size_max=CERTIFICATE_BYTES_MAX)
        payload = schema.encode(Head(committee.id, position, digest))
        if (certificate.context, certificate.payload) != (place, payload):
            raise InvalidCertificate("a certificate of another head")
        certificate.check(committee.members, committee.q)
        self._set(position, certificate, step)

    def get_newest(self) -> bytes | None:
        return None if self._newest is None else self._newest.data

    def _get_tally(self, position: int) -> Tally:
        return self._tallies.setdefault(position, Tally())

    def _try_certify(self, position: int, step: Step) -> None:
        core, digest = self._core, self._hashes.get(position)
        if digest is None or position <= self.certified:
            return
        found = self._get_tally(position).collect(digest, core.committee.q, core.check)
        if found is None:
            return
        place = Context(core.committee.network, core.committee.id, core.committee.epoch, HEAD_KIND)
        payload = schema.encode(Head(core.committee.id, position, digest))
        signatures = {signer: statement.signature for signer, statement in found.items()}
        self._set(position, Certificate.collect(place, payload, signatures), step)

    def _set(self, position: int, certificate: Certificate, step: Step) -> None:
        core = self._core
        self.certified, self.certificate = position, certificate
        step.certified.append(Certified(core.committee.id, position, certificate))
        for old in [p for p in self._tallies if p <= position]:
            del self._tallies[old]
        for old in [p for p in self._hashes if p < position]:
            del self._hashes[old]
