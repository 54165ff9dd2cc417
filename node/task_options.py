"""How a task is to be done, as the owner asks for it."""

from typing import Annotated, get_args

import msgspec

from crdt.facts_tasks import PANEL_MAX, PPM, Mechanism, TaskTerms, Verification
from identity.schema import U63_MAX
from node.answer import Answer

VERIFICATIONS: tuple[Verification, ...] = get_args(Verification)
_Amount = Annotated[int, msgspec.Meta(ge=0, le=U63_MAX)]


class TaskOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Durations are milliseconds of agreed time, 0 the network's default. `verification` None is
    whatever the capability is offered with; the other fields are those of the network's
    `TaskTerms`. `pool` credits are split among the excellent executions of the request's tasks."""

    verification: Verification | None = None
    or_judged: bool = False
    lease_ms: _Amount = 0
    grace_ms: _Amount = 0
    heartbeat_ms: _Amount = 0
    accept_ms: _Amount = 0
    panel: Annotated[int, msgspec.Meta(ge=1, le=PANEL_MAX)] = 3
    audit_ppm: Annotated[int, msgspec.Meta(ge=1, le=PPM)] = PPM
    mechanism: Mechanism = "vickrey"
    bonus_ppm: Annotated[int, msgspec.Meta(ge=0, le=PPM)] | None = None
    pool: _Amount = 0

    def make_terms(self, offered: Verification) -> TaskTerms:
        """The terms of a task on a capability that agents offer like this."""
        return TaskTerms(
            verification=offered,
            or_judged=self.or_judged,
            lease_ms=self.lease_ms,
            grace_ms=self.grace_ms,
            heartbeat_ms=self.heartbeat_ms,
            accept_ms=self.accept_ms,
            panel=self.panel,
            audit_ppm=self.audit_ppm,
            mechanism=self.mechanism,
            bonus_ppm=self.bonus_ppm,
        )


PLAIN = TaskOptions()


class TaskAnswer(Answer, frozen=True, forbid_unknown_fields=True):
    """What a delivered result is worth to who asked for it: the share of the price that is paid,
    in ppm. The rest burns; 0 rejects it."""

    paid_ppm: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1_000_000


class TaskScore(Answer, frozen=True):
    """What one judge of a panel opened, 0 to 100."""

    judge: str
    score: int
