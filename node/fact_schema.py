"""JSON schemas of facts as `node.describe.describe_fact` tells them, from their structs."""

from collections.abc import Iterator
from typing import Any, get_args

import msgspec
from msgspec import inspect

from crdt import facts
from node.describe import PEER_FIELDS

TEMPLATE = "#/components/schemas/{name}"
ACCOUNT_SCHEMA = {
    "type": "string",
    "description": "A PeerId, `common`, or `transit:` and a committee's id.",
}
HEX_SCHEMA = {"type": "string", "pattern": "^([0-9a-f]{2})*$"}


def make_fact_schemas() -> dict[str, Any]:
    """`Fact`, one schema for each kind, and one for each struct inside of them."""
    kinds: tuple[type[msgspec.Struct], ...] = get_args(facts.AnyFact)
    schemas: dict[str, Any] = {}
    mapping = {}
    for kind in kinds:
        tag = str(kind.__struct_config__.tag)
        mapping[tag] = _add(kind, schemas, tag)
    schemas["Fact"] = {
        "description": "What a committee's log says happened; `kind` says which of these it is.",
        "oneOf": [{"$ref": target} for target in mapping.values()],
        "discriminator": {"propertyName": "kind", "mapping": mapping},
    }
    return schemas


def _add(kind: type, schemas: dict[str, Any], tag: str = "") -> str:
    """The reference to a struct's schema, which is added when it is new."""
    name = f"Fact{kind.__name__}"
    if name not in schemas:
        schemas[name] = {}  # so that a struct inside itself ends
        info = inspect.type_info(kind)
        assert isinstance(info, inspect.StructType)
        properties: dict[str, Any] = {"kind": {"const": tag}} if tag else {}
        for field in info.fields:
            is_key = field.name in PEER_FIELDS
            properties[field.name] = _describe(field.type, schemas, is_key=is_key)
        schemas[name] = {
            "type": "object",
            "description": " ".join((kind.__doc__ or "").split()),
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
    return TEMPLATE.format(name=name)


def _describe(kind: inspect.Type, schemas: dict[str, Any], *, is_key: bool) -> dict[str, Any]:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    match kind:
        case inspect.BytesType():
            return ACCOUNT_SCHEMA if is_key else HEX_SCHEMA
        case inspect.IntType(ge=least, le=most):
            bounds = {"minimum": least, "maximum": most}
            return {"type": "integer", **{k: v for k, v in bounds.items() if v is not None}}
        case inspect.StrType():
            return {"type": "string"}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.NoneType():
            return {"type": "null"}
        case inspect.LiteralType(values=values):
            return {"enum": list(values)}
        case inspect.StructType(cls=cls):
            return {"$ref": _add(cls, schemas)}
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return {"type": "array", "items": _describe(item, schemas, is_key=is_key)}
        case inspect.TupleType(item_types=items):
            return {"type": "array", "prefixItems": list(_each(items, schemas, is_key=is_key))}
        case inspect.UnionType(types=types):
            return {"anyOf": list(_each(types, schemas, is_key=is_key))}
    raise TypeError(f"facts hold no {kind!r}")


def _each(
    kinds: tuple[inspect.Type, ...], schemas: dict[str, Any], *, is_key: bool
) -> Iterator[dict[str, Any]]:
    for kind in kinds:
        yield _describe(kind, schemas, is_key=is_key)
