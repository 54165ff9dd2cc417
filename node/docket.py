"""What this node knows of offences: evidence that it checked, told on, and had ordered.

Whoever has evidence tells it to its peers, once when it comes and then from time to time as long as
nobody was punished; whoever hears it checks it, keeps it and tells it on. Members accuse one after
another, each some seconds later than the one before, so that one operation is paid for and not n.

Two certificates of a committee for one position halt that committee here: see
docs/adr/0018-forks-and-frozen-committees.md.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import trio

from identity import schema
from identity.errors import InvalidBytes
from identity.keys import compute_peer_id
from node.driver import read_clock_ms
from node.gossip import RateLimit
from node.ledger import LedgerFull
from node.ledger_rows import LedgerError
from node.log_lines import about
from node.router import encode_frame
from protocols import evidence
from protocols.committee import Committee
from protocols.economy.operations import Accuse, AccuseCommittee
from protocols.evidence import Claim, Evidence, TellEvidence, UnknownMembers
from protocols.pbft.evidence import Offence

if TYPE_CHECKING:
    from node.node import Node
    from node.place import Place

logger = logging.getLogger("econode.docket")

CASES_MAX = 1_024
CASES_OFFENDER_MAX = 4
"""Offences of one offender that are kept: one is enough to punish it."""
WAITING_MAX = 64
"""Told and not checked yet; what comes beyond is dropped and told again later."""
CHECKS_PER_SECOND_MAX, CHECKS_BURST_MAX = 2.0, 32
"""Evidence of one peer that is looked at."""
LIMITS_MAX = 1_024
"""Peers whose evidence is counted; beyond, the one counted first is forgotten."""
TELL_SECONDS = 30.0
TELL_MAX = 16
"""What is not punished yet and told again to one peer, each TELL_SECONDS to the next one."""
TURN_SECONDS = 5.0
"""Between the accusations of one member and the next."""
AGAIN_SECONDS = 60.0
"""Until a look whether an offence is punished at last: the account may have had no credits."""
TICK_SECONDS = 1.0
EVIDENCE_BYTES_MAX = evidence.EVIDENCE_FILE_BYTES_MAX


@dataclass(slots=True)
class Case:
    """Checked evidence. `due_s` is when this node accuses (trio's clock), if nobody did before;
    `seen_ms` is not known of forks of peers' logs."""

    claim: Claim
    evidence: Evidence
    seen_ms: int | None
    due_s: float


class Docket:
    """The cases of one node, by offence; see `Node` for who calls what."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self.cases: dict[bytes, Case] = {}
        self._limits: dict[bytes, RateLimit] = {}
        self._told_in, self._told = trio.open_memory_channel[tuple[bytes, Evidence]](WAITING_MAX)
        self._turn = 0

    async def load(self) -> None:
        """Take what the ledger holds, and halt what it says is forked. Raises LedgerError."""
        for id_, data, seen_ms in await self._node.ledger.read_evidence(count_max=CASES_MAX):
            try:
                found = schema.decode(data, Evidence, size_max=EVIDENCE_BYTES_MAX)
                claim = evidence.read_claim(found, self._node.network)
            except InvalidBytes as error:
                raise LedgerError(f"evidence {id_.hex()[:16]} is damaged: {error}") from None
            self.cases[claim.id] = Case(claim, found, seen_ms, self._choose_turn(claim))
        for place in self._node.places.values():
            self.apply(place)

    def apply(self, place: "Place") -> None:
        """Halt `place` if its committee is proven to be forked."""
        case = self.find_fork(place.id)
        if case is not None and not place.seat.is_halted:
            place.seat.halt()
            logger.error(
                "ALARM: committee %s certified two heads at position %d; this node takes no part "
                "in it any more (econode evidence show %s)",
                *(place.name, case.claim.position, case.claim.id.hex()[:16]),
                extra=about(
                    "committee_forked",
                    committee=place.name,
                    position=case.claim.position,
                    offence=case.claim.id,
                ),
            )

    async def run(self) -> None:
        """Check what is told, accuse, and tell again, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._check_told)
            nursery.start_soon(self._tell_again)
            while True:
                await trio.sleep(TICK_SECONDS)
                for case in list(self.cases.values()):
                    if trio.current_time() >= case.due_s:
                        self._accuse(case)

    # --- what comes in ------------------------------------------------------------------------

    def note_votes(self, place: "Place", first: bytes, second: bytes) -> Offence | None:
        """Two votes that this node's core saw and checked. None for what proves nothing new."""
        told = Evidence("votes", place.id, first, second)
        try:
            claim = evidence.check(told, self._node.network, self.find_committee)
        except InvalidBytes:
            return None  # too large to be ordered, or of an epoch that nobody remembers
        if self.is_punished(claim):
            return None
        if claim.id not in self.cases and self._keep(claim, told):
            logger.warning(
                "%s signed two different votes for one slot",
                _name(claim),
                extra=about("equivocation_seen", offence=claim.id),
            )
            self._tell(told)
        return Offence(claim.offender, claim.id)

    def handle(self, peer: bytes, message: TellEvidence) -> None:
        """Evidence that a peer tells. Raises InvalidBytes for what is none at first sight."""
        limit = self._limits.get(peer)
        if limit is None:
            if len(self._limits) >= LIMITS_MAX:
                del self._limits[next(iter(self._limits))]
            limit = self._limits[peer] = RateLimit(CHECKS_PER_SECOND_MAX, CHECKS_BURST_MAX)
        if not limit.take(trio.current_time()):
            return
        claim = evidence.read_claim(message.evidence, self._node.network)
        if claim.kind == "log" or claim.id in self.cases or not self._has_room(claim):
            return  # forks of peers' logs travel with the logs
        try:
            self._told_in.send_nowait((peer, message.evidence))
        except trio.WouldBlock:
            logger.info(
                "too much evidence is waiting to be checked; it is told again later",
                extra=about("evidence_busy"),
            )

    async def take(self, told: Evidence, source: bytes | None = None) -> Claim:
        """Check evidence of votes or of a committee and keep it; every peer but `source` is told.
        Raises InvalidBytes for what proves nothing, UnknownMembers for what cannot be checked
        here or is too old."""
        claim = evidence.check(told, self._node.network, self.find_committee)
        if claim.kind == "votes" and claim.committee not in self._node.places:
            raise UnknownMembers(claim)  # nobody here could punish it
        if claim.kind == "committee" and await self._is_expired(claim):
            raise UnknownMembers(claim)
        if claim.id not in self.cases and not self.is_punished(claim) and self._keep(claim, told):
            logger.warning(
                "evidence against %s was told",
                _name(claim),
                extra=about("evidence_told", offence=claim.id),
            )
            self._tell(told, source)
            place = self._node.places.get(claim.committee)
            if place is not None:
                self.apply(place)
        return claim

    async def take_fork(self, committee: bytes, first: bytes, second: bytes) -> None:
        """Two certificates that this node found: it accuses at once, others only if need be."""
        told = Evidence("committee", committee, first, second)
        try:
            claim = await self.take(told)
        except InvalidBytes as error:
            logger.warning(
                "two certificates of %s prove nothing: %s",
                committee.hex(),
                error,
                extra=about("evidence_proves_nothing"),
            )
            return
        case = self.cases.get(claim.id)
        if case is not None:
            self._accuse(case)

    async def _check_told(self) -> None:
        async for peer, told in self._told:
            try:
                await self.take(told, peer)
            except UnknownMembers:
                continue  # this node may be behind; it is told again
            except InvalidBytes as error:
                self._node.transport.faults.note(peer, f"evidence: {error}")

    # --- what is known ------------------------------------------------------------------------

    def find_committee(self, committee: bytes, epoch: int) -> Committee | None:
        """Members as the log of that committee tells them here, or one that it has a border to."""
        place = self._node.places.get(committee)
        if place is not None:
            return place.chain.find_committee(epoch)
        for place in self._node.places.values():
            border = place.chain.state.get_border(committee)
            for known in border.epochs if border is not None else ():
                if known.epoch == epoch:
                    return Committee(
                        self._node.network, committee, epoch, known.members, known.start
                    )
        return None

    def find_fork(self, committee: bytes) -> Case | None:
        """The proof that the committee certified two heads at one position."""
        cases = self.cases.values()
        return next((case for case in cases if case.claim.offender == committee), None)

    def is_punished(self, claim: Claim) -> bool:
        """Whether a committee has burnt the offender's bond and banned it; for a fork of a
        committee, whether every committee here that borders it has frozen the border."""
        if claim.kind == "votes":
            place = self._node.places.get(claim.committee)
            return place is not None and place.chain.state.is_banned(claim.offender)
        borders = [
            place.chain.state.get_border(claim.offender)
            for place in self.list_bordering(claim.offender)
        ]
        return bool(borders) and all(border is not None and border.frozen for border in borders)

    def list_bordering(self, committee: bytes) -> list["Place"]:
        """This node's places in committees that credits cross to and from the given one."""
        places = self._node.places.values()
        return [each for each in places if each.chain.state.get_border(committee) is not None]

    def list_alarms(self) -> list[str]:
        """What the owner must know at once, in words."""
        found = [
            f"committee {place.name} certified two heads at position {case.claim.position}: it is "
            f"halted here (evidence {case.claim.id.hex()[:16]})"
            for place in self._node.places.values()
            if (case := self.find_fork(place.id)) is not None
        ]
        fork = self._node.logs.replica.get_fork(self._node.key.public)
        if fork is not None:
            found.append(
                f"this node's own log is frozen at position {fork.position}: somebody wrote two "
                "logs with its key"
            )
        return found

    async def _is_expired(self, claim: Claim) -> bool:
        """Whether the epoch ended so long ago that its members may have their bonds back: they
        could sign anything without a risk, and halt their successors for nothing."""
        place = self._node.places.get(claim.committee)
        if place is None:
            return False  # the border's own rule decides, when it is ordered
        if claim.epoch >= place.committee.epoch:
            return False
        following = place.chain.find_committee(claim.epoch + 1)
        if following is None:
            return True
        ended_ms = await self._node.ledger.read_entry_time(place.id, following.start)
        unbonding_ms = place.chain.state.parameters.unbonding_ms
        return ended_ms is None or ended_ms < place.chain.get_time_ms() - unbonding_ms

    # --- what is done -------------------------------------------------------------------------

    def _has_room(self, claim: Claim) -> bool:
        others = sum(case.claim.offender == claim.offender for case in self.cases.values())
        return len(self.cases) < CASES_MAX and others < CASES_OFFENDER_MAX

    def _keep(self, claim: Claim, told: Evidence) -> bool:
        if not self._has_room(claim):
            return False
        now_ms = read_clock_ms()
        try:
            self._node.ledger.put_evidence(claim.id, schema.encode(told), now_ms)
        except LedgerFull:
            return False  # the disk is behind; it is told again
        self.cases[claim.id] = Case(claim, told, now_ms, self._choose_turn(claim))
        return True

    def _choose_turn(self, claim: Claim) -> float:
        """Members take turns in an order that the offence decides; others come after them."""
        me, courts = self._node.key.public, self._list_courts(claim)
        members = courts[0].committee.members if courts else ()
        order = sorted(members, key=lambda key: sha256(claim.id + key).digest())
        turn = order.index(me) if me in order else len(order)
        return trio.current_time() + TURN_SECONDS * turn

    def _list_courts(self, claim: Claim) -> list["Place"]:
        if claim.kind == "committee":
            return self.list_bordering(claim.offender)
        place = self._node.places.get(claim.committee)
        return [] if place is None else [place]

    def _accuse(self, case: Case) -> None:
        """Have the evidence ordered wherever that still does something."""
        claim, told = case.claim, case.evidence
        case.due_s = trio.current_time() + AGAIN_SECONDS
        if self.is_punished(claim):
            case.due_s = float("inf")
            return
        for place in self._list_courts(claim):
            if claim.kind == "votes":
                place.accuser.accuse(claim.offender, Accuse(told.first, told.second))
                continue
            body = AccuseCommittee(claim.offender, told.first, told.second)
            if place.chain.state.convicts(body):
                place.accuser.accuse(claim.offender, body)

    def _tell(self, told: Evidence, source: bytes | None = None) -> None:
        frame = encode_frame(TellEvidence(told))
        for link in self._node.transport.links():
            if link.connected and link.peer != source:
                self._node.transport.send(link.peer, frame)

    async def _tell_again(self) -> None:
        """One peer after the other hears what is not punished yet: it may have been away."""
        while True:
            await trio.sleep(TELL_SECONDS)
            peers = sorted(link.peer for link in self._node.transport.links() if link.connected)
            if peers:
                self._turn += 1
                for told in self._list_open():
                    frame = encode_frame(TellEvidence(told))
                    self._node.transport.send(peers[self._turn % len(peers)], frame)

    def _list_open(self) -> Iterator[Evidence]:
        cases = [case for case in self.cases.values() if self._is_open(case.claim)]
        return (case.evidence for case in cases[-TELL_MAX:])

    def _is_open(self, claim: Claim) -> bool:
        """Whether telling it can still change anything."""
        known = self.find_committee(claim.committee, claim.epoch)
        return known is not None and not self.is_punished(claim)


def _name(claim: Claim) -> str:
    return compute_peer_id(claim.offender) if claim.kind == "votes" else claim.offender.hex()
