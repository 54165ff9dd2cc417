"""The versions of the ordered semantics that this program executes, and what came with each.

Ordered code asks `Books.semantics` which version holds and never what the program supports:
members with different programs must execute one batch alike. A program executes every version
from 1 on, so that it replays a log from its genesis.
"""

from dataclasses import dataclass

import msgspec

from identity.errors import InvalidSchema
from protocols.economy.operations import Operation

FIRST = 1
"""What every log begins with, and what a member executes that has announced nothing."""


@dataclass(frozen=True, slots=True)
class Version:
    """`changes` says in a sentence what is executed otherwise than before."""

    number: int
    changes: str


@dataclass(frozen=True, slots=True)
class Added:
    """A kind of operation, or a field of one (its default says what it meant before), that nobody
    may use before version `since`."""

    body: type[msgspec.Struct]
    field: str | None
    since: int


VERSIONS = (Version(FIRST, "the rules that every log begins with"),)
ADDED: tuple[Added, ...] = ()
SUPPORTED = VERSIONS[-1].number
"""The newest version that this program executes."""


class UnsupportedSemantics(InvalidSchema):
    """What follows in a log is executed by rules that this program does not know."""

    layer = "semantics"

    def __init__(self, needed: int, position: int) -> None:
        super().__init__(
            f"from position {position + 1} on the log follows version {needed} of the semantics, "
            f"and this program executes versions up to {SUPPORTED}: install a release of Econode "
            f"that supports version {needed}; nothing is lost"
        )
        self.needed = needed


def check_operation(operation: Operation, semantics: int) -> None:
    """Raises InvalidSchema for an operation that `semantics` does not know: a program of that
    version alone could not read it, so no member may order it."""
    body = operation.body
    for added in ADDED:
        if added.since <= semantics or not isinstance(body, added.body):
            continue
        if added.field is None:
            raise InvalidSchema(f"{_name(body)}: since version {added.since} of the semantics only")
        if getattr(body, added.field) != _get_default(added.body, added.field):
            raise InvalidSchema(
                f"{_name(body)}.{added.field}: since version {added.since} of the semantics only"
            )


def _name(body: msgspec.Struct) -> str:
    return str(body.__struct_config__.tag)


def _get_default(kind: type[msgspec.Struct], name: str) -> object:
    return next(field.default for field in msgspec.structs.fields(kind) if field.name == name)
