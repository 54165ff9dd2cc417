"""docs/protocol.cddl, from the structs themselves: the normative schema (RFC 8610).

Every struct that is reachable from a message, a statement or a file has a rule under its own name.
Two things CDDL says otherwise than the types: text is bounded in characters, by a regular
expression (RFC 8610 section 3.8.3), and what tolerates unknown fields says so by `* tstr => any`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec import inspect as types

from crdt.facts import AnyFact
from crdt.items import AnyItem
from devnet.vectors.kinds import describe, list_kinds
from devnet.vectors.sample import U63_MAX
from node.router import AnyHop
from protocols.archive import AnyRecord
from protocols.auction.result_file import ResultFile
from protocols.economy.operations import AnyBody
from protocols.evidence import EvidenceFile
from protocols.genesis import Genesis
from protocols.light import Bundle

TARGET = Path(__file__).resolve().parents[2] / "docs" / "protocol.cddl"
LINE_MAX = 96
HEAD = """\
; The messages of Econode, by RFC 8610. Written by `python docs/protocol_cddl.py --write` from the
; program; do not edit. docs/protocol.md says what they mean.
;
; Everything that is signed, hashed or stored is in deterministic CBOR besides (RFC 8949, 4.2.1).

statement = [
  type: tstr,               ; the kind of its payload
  committee: bstr .size 16,
  epoch: uint63,
  cose: bstr .cbor cose-sign1,
]
cose-sign1 = [              ; COSE_Sign1 of RFC 9052, without its tag
  protected: bstr .cbor protected-header,
  unprotected: {},
  payload: bstr,            ; .cbor the rule of its type, below
  signature: bstr .size 64,
]
protected-header = { 1: -8, 4: bstr .size 32 }
external-aad = [
  "econode",
  major: 1,
  network: bstr .size 32,
  committee: bstr .size 16,
  epoch: uint63,
  type: tstr,
]
sig-structure = [
  "Signature1",
  protected: bstr .cbor protected-header,
  external-aad: bstr .cbor external-aad,
  payload: bstr,
]
certificate = [
  type: tstr,
  committee: bstr .size 16,
  epoch: uint63,
  payload: bstr,
  signatures: [0*256 signature],   ; ascending by signer, none twice
]
signature = [signer: bstr .size 32, signature: bstr .size 64]
fork-proof = [author: bstr .size 16 / bstr .size 32, proofs: [bstr, bstr]]
light-proof = ["econode/light", version: 1, digest: bstr .size 32, payload: bstr .cbor Bundle]
auction-result = [
  "econode/auction-result",
  version: 1,
  digest: bstr .size 32,    ; SHA-256 of the payload
  payload: bstr .cbor ResultFile,
]
uint63 = 0..9223372036854775807
"""
CHOICES: tuple[tuple[str, Any, str], ...] = (
    ("hop-message", AnyHop, "what a frame holds"),
    ("operation-body", AnyBody, "what a client may ask for"),
    ("fact", AnyFact, "an item of a committee's log"),
    ("item", AnyItem, "an item of a peer's log; others are kept and skipped"),
    ("archive-record", AnyRecord, "a record of a file of logs"),
)
FILES = (Genesis, EvidenceFile, Bundle, ResultFile)


def generate() -> str:
    """The whole file; the same for the same program."""
    found: dict[str, types.StructType] = {}
    parts = [HEAD]
    payloads: dict[str, type[msgspec.Struct]] = {kind.tag: kind.struct for kind in list_kinds()}
    lines = [
        f"{name.replace('_', '-')}-payload = {kind.__name__}" for name, kind in payloads.items()
    ]
    parts.append("\n".join(["; the payloads of statements, by type", *lines, ""]))
    for name, union, comment in CHOICES:
        choices = [kind.__name__ for kind in get_args(union)]
        parts.append("\n".join([f"; {comment}", *_join_choices(name, choices), ""]))
    for kind in (*payloads.values(), *FILES, *(k for _, u, _ in CHOICES for k in get_args(u))):
        _collect(types.type_info(kind), found)
    parts += [_render_struct(info) for _, info in sorted(found.items())]
    return "\n".join(parts)


def _join_choices(name: str, names: list[str]) -> Iterator[str]:
    for number, choice in enumerate(names):
        yield f"{name} {'=' if number == 0 else '/='} {choice}"


def _collect(info: types.Type, found: dict[str, types.StructType]) -> None:
    match info:
        case types.StructType():
            name = info.cls.__name__
            if name in found:
                assert found[name].cls is info.cls, f"two structs are called {name}"
                return
            found[name] = info
            for field in info.fields:
                _collect(field.type, found)
        case types.VarTupleType():
            _collect(info.item_type, found)
        case types.UnionType():
            for part in info.types:
                _collect(part, found)


def _render_struct(info: types.StructType) -> str:
    text = describe(info.cls)
    comments = [f"; {line}" for line in _wrap(text)] if text != info.cls.__name__ else []
    fields = [_render_field(info, field) for field in info.fields]
    if info.tag is not None:
        fields.insert(0, f'{info.tag_field}: "{info.tag}"')
    if not info.array_like and not info.forbid_unknown_fields:
        fields.append("* tstr => any")
    opening, closing = "[]" if info.array_like else "{}"
    body = [f"  {field}," for field in fields]
    return "\n".join([*comments, f"{info.cls.__name__} = {opening}", *body, closing, ""])


def _wrap(text: str) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > LINE_MAX:
            yield line
            line = word
        else:
            line = f"{line} {word}".strip()
    yield line


def _render_field(info: types.StructType, field: types.Field) -> str:
    optional = "" if field.required else "? "
    return f"{optional}{field.encode_name}: {render(field.type)}"


def render(kind: types.Type) -> str:
    """The type expression of one field."""
    match kind:
        case types.IntType():
            return _render_int(kind)
        case types.BytesType():
            return "bstr" + _render_size(kind)
        case types.StrType():
            return _render_text(kind)
        case types.BoolType():
            return "bool"
        case types.NoneType():
            return "null"
        case types.LiteralType():
            return " / ".join(_quote(value) for value in sorted(kind.values, key=str))
        case types.VarTupleType():
            return f"[{_render_count(kind)} {_group(render(kind.item_type))}]"
        case types.StructType():
            return kind.cls.__name__
        case types.UnionType():
            parts = sorted(kind.types, key=lambda part: isinstance(part, types.NoneType))
            return " / ".join(map(render, parts))
    raise TypeError(f"no CDDL for {kind}")


def _quote(value: str | int | None) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _group(text: str) -> str:
    return f"({text})" if "/" in text else text


def _render_int(kind: types.IntType) -> str:
    low = kind.ge or 0
    high = U63_MAX if kind.le is None else kind.le
    return "uint63" if (low, high) == (0, U63_MAX) else f"{low}..{high}"


def _render_size(kind: types.BytesType) -> str:
    low, high = kind.min_length or 0, kind.max_length
    if high is None:
        return ""
    return f" .size {high}" if low == high else f" .size ({low}..{high})"


_ANY_CHARACTER = r"(.|\\n|\\r)"
_CLASS = re.compile(r"\^(\[[^\]]*\])\*\$")


def _render_text(kind: types.StrType) -> str:
    low, high = kind.min_length or 0, kind.max_length
    if high is None and kind.pattern is None:
        return "tstr"
    count = "*" if high is None else f"{{{low},{high}}}"
    if kind.pattern is None:
        return f'tstr .regexp "{_ANY_CHARACTER}{count}"'
    if found := _CLASS.fullmatch(kind.pattern):
        return f'tstr .regexp "{found[1]}{count}"'
    # A regular expression of CDDL always covers the whole text.
    body = kind.pattern.removeprefix("^").removesuffix(r"\Z").removesuffix("$")
    body = body.replace("\\", "\\\\")
    if high is None:
        return f'tstr .regexp "{body}"'
    return f'(tstr .size ({low}..{high})) .and (tstr .regexp "{body}")'


def _render_count(kind: types.VarTupleType) -> str:
    low, high = kind.min_length or 0, kind.max_length
    if high is None:
        return "*" if not low else f"{low}*"
    return f"{low}*{high}"
