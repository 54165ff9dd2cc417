"""Facts about the versions of the ordered semantics (`protocols/economy/upgrades.py`)."""

from typing import Annotated

import msgspec

from crdt.moves import Fact
from identity.schema import Key

SEMANTICS_MAX = 65_535
Semantics = Annotated[int, msgspec.Meta(ge=1, le=SEMANTICS_MAX)]
"""A version of the rules by which operations are executed; every log begins with 1."""
Program = Annotated[str, msgspec.Meta(max_length=64)]
"""What a member says of its program's release, for people to read."""


class SemanticsAnnounced(Fact, frozen=True, tag="semantics_announced"):
    """A member's program executes every version up to `semantics`."""

    account: Key
    semantics: Semantics
    program: Program


class UpgradeConsented(Fact, frozen=True, tag="upgrade_consented"):
    """A member consents to the switch to `semantics`. With the q-th consent the epoch ends; the
    `epoch_began` says what holds from then on."""

    account: Key
    semantics: Semantics
