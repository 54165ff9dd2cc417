"""The messages of a blob transfer, and the actions its core asks of the host."""

import enum
from dataclasses import dataclass
from typing import Annotated

import msgspec

from identity.schema import Digest
from protocols.economy.operations import BlobBytes

CHUNK_BYTES = 256 << 10


class BlobOffer(msgspec.Struct, frozen=True, tag="blob-offer", kw_only=True):
    """I hold this blob; take it."""

    digest: Digest
    size: BlobBytes


class BlobWant(msgspec.Struct, frozen=True, tag="blob-want", kw_only=True):
    """Send me this part."""

    digest: Digest
    offset: BlobBytes
    size: Annotated[int, msgspec.Meta(ge=1, le=CHUNK_BYTES)]


class BlobChunk(msgspec.Struct, frozen=True, tag="blob-chunk", kw_only=True):
    digest: Digest
    offset: BlobBytes
    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=CHUNK_BYTES)]


class BlobHave(msgspec.Struct, frozen=True, tag="blob-have", kw_only=True):
    """Answer to an offer: the blob is stored here."""

    digest: Digest


class BlobMissing(msgspec.Struct, frozen=True, tag="blob-missing", kw_only=True):
    """Answer to a want: it is not here. Answer to an offer: it will not be stored here."""

    digest: Digest


Message = BlobOffer | BlobWant | BlobChunk | BlobHave | BlobMissing


@dataclass(frozen=True, slots=True)
class Send:
    peer: bytes
    message: Message


@dataclass(frozen=True, slots=True)
class Lookup:
    """`peer` offers a blob: answer with `looked_up`.

    The host knows how large the blobs are that it needs, and refuses an offer of another size.
    """

    peer: bytes
    digest: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Read:
    """`peer` wants a part: answer with `read_done`, without data if it is not here."""

    peer: bytes
    digest: bytes
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Begin:
    """Open a writer; if one is open for this digest, drop it and what it holds."""

    digest: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Write:
    digest: bytes
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Complete:
    """All bytes are written: check and store the blob, then call `stored` or `corrupt`."""

    digest: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """The fetch is given up: drop its writer."""

    digest: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class OfferEnded:
    """`peer` says that it holds the offered blob, or it is known that it does not."""

    peer: bytes
    digest: bytes
    held: bool


@dataclass(frozen=True, slots=True)
class Misbehaved:
    """`peer` sent what no honest peer sends."""

    peer: bytes
    reason: str


Action = Send | Lookup | Read | Begin | Write | Complete | Failed | OfferEnded | Misbehaved


class Answer(enum.Enum):
    """What the host makes of a peer's offer."""

    HELD = "held"
    WANTED = "wanted"
    REFUSED = "refused"
