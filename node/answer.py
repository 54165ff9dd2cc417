"""The base of all that the local API answers and takes, and its problem documents."""

from typing import Annotated, Any

import msgspec

from node.problem import TYPE_PREFIX

FactDocument = Annotated[
    dict[str, Any], msgspec.Meta(extra_json_schema={"$ref": "#/components/schemas/Fact"})
]
"""A fact as `node.describe.describe_fact` tells it; `node/fact_schema.py` has the schema."""


KEY_HEADER = "Idempotency-Key"
CHANGES = frozenset({"POST", "PUT", "DELETE"})
"""Methods that change something, which a key makes repeatable: see node/idempotency.py."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all answers."""


class ProblemDocument(Answer, frozen=True):
    """A failure (RFC 9457). `type` is stable; `where` names a field, a file, a flag; `remedy` says
    what to do about it."""

    type: Annotated[str, msgspec.Meta(pattern=f"^{TYPE_PREFIX}[a-z0-9-]+$")]
    title: str
    status: int
    detail: str
    where: str
    remedy: str
