"""Vectors before they have their ids, and how a kind's file is put together from them."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from devnet.vectors import diagnostic
from devnet.vectors.flags import FLAGS
from devnet.vectors.form import (
    CELL_TESTS_MAX,
    FORMAT,
    VERSION,
    Content,
    Layer,
    Setting,
    Vector,
    VectorFile,
    Verdict,
)
from devnet.vectors.places import Seal, describe_key
from identity import cbor


@dataclass(frozen=True, slots=True)
class Draft:
    """A vector to be: what it shows, and the bytes. Without a layer it is valid."""

    flags: str | tuple[str, ...]
    comment: str
    data: bytes
    layer: Layer | None = None
    value: Any = None
    """What `content` encodes; shown in diagnostic notation."""
    content: bytes | None = None
    seal: Seal | None = None
    verdict: Verdict | None = None

    @property
    def all_flags(self) -> tuple[str, ...]:
        return (self.flags,) if isinstance(self.flags, str) else self.flags

    def finish(self, kind: str, number: int) -> Vector:
        content = None
        if self.content is not None:
            notation = "" if self.value is None else diagnostic.render(self.value)
            content = Content(notation, "" if self.content == self.data else self.content.hex())
        return Vector(
            id=f"{kind}/{_hyphenate(self.all_flags[0])}-{number}",
            comment=self.comment,
            flags=self.all_flags,
            verdict=self.verdict or ("invalid" if self.layer else "valid"),
            data=self.data.hex(),
            layer=self.layer,
            input=content,
            signer=None if self.seal is None else describe_key(self.seal.key),
            signing=None if self.seal is None else self.seal.describe(self.layer is None),
        )


def plain(
    flags: str | tuple[str, ...], comment: str, value: Any, layer: Layer | None = None
) -> Draft:
    """A draft of a plain value in deterministic CBOR."""
    data = cbor.encode(value)
    return Draft(flags, comment, data, layer, value, data)


def _hyphenate(flag: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", flag).lower()


def make_file(
    kind: str,
    check: str,
    about: str,
    setting: Setting,
    drafts: Iterable[Draft],
    cell_max: int = CELL_TESTS_MAX,
) -> VectorFile:
    """The file of a kind: at most `cell_max` vectors a flag, no bytes twice."""
    cells: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    seen: set[bytes] = set()
    tests = []
    for draft in drafts:
        flags = draft.all_flags
        if draft.data in seen or any(cells[flag] >= cell_max for flag in flags):
            continue
        seen.add(draft.data)
        cells.update(flags)
        numbers[flags[0]] += 1
        tests.append(draft.finish(kind, numbers[flags[0]]))
    used = {flag: FLAGS[flag] for flag in FLAGS if cells[flag]}
    return VectorFile(FORMAT, VERSION, kind, check, about, setting, used, tuple(tests))
