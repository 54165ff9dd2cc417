"""Credits between committees behind the local API: `CrossingService` over two places' states."""

from crdt import facts
from crdt.facts import Exported, decode_fact
from identity.keys import compute_peer_id, parse_peer_id
from node.account import Refused
from node.carrier import count_waiting, list_exports
from node.crossing_answers import (
    CROSSINGS_MAX,
    FUNDINGS_MAX,
    Border,
    Crossing,
    CrossingRequest,
    Crossings,
    CrossingState,
    Funding,
    FundingRequest,
    Fundings,
)
from node.funding import compute_amount
from node.funding_notes import ENDED, decode
from node.funding_notes import Funding as Note
from node.place import Place
from node.problem import Problem, not_found
from node.refusals import explain_refusal
from node.task_specs import make_specs
from protocols.economy.operations import Export


class PlaceCrossings:
    """What this node's owner can ask and do about credits that leave or reach one committee."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def export(self, wanted: CrossingRequest) -> Crossing:
        place, target = self._place, find_neighbour(self._place, wanted.to_committee)
        body = Export(target.id, parse_peer_id(wanted.to), wanted.amount)
        ordered = await place.account.submit(body)
        try:
            await ordered.wait()
        except Refused as refused:
            raise explain_refusal(refused) from None
        await place.flush()  # what is asked next is read from there
        digest = ordered.request.digest
        found = (f for f in ordered.facts if isinstance(f, Exported) and f.operation == digest)
        return await self._describe(next(found), ordered.position)

    async def crossing(self, operation: str) -> Crossing:
        rows = await self._place.node.ledger.read_facts(
            self._place.id, count_max=CROSSINGS_MAX, kind="exported", newest_first=True
        )
        for row in rows:
            fact = decode_fact(row.data)
            if isinstance(fact, Exported) and fact.operation.hex() == operation:
                return await self._describe(fact, row.position)
        raise not_found("transfer", operation, "`econode stake show` lists those under way")

    async def crossings(self) -> Crossings:
        place, found = self._place, []
        for border in place.chain.state.borders():
            other = place.node.places.get(border.committee)
            if other is None:
                continue
            for source, target in ((place, other), (other, place)):
                if count_waiting(source, target):
                    come = target.chain.state.get_border(source.id)
                    first = 1 if come is None else come.imported + 1
                    of_source = PlaceCrossings(source)
                    for position, fact in await list_exports(source, target, first):
                        found.append(await of_source._describe(fact, position))
        return Crossings(borders=tuple(list_borders(place)), crossings=tuple(found))

    # --- tasks paid from another committee ------------------------------------------------------

    async def fund_tasks(self, wanted: FundingRequest) -> Funding:
        target, source = self._place, find_neighbour(self._place, wanted.funded_by)
        if wanted.options.pool:
            raise Problem(
                "invalid-option",
                "a bonus pool is not paid from another committee",
                remedy="submit without it, or with credits of the committee itself",
            )
        terms = (wanted.budget, wanted.duration_ms, wanted.options)
        specs = make_specs(target, wanted.tasks, *terms)
        for place, other in ((source, target), (target, source)):
            border = place.chain.state.get_border(other.id)
            if border is None or border.frozen:
                raise Problem("frozen", f"{place.name} has frozen that border", status=409)
        free = source.chain.state.stake.get(source.node.key.public, "free")
        amount = compute_amount(target, specs) + source.chain.state.parameters.operation_fee
        if amount > free:
            raise Problem(
                "insufficient-credits",
                f"{amount} credits are needed in {source.name} and {free} are free",
                remedy="see them with `econode stake show`; what the tasks leave comes back",
                status=409,
            )
        return _describe_funding(target, await target.node.funder.begin(source, target, specs))

    async def funding(self, prefix: str) -> Funding:
        found = [
            funding
            for funding in (await self.fundings()).fundings
            if any(id_.startswith(prefix) for id_ in (funding.id, *funding.tasks))
        ]
        if len(found) != 1:
            raise not_found("funding", prefix, "`econode task list` shows the tasks")
        return found[0]

    async def fundings(self) -> Fundings:
        notes = await self._place.node.ledger.read_fundings(only_open=False, count_max=FUNDINGS_MAX)
        found = [note for note in map(decode, notes) if note.target == self._place.id]
        return Fundings(fundings=tuple(_describe_funding(self._place, note) for note in found))

    async def _describe(self, fact: Exported, position: int) -> Crossing:
        place = self._place
        target = place.node.places.get(fact.committee)
        state: CrossingState = "exported"
        if place.seat.core.heads.certified >= position:
            state = "certified"
        arrived = None
        if target is not None:
            border = target.chain.state.get_border(place.id)
            if border is not None and border.imported >= fact.number:
                state, arrived = "imported", await _find_arrival(target, fact)
        return Crossing(
            operation=fact.operation.hex(),
            number=fact.number,
            source=place.name,
            target=name_neighbour(place, fact.committee),
            account=compute_peer_id(fact.account),
            to=compute_peer_id(fact.to),
            amount=fact.amount,
            state=state,
            exported_position=position,
            imported_position=arrived,
        )


def _describe_funding(target: Place, note: Note) -> Funding:
    return Funding(
        id=note.id.hex(),
        source=name_neighbour(target, note.source),
        target=target.name,
        stage=note.stage,
        amount=note.amount,
        created_ms=note.created_ms,
        tasks=tuple(task.hex() for task in note.opened),
        exported_position=note.exported_position or None,
        opened_position=note.opened_position or None,
        returned=note.returned if note.stage in ("homeward", *ENDED) else None,
        returned_position=note.returned_position or None,
        reason=note.reason,
    )


async def _find_arrival(target: Place, sent: Exported) -> int | None:
    """Where a transfer arrived, if that is among the last."""
    await target.flush()
    rows = await target.node.ledger.read_facts(
        target.id, count_max=CROSSINGS_MAX, kind="imported", newest_first=True
    )
    for row in rows:
        fact = decode_fact(row.data)
        if isinstance(fact, facts.Imported) and fact.operation == sent.operation:
            return row.position
    return None


def list_borders(place: Place) -> list[Border]:
    """What the committee knows of each neighbour."""
    state = place.chain.state
    return [
        Border(
            committee=name_neighbour(place, border.committee),
            id=border.committee.hex(),
            sent=border.exported,
            arrived=border.imported,
            epoch=border.epochs[-1].epoch,
            known_ms=border.time_ms,
            stale_ms=border.time_ms + state.parameters.unbonding_ms,
            frozen=border.frozen,
        )
        for border in state.borders()
    ]


def name_neighbour(place: Place, committee: bytes) -> str:
    """What people call a neighbour of the place's committee; its id where nobody here knows."""
    known = place.node.places.get(committee)
    if known is not None:
        return known.name
    for formed in place.chain.state.formed():
        if formed.committee == committee:
            return place.name_child(formed.name)
    return committee.hex()


def find_neighbour(place: Place, name: str) -> Place:
    """This node's place in the neighbouring committee of that name or id. Raises Problem."""
    ids = [border.committee for border in place.chain.state.borders()]
    names = [name_neighbour(place, id_) for id_ in ids]
    found = next((i for n, i in zip(names, ids, strict=True) if name in (n, i.hex())), None)
    if found is None:
        raise Problem(
            "no-border",
            f"credits do not cross from {place.name!r} to {name!r} in one step",
            remedy="they cross between a committee and those that it formed: "
            f"{', '.join(names) or 'none here'}; go step by step",
            status=409,
        )
    if found not in place.node.places:
        raise Problem(
            "not-followed",
            f"this node does not see committee {name!r}, so it cannot tell what arrives there",
            where="config.toml, [committees] follow",
            remedy=f"start it with the name there: follow = [{name!r}]",
            status=409,
        )
    return place.node.places[found]
