"""The wire's structs as docs/protocol.md and docs/protocol-operations.md must show them."""

import importlib
import inspect
from pathlib import Path

import msgspec
from msgspec import inspect as types

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENTS = tuple(
    ROOT / "docs" / name
    for name in ("protocol.md", "protocol-operations.md", "protocol-files.md", "protocol-market.md")
)
MODULES = (
    "protocols.genesis",
    "protocols.messages",
    "protocols.economy.operations",
    "protocols.economy.operations_auctions",
    "protocols.economy.operations_market",
    "protocols.economy.operations_tasks",
    "protocols.economy.operations_solutions",
    "protocols.economy.operations_upgrades",
    "protocols.blob_messages",
    "crdt.facts",
    "crdt.facts_committees",
    "crdt.facts_auctions",
    "crdt.facts_market",
    "crdt.facts_tasks",
    "crdt.facts_solutions",
    "crdt.facts_upgrades",
    "crdt.moves",
    "crdt.log",
    "crdt.exchange",
    "crdt.items",
    "protocols.evidence",
    "protocols.archive",
)
U63_MAX = (1 << 63) - 1


def list_structs() -> dict[str, type[msgspec.Struct]]:
    """Every struct of the wire by name, but for bases of others that nobody sends."""
    found = {}
    for name in MODULES:
        module = importlib.import_module(name)
        for label, kind in vars(module).items():
            is_struct = inspect.isclass(kind) and issubclass(kind, msgspec.Struct)
            if is_struct and kind.__module__ == name and not kind.__subclasses__():
                assert label not in found, f"two structs are called {label}"
                found[label] = kind
    return found


def describe_fields(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Field -> CBOR type with its bounds, as the documents spell it. `moves` of facts is told
    once for all of them."""
    fields = types.type_info(kind).fields
    return {
        field.encode_name: describe(field.type) + _describe_default(field)
        for field in fields
        if field.name != "moves"
    }


def _describe_default(field: types.Field) -> str:
    if field.required:
        return ""
    if field.default is msgspec.NODEFAULT or isinstance(field.default, msgspec.Struct):
        return ", optional"
    return f", default {msgspec.json.encode(field.default).decode()}"


def describe(kind: types.Type) -> str:
    match kind:
        case types.IntType():
            return _describe_integer(kind.ge, kind.le)
        case types.BytesType():
            return "bytes" + _describe_size(kind)
        case types.StrType():
            return "text" + _describe_size(kind)
        case types.BoolType():
            return "bool"
        case types.NoneType():
            return "null"
        case types.LiteralType():
            return " / ".join(f"`{value}`" for value in sorted(kind.values))
        case types.VarTupleType():
            return f"array{_describe_size(kind)} of {describe(kind.item_type)}"
        case types.StructType():
            return f"`{kind.cls.__name__}`"
        case types.UnionType():
            parts = sorted(kind.types, key=lambda part: isinstance(part, types.NoneType))
            return " or ".join(map(describe, parts))
    raise AssertionError(f"no words for {kind}")


def _describe_integer(low: int | None, high: int | None) -> str:
    if high == U63_MAX:
        return f"uint ≥ {low}" if low else "uint"
    return f"uint {low}..{high}"


def _describe_size(kind: types.BytesType | types.StrType | types.VarTupleType) -> str:
    low, high = kind.min_length or 0, kind.max_length
    if high is None:
        return ""
    return f" {high}" if low == high else f" {low}..{high}"
