"""Evidence for this node's owner: what is known, as a file, and what the owner submits."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import trio

from crdt.facts import Slashed, decode_fact
from crdt.heads import ForkProof
from crdt.replica import ReplicaFull
from identity.errors import InvalidBytes
from identity.keys import compute_peer_id
from node.docket import Case
from node.pages import cut_page
from node.place import Place
from node.problem import Problem, not_found
from node.service_evidence import EvidenceItem, EvidenceList, EvidenceState, Punishment
from protocols import evidence
from protocols.economy.operations import Accuse, AccuseCommittee
from protocols.evidence import Claim, Evidence, UnknownMembers

if TYPE_CHECKING:
    from node.node import Node

SLASHES_READ_MAX = 1_000
Order = Callable[[Place, Accuse | AccuseCommittee], Awaitable[None]]


class EvidenceDesk:
    """See `EvidenceService` for the contract. `order` has an accusation executed in a place."""

    def __init__(self, node: "Node", order: Order) -> None:
        self._node = node
        self._order = order

    async def recent(self, limit: int, cursor: str | None = None) -> EvidenceList:
        known = self._list_known()
        slashes = await self._read_slashes()
        page, following = cut_page(known, lambda case: case.claim.id.hex(), limit, cursor)
        found = tuple(self._describe(case, slashes) for case in page)
        return EvidenceList(evidence=found, total=len(known), next=following)

    async def show(self, prefix: str) -> EvidenceItem:
        return self._describe(self._find(prefix), await self._read_slashes())

    async def get_file(self, prefix: str) -> bytes:
        await trio.lowlevel.checkpoint()
        return evidence.encode_file(self._find(prefix).evidence, self._node.network)

    async def submit(self, data: bytes, committee: str | None) -> EvidenceItem:
        try:
            told = evidence.check_network(evidence.decode_file(data), self._node.network)
        except InvalidBytes as error:
            raise Problem(
                "invalid-evidence",
                f"not a file of evidence of this network: {error.reason}",
                remedy="give one that `econode evidence show ID --out FILE` wrote",
            ) from None
        claim = await self._check(told)
        if claim.kind == "log":
            await self._freeze_author(told)
        else:
            for place in self._choose_courts(claim, committee):
                await self._accuse(place, claim, told)
        return await self.show(claim.id.hex())

    # --- submitting ---------------------------------------------------------------------------

    async def _check(self, told: Evidence) -> Claim:
        docket = self._node.docket
        try:
            claim = evidence.read_claim(told, self._node.network)
            if docket.is_punished(claim):
                raise Problem(
                    "already-punished",
                    "that offender has been punished already",
                    remedy="nothing is left to do: econode evidence list",
                    status=409,
                )
            if claim.kind == "log":
                return evidence.check(told, self._node.network, docket.find_committee)
            return await docket.take(told)
        except UnknownMembers as unknown:
            raise self._explain_unknown(unknown.claim) from None
        except InvalidBytes as error:
            raise Problem(
                "no-evidence",
                f"it proves nothing: {error.reason}",
                remedy="evidence is two different statements of one signer for one slot, both "
                "with good signatures: docs/protocol.md, Evidence",
            ) from None

    def _explain_unknown(self, claim: Claim) -> Problem:
        if claim.committee in self._node.places:
            return Problem(
                "expired",
                f"epoch {claim.epoch} of that committee ended too long ago: its members may have "
                "their bonds back",
                status=409,
            )
        return not_found(
            "committee",
            claim.committee.hex(),
            "submit it to a node that takes part in that committee, or follows it",
        )

    def _choose_courts(self, claim: Claim, committee: str | None) -> Sequence[Place]:
        if claim.kind == "votes":
            courts = [self._node.places[claim.committee]]
        else:
            courts = self._node.docket.list_bordering(claim.offender)
        if committee is None:
            return courts
        chosen = [place for place in courts if committee in (place.name, place.id.hex())]
        if not chosen:
            names = ", ".join(place.name for place in courts) or "none of this node's"
            raise Problem(
                "another-committee",
                f"committee {committee!r} cannot punish that",
                remedy=f"those that can: {names}",
                status=409,
            )
        return chosen

    async def _accuse(self, place: Place, claim: Claim, told: Evidence) -> None:
        if place.accuser.is_ordered(claim.offender):
            raise Problem(
                "already-ordered",
                f"an accusation by this node is under way in committee {place.name}",
                remedy="see what comes of it: econode evidence show " + claim.id.hex()[:16],
                status=409,
            )
        if not place.accuser.can_pay():
            return  # it has been told: others order it
        if claim.kind == "votes":
            await self._order(place, Accuse(told.first, told.second))
            return
        body = AccuseCommittee(claim.offender, told.first, told.second)
        if place.chain.state.convicts(body):
            await self._order(place, body)

    async def _freeze_author(self, told: Evidence) -> None:
        await trio.lowlevel.checkpoint()
        if not self._node.is_account(told.subject):
            raise Problem(
                "unknown-account",
                f"{compute_peer_id(told.subject)} never held credits here, so nobody keeps its log",
                status=404,
            )
        fork = ForkProof.make(told.subject, 0, told.first, told.second)
        try:
            self._node.logs.take_fork(fork.encode())
        except ReplicaFull as full:
            raise Problem("replica-full", str(full), status=503) from None

    # --- what is known ------------------------------------------------------------------------

    def _list_known(self) -> list[Case]:
        """Cases, the newest first, then forks of peers' logs."""
        cases = sorted(
            self._node.docket.cases.values(), key=lambda case: case.seen_ms or 0, reverse=True
        )
        return cases + [self._to_case(fork) for fork in self._node.logs.replica.get_forks()]

    def _to_case(self, fork: ForkProof) -> Case:
        told = evidence.from_fork(fork)
        claim = evidence.read_claim(told, self._node.network)
        return Case(claim, told, None, float("inf"))

    def _find(self, prefix: str) -> Case:
        found = [case for case in self._list_known() if case.claim.id.hex().startswith(prefix)]
        if not found:
            raise not_found("evidence", prefix, "`econode evidence list` shows what is known here")
        if len(found) > 1:
            detail = f"the ids of {len(found)} offences begin with {prefix}"
            raise Problem("ambiguous", detail, remedy="give more digits")
        return found[0]

    async def _read_slashes(self) -> dict[tuple[bytes, bytes], Punishment]:
        """(committee, offender) -> how its bond burned, as far as this ledger tells."""
        found: dict[tuple[bytes, bytes], Punishment] = {}
        for place in self._node.places.values():
            rows = await self._node.ledger.read_facts(
                place.id, kind="slashed", count_max=SLASHES_READ_MAX, newest_first=True
            )
            for row in rows:
                fact = decode_fact(row.data)
                assert isinstance(fact, Slashed)
                found[place.id, fact.offender] = Punishment(
                    what="slashed",
                    committee=place.name,
                    position=row.position,
                    amount=fact.amount,
                )
        return found

    def _describe(self, case: Case, slashes: dict[tuple[bytes, bytes], Punishment]) -> EvidenceItem:
        claim = case.claim
        place = self._node.places.get(claim.committee)
        name = claim.committee.hex() if place is None else place.name
        punished = self._list_punishments(claim, slashes)
        is_fork = claim.kind == "committee"
        signers = evidence.list_double_signers(case.evidence, self._node.network) if is_fork else ()
        claims = [evidence.read_claim(each, self._node.network) for each in signers]
        return EvidenceItem(
            id=claim.id.hex(),
            kind=claim.kind,
            state=self._compute_state(claim, bool(punished)),
            offender=name if is_fork else compute_peer_id(claim.offender),
            committee="" if claim.kind == "log" else name,
            epoch=claim.epoch,
            statement=claim.statement,
            slot=claim.slot,
            seen_ms=case.seen_ms,
            punished=tuple(punished),
            halted=is_fork and place is not None and place.seat.is_halted,
            double_signers=tuple(compute_peer_id(each.offender) for each in claims),
        )

    def _list_punishments(
        self, claim: Claim, slashes: dict[tuple[bytes, bytes], Punishment]
    ) -> list[Punishment]:
        node = self._node
        if claim.kind == "log":
            fork = node.logs.replica.get_fork(claim.offender)
            return (
                []
                if fork is None
                else [Punishment(what="frozen-log", committee="", position=fork.position)]
            )
        if claim.kind == "committee":
            courts = node.docket.list_bordering(claim.offender)
            borders = [(each, each.chain.state.get_border(claim.offender)) for each in courts]
            return [
                Punishment(what="frozen-border", committee=place.name)
                for place, border in borders
                if border is not None and border.frozen
            ]
        if not node.docket.is_punished(claim):
            return []
        place = node.places[claim.committee]
        unknown = Punishment(what="slashed", committee=place.name)
        return [slashes.get((place.id, claim.offender), unknown)]

    def _compute_state(self, claim: Claim, is_punished: bool) -> EvidenceState:
        if is_punished:
            return "punished"
        places = self._node.places.values()
        if any(place.accuser.is_ordered(claim.offender) for place in places):
            return "ordered"
        if claim.kind == "votes":
            members = self._node.docket.find_committee(claim.committee, claim.epoch)
            return "seen" if members is not None else "expired"
        return "seen"
