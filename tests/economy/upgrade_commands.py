"""Commands of the text scenarios about versions of the semantics, which this program executes the
first one of: what a switch is made of is the same in any.

announce NAME VERSION [PROGRAM]
agree NAME ... VERSION            one batch of consents
join_with NAME BOND VERSION       join with a program that executes so many versions
semantics                         what holds, what was announced and consented to
"""

from typing import Any

from protocols.economy.operations import Body, JoinCommittee
from protocols.economy.operations_upgrades import AnnounceSemantics, ConsentUpgrade


class UpgradeCommands:
    """A part of the scenarios' runner, which has `world`, `words`, `submit` and `tell`."""

    world: Any
    words: Any
    submit: Any
    tell: Any

    def do_announce(self, name: str, version: str, program: str = "") -> list[str]:
        return self.submit(name, AnnounceSemantics(int(version), program))

    def do_agree(self, *words: str) -> list[str]:
        *names, version = words
        pairs: list[tuple[str, Body]] = [(name, ConsentUpgrade(int(version))) for name in names]
        return self.tell(self.world.run(*self.world.sign_all(pairs)))

    def do_semantics(self) -> list[str]:
        state = self.world.state
        now = state.committee
        told = sorted(state.announced().values(), key=lambda each: self.words[each.member])
        agreed = sorted((self.words[key], version) for key, version in state.consents().items())
        return [
            f"version {now.semantics} in epoch {now.epoch} from {now.start}",
            "announced " + " ".join(f"{self.words[e.member]}={e.semantics}" for e in told),
            "agreed " + " ".join(f"{name}={version}" for name, version in agreed),
            f"switches {state.switches()}",
        ]

    def do_join_with(self, name: str, bond: str, version: str) -> list[str]:
        return self.submit(name, JoinCommittee(int(bond), int(version)))
