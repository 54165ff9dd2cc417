"""Versions of one committee's semantics behind the local API."""

from collections.abc import Awaitable, Callable

import trio

from crdt.facts import EpochBegan, Fact, UpgradeConsented
from identity.keys import compute_peer_id
from node import service_upgrades as service
from node.account import Ordered
from node.place import Place
from node.refusals import explain_reason
from node.service import Executed, describe_fact
from node.version import get_version
from protocols.economy.operations import AnyBody
from protocols.economy.operations_upgrades import ConsentUpgrade
from protocols.economy.semantics import FIRST, SUPPORTED, VERSIONS


class PlaceUpgrades:
    """See `UpgradeService`."""

    def __init__(self, place: Place, order: Callable[[AnyBody], Awaitable[Ordered]]) -> None:
        self._place, self._order = place, order

    async def upgrades(self) -> service.Upgrades:
        await trio.lowlevel.checkpoint()
        state = self._place.chain.state
        now, announced, consents = state.committee, state.announced(), state.consents()
        return service.Upgrades(
            committee=self._place.name,
            semantics=now.semantics,
            epoch=now.epoch,
            start=now.start,
            program=get_version(),
            supported=SUPPORTED,
            n=now.n,
            q=now.q,
            members=tuple(
                service.UpgradeMember(
                    peer_id=compute_peer_id(key),
                    semantics=announced[key].semantics if key in announced else FIRST,
                    program=announced[key].program if key in announced else "",
                    consents=consents.get(key),
                )
                for key in now.members
            ),
            versions=tuple(self._list_versions()),
        )

    async def consent(self, semantics: int) -> Executed:
        if semantics > SUPPORTED:
            raise explain_reason("not_announced")
        ordered = await self._order(ConsentUpgrade(semantics))
        me = self._place.node.key.public
        consented = UpgradeConsented(account=me, semantics=semantics)
        found = [f for f in ordered.facts if _is_about(f, consented)]
        return Executed(
            operation=ordered.request.digest.hex(),
            position=ordered.position,
            fact=describe_fact(found[-1]),
        )

    def _list_versions(self) -> list[service.Version]:
        state = self._place.chain.state
        changes: dict[int, str] = {each.number: each.changes for each in VERSIONS}
        began = {FIRST: 0} | {version: epoch for epoch, version in state.switches()}
        found = []
        for number in sorted({*changes, *began}):
            epoch = began.get(number)
            place = None if epoch is None else state.find_committee(epoch)
            found.append(
                service.Version(
                    semantics=number,
                    changes=changes.get(number),
                    epoch=epoch,
                    position=None if place is None else place.start,
                )
            )
        return found


def _is_about(fact: Fact, consented: UpgradeConsented) -> bool:
    """This node's consent, or the epoch that it began."""
    if isinstance(fact, EpochBegan):
        return fact.semantics == consented.semantics
    return isinstance(fact, UpgradeConsented) and fact.account == consented.account
