"""Operations about the versions of the ordered semantics (`upgrades.py`)."""

from crdt.facts_upgrades import Program, Semantics
from protocols.economy.body import Body


class AnnounceSemantics(Body, frozen=True, tag="announce_semantics"):
    """The signer, a member, runs a program that executes every version up to `semantics`, in place
    of what it announced before. `program` names its release."""

    semantics: Semantics
    program: Program


class ConsentUpgrade(Body, frozen=True, tag="consent_upgrade"):
    """The signer, a member, consents to the switch to `semantics`, in place of any other version
    that it consented to. The first consent proposes it."""

    semantics: Semantics
