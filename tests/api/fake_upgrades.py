"""Versions of the semantics of a fake node: one member of four, all of whose programs execute 2."""

import trio

from crdt import facts
from identity.keys import parse_peer_id
from node import service, service_upgrades
from node.refusals import explain_reason

NOW, NEXT = 1, 2


class FakeUpgrades:
    def __init__(self, peers: list[str]) -> None:
        self._peers = peers
        self._consents: set[str] = set()

    async def upgrades(self) -> service_upgrades.Upgrades:
        await trio.lowlevel.checkpoint()
        return service_upgrades.Upgrades(
            committee="main",
            semantics=NOW,
            epoch=3,
            start=20,
            program="1.1.0",
            supported=NEXT,
            n=len(self._peers),
            q=3,
            members=tuple(
                service_upgrades.UpgradeMember(
                    peer, NEXT, "1.1.0", NEXT if peer in self._consents else None
                )
                for peer in self._peers
            ),
            versions=(
                service_upgrades.Version(NOW, "what every log begins with", 0, 0),
                service_upgrades.Version(NEXT, "twice the fee", None, None),
            ),
        )

    async def consent(self, semantics: int) -> service.Executed:
        await trio.lowlevel.checkpoint()
        if semantics <= NOW:
            raise explain_reason("semantics_passed")
        if semantics > NEXT:
            raise explain_reason("not_announced")
        me = self._peers[0]
        self._consents.add(me)
        fact = facts.UpgradeConsented(account=parse_peer_id(me), semantics=semantics)
        described = service.describe_fact(fact)
        return service.Executed(operation="00" * 32, position=21, fact=described)
