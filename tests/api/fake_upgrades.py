"""Versions of the semantics of a fake node: its only member executes 2."""

from typing import Any

import trio

from crdt import facts
from identity.keys import parse_peer_id
from node import service, service_upgrades
from node.refusals import explain_reason

NOW, NEXT = 1, 2


class FakeUpgrades:
    """A part of the fake node, which has `peer_id` and `at`: its UpgradeService."""

    peer_id: str
    at: Any
    _has_consented = False

    def upgrades_of(self, committee: str) -> "FakeUpgrades":
        self.at(committee)
        return self

    async def upgrades(self) -> service_upgrades.Upgrades:
        await trio.lowlevel.checkpoint()
        return service_upgrades.Upgrades(
            committee="main",
            semantics=NOW,
            epoch=3,
            start=20,
            program="1.1.0",
            supported=NEXT,
            n=1,
            q=1,
            members=(
                service_upgrades.UpgradeMember(
                    self.peer_id, NEXT, "1.1.0", NEXT if self._has_consented else None
                ),
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
        self._has_consented = True
        fact = facts.UpgradeConsented(account=parse_peer_id(self.peer_id), semantics=semantics)
        described = service.describe_fact(fact)
        return service.Executed(operation="00" * 32, position=21, fact=described)
