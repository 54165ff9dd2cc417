"""The running node behind the local API: `NodeService`, one committee or none concerned."""

import trio

from crdt import facts
from crdt.facts import Fact
from identity.keys import compute_peer_id, parse_peer_id
from node import service
from node.blob_store import BlobError, StoreFull
from node.crossing_service import PlaceCrossings
from node.data import LogData
from node.evidence_desk import EvidenceDesk
from node.kept_answers import LedgerAnswers
from node.node import Node
from node.node_service import PlaceService
from node.opener import PLACES_MAX
from node.place import Place
from node.place_auctions import PlaceAuctions
from node.place_history import PlaceHistory
from node.place_upgrades import PlaceUpgrades
from node.place_variables import PlaceVariables
from node.problem import Problem, not_found
from node.proofs import Proofs
from node.upgrades import list_outdated
from protocols.economy.model import Formed, Proposal
from protocols.economy.operations import (
    Accuse,
    AccuseCommittee,
    ConsentCommittee,
    FormCommittee,
)
from protocols.genesis import compute_formed_id


class Service:
    """What this node's owner can ask and do. See `NodeService` for the contract."""

    def __init__(self, node: Node, stop: trio.Event) -> None:
        self._node = node
        self._stop = stop
        self.kept_answers = LedgerAnswers(node.ledger)
        self.proofs = Proofs(node.home.ledger_path, node.genesis)
        self._services: dict[bytes, PlaceService] = {}
        self._evidence = EvidenceDesk(node, self._accuse)
        self.data = LogData(node.logs, node.key.public)

    @property
    def peer_id(self) -> str:
        return compute_peer_id(self._node.key.public)

    def at(self, committee: str) -> PlaceService:
        place = self._find(committee)
        if place.id not in self._services:
            self._services[place.id] = PlaceService(place)
        return self._services[place.id]

    def crossings_of(self, committee: str) -> PlaceCrossings:
        return PlaceCrossings(self._find(committee))

    def auctions_of(self, committee: str) -> PlaceAuctions:
        return PlaceAuctions(self._find(committee), self.at(committee))

    def history_of(self, committee: str) -> PlaceHistory:
        return PlaceHistory(self._find(committee), self.at(committee), self.proofs)

    def market_of(self, committee: str) -> PlaceVariables:
        return PlaceVariables(self._find(committee), self.at(committee).order)

    def upgrades_of(self, committee: str) -> PlaceUpgrades:
        return PlaceUpgrades(self._find(committee), self.at(committee).order)

    def _find(self, committee: str) -> Place:
        for place in self._node.places.values():
            if committee in (place.name, place.id.hex()):
                return place
        raise not_found(
            "committee",
            committee,
            "`econode committee list` shows those there are; this node takes part in those it is "
            "a member of and those in [committees] follow",
        )

    @property
    def evidence(self) -> EvidenceDesk:
        return self._evidence

    async def _accuse(self, place: Place, body: Accuse | AccuseCommittee) -> None:
        await self.at(place.name).order(body)

    async def peers(self) -> service.Peers:
        await trio.lowlevel.checkpoint()
        return service.Peers(
            peers=tuple(
                service.Peer(
                    peer_id=compute_peer_id(link.peer),
                    address=link.multiaddr,
                    connected=link.connected,
                    rtt_ms=link.rtt_ms,
                    frames_in=link.frames_in,
                    frames_out=link.frames_out,
                    bytes_in=link.bytes_in,
                    bytes_out=link.bytes_out,
                    dropped=link.drops,
                    last_error=link.last_error,
                )
                for link in self._node.transport.links()
            )
        )

    async def metrics(self) -> bytes:
        await trio.lowlevel.checkpoint()
        return self._node.telemetry.render()

    async def list_missing(self) -> list[str]:
        await trio.lowlevel.checkpoint()
        linked = {link.peer for link in self._node.transport.links() if link.connected}
        linked.add(self._node.key.public)
        missing = []
        for place in self._node.places.values():
            committee, seat = place.committee, place.seat
            up = len(linked.intersection(committee.members))
            if up < committee.q:
                missing.append(f"{place.name}: {up} members linked, {committee.q} are a quorum")
            if seat.catch_up.is_behind():
                missing.append(f"{place.name}: catching up from position {seat.core.executed}")
            if seat.core.is_member and seat.core.memory.is_observing():
                missing.append(f"{place.name}: observing until a quorum has passed it")
        missing += list_outdated(self._node.places.values())
        return missing

    async def shutdown(self) -> None:
        await trio.lowlevel.checkpoint()
        self._stop.set()

    async def put_blob(self, data: bytes) -> service.BlobStored:
        try:
            digest = await self._node.blobs.store.put(data)
        except (BlobError, StoreFull) as error:
            raise Problem("blob-refused", str(error), status=413) from None
        return service.BlobStored(digest=digest.hex(), size_bytes=len(data))

    # --- committees ---------------------------------------------------------------------------

    async def committees(self) -> service.Committees:
        await trio.lowlevel.checkpoint()
        found: list[service.Committee] = []
        for place in self._node.places.values():
            state = place.chain.state
            if place is self._node.main:
                found.append(self._describe_main(place))
            found += [self._describe_formed(place, formed) for formed in state.formed()]
            found += [self._describe_proposal(place, proposal) for proposal in state.proposals()]
        return service.Committees(committees=tuple(found))

    async def form_committee(self, parent: str, terms: service.FormRequest) -> service.Executed:
        place = self._find(parent)
        members = tuple(parse_peer_id(peer) for peer in terms.members)
        body = FormCommittee(terms.name, members, terms.bond, terms.free, terms.duration_ms)
        ordered = await self.at(parent).order(body)
        id_ = compute_formed_id(self._node.network, place.id, ordered.request.digest)
        return _describe(ordered.request.digest, ordered.position, ordered.facts, id_)

    async def consent_committee(self, parent: str, committee: str) -> service.Executed:
        if len(self._node.places) >= PLACES_MAX:
            raise Problem(
                "too-many-committees",
                f"this node takes part in {PLACES_MAX} committees already",
                remedy="let another node, with a key of its own, be a member",
                status=409,
            )
        id_ = bytes.fromhex(committee)
        ordered = await self.at(parent).order(ConsentCommittee(id_))
        return _describe(ordered.request.digest, ordered.position, ordered.facts, id_)

    def _describe_main(self, main: Place) -> service.Committee:
        members = self._node.genesis.members
        return service.Committee(
            name=main.name,
            id=main.id.hex(),
            parent=None,
            state="standing",
            members=tuple(map(compute_peer_id, main.committee.members)),
            bond=None if len({m.bond for m in members}) > 1 else members[0].bond,
            free=None if len({m.free for m in members}) > 1 else members[0].free,
            created_ms=self._node.genesis.created_ms,
            role=_get_role(main, main.committee.is_member(self._node.key.public)),
        )

    def _describe_formed(self, parent: Place, formed: Formed) -> service.Committee:
        place = self._node.places.get(formed.committee)
        members = formed.members if place is None else place.committee.members
        return service.Committee(
            name=parent.name_child(formed.name),
            id=formed.committee.hex(),
            parent=parent.name,
            state="standing",
            members=tuple(map(compute_peer_id, members)),
            bond=formed.bond,
            free=formed.free,
            created_ms=formed.created_ms,
            role=_get_role(place, self._node.key.public in members),
        )

    def _describe_proposal(self, parent: Place, proposal: Proposal) -> service.Committee:
        return service.Committee(
            name=parent.name_child(proposal.name),
            id=proposal.committee.hex(),
            parent=parent.name,
            state="proposed",
            members=tuple(map(compute_peer_id, proposal.members)),
            bond=proposal.bond,
            free=proposal.free,
            consented=tuple(map(compute_peer_id, proposal.consented)),
            deadline_ms=proposal.deadline_ms,
            role="named" if self._node.key.public in proposal.members else "none",
        )


def _get_role(place: Place | None, is_member: bool) -> service.CommitteeRole:
    if place is None:
        return "none"
    return "member" if is_member else "observer"


def _describe(
    operation: bytes, position: int, found: tuple[Fact, ...], committee: bytes
) -> service.Executed:
    """The last of an entry's facts that is about the formation of `committee`."""
    kinds = facts.CommitteeProposed | facts.CommitteeConsented | facts.CommitteeFormed
    fact = [f for f in found if isinstance(f, kinds) and f.committee == committee][-1]
    return service.Executed(
        operation=operation.hex(), position=position, fact=service.describe_fact(fact)
    )
