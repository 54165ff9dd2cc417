"""The types of signed statements that there are, taken from the program's own unions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import msgspec

from crdt.heads import NO_COMMITTEE, PROOF_BYTES_MAX
from crdt.log import HEAD_KIND, Head
from devnet.vectors.form import Setting
from devnet.vectors.places import CLIENT, COMMITTEE, EPOCH, MEMBER_KEYS, MEMBERS, NETWORK, Seal
from devnet.vectors.sample import Sampler, Size
from identity import schema
from identity.keys import PrivateKey
from protocols.economy.operations import (
    OPERATION_KIND,
    RECEIPT_BYTES_MAX,
    RECEIPT_KIND,
    STATEMENT_EPOCH,
    AnyBody,
    Operation,
    Receipt,
)
from protocols.messages import (
    NEW_VIEW_KIND,
    VIEW_CHANGE_BYTES_MAX,
    VIEW_CHANGE_KIND,
    VOTE_BYTES_MAX,
    VOTE_TYPES,
    NewView,
    ViewChange,
)
from protocols.requests import STATEMENT_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of statement: where it belongs, who signs, what it holds."""

    name: str
    tag: str
    struct: type[msgspec.Struct]
    about: str
    size_max: int
    key: PrivateKey
    committee: bytes = COMMITTEE
    epoch: int = 0
    members: tuple[bytes, ...] = ()
    body: type[msgspec.Struct] | None = None
    check: str = "statement"

    def seal(self, payload: bytes, **changes: Any) -> Seal:
        place = {"kind": self.tag, "committee": self.committee, "epoch": self.epoch}
        return Seal(**{"key": self.key, "payload": payload, **place, **changes})

    def sample(self, size: Size, seed: int = 0) -> Any:
        sampler = Sampler(f"{self.name} {size} {seed}")
        if self.check == "peer_head":
            return {"author": self.key.public, **_without(sampler.make(self.struct, size))}
        if self.body is None:
            return sampler.make(self.struct, size)
        nonce = {"least": 1, "usual": 7 + seed, "most": schema.U63_MAX}[size]
        return {"nonce": nonce, "body": sampler.make(self.body, size)}

    def make_setting(self) -> Setting:
        return Setting(
            network=NETWORK.hex(),
            committee=self.committee.hex(),
            epoch=self.epoch,
            kind=self.tag,
            rule=self.struct.__name__,
            members=tuple(key.hex() for key in self.members),
            size_max=self.size_max,
        )


def _without(value: Any) -> Any:
    return {name: item for name, item in value.items() if name != "author"}


def list_kinds() -> Iterator[Kind]:
    """Every type of statement there is; new operations come by themselves."""
    for body in get_args(AnyBody):
        name = f"operation-{str(body.__struct_config__.tag).replace('_', '-')}"
        about = f"An operation: {describe(body)}"
        yield Kind(
            *(name, OPERATION_KIND, Operation, about, STATEMENT_BYTES_MAX, CLIENT),
            epoch=STATEMENT_EPOCH,
            body=body,
            check="operation",
        )
    votes: dict[str, tuple[Any, int]] = {
        **{kind: (struct, VOTE_BYTES_MAX) for kind, struct in VOTE_TYPES.items()},
        VIEW_CHANGE_KIND: (ViewChange, VIEW_CHANGE_BYTES_MAX),
        NEW_VIEW_KIND: (NewView, VIEW_CHANGE_BYTES_MAX),
    }
    for type_, (struct, size_max) in votes.items():
        name = type_.replace("_", "-")
        about = f"A member's statement: {describe(struct)}"
        yield Kind(
            *(name, type_, struct, about, size_max, MEMBERS[1]), epoch=EPOCH, members=MEMBER_KEYS
        )
    about = f"A member's receipt for blobs: {describe(Receipt)}"
    yield Kind(
        *("receipt", RECEIPT_KIND, Receipt, about, RECEIPT_BYTES_MAX, MEMBERS[1]),
        epoch=STATEMENT_EPOCH,
        members=MEMBER_KEYS,
    )
    yield Kind(
        *("log-head", HEAD_KIND, Head, "A peer's statement about its own log.", PROOF_BYTES_MAX),
        key=CLIENT,
        committee=NO_COMMITTEE,
        members=(CLIENT.public,),
        check="peer_head",
    )


def describe(kind: type) -> str:
    return " ".join((kind.__doc__ or kind.__name__).split("\n\n")[0].split())
