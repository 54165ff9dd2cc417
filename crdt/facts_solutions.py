"""Facts about the search for the best set of bundles, where ordered code does not finish it.

(`facts_auctions.py` has the auctions themselves.)
"""

from typing import Annotated

import msgspec

from crdt.moves import Fact
from identity.schema import Amount, Digest, Key, TimeMs

WINNERS_MAX = 64
PROOF_LOTS_MAX = 64
PROOF_CLIQUES_MAX = 512
CLIQUE_ENTRIES_MAX = 2_048

Places = Annotated[bytes, msgspec.Meta(min_length=1, max_length=64)]
Entry = Annotated[int, msgspec.Meta(ge=0, le=16_384)]


class ChosenBundle(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """`bidder` wins its bundle of these lots (one byte each, ascending)."""

    bidder: Key
    lots: Places


class LotPrice(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A price of the lot at this place, in gains times 2^12."""

    lot: Annotated[int, msgspec.Meta(ge=0, le=PROOF_LOTS_MAX)]
    price: Amount


class CliquePrice(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A price of entries, by number, every two of which exclude each other. Entries are the bundles
    that may win, in the order of the result's bids and of the bundles in them."""

    entries: Annotated[tuple[Entry, ...], msgspec.Meta(max_length=CLIQUE_ENTRIES_MAX)]
    price: Amount


class SolutionProof(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Prices from which it follows what no set of bundles exceeds
    (`protocols/auction/combinatorial/certificate.py`)."""

    lots: Annotated[tuple[LotPrice, ...], msgspec.Meta(max_length=PROOF_LOTS_MAX)]
    cliques: Annotated[tuple[CliquePrice, ...], msgspec.Meta(max_length=PROOF_CLIQUES_MAX)]


Winners = Annotated[tuple[ChosenBundle, ...], msgspec.Meta(max_length=WINNERS_MAX)]


class SolutionAwaited(Fact, frozen=True, tag="solution_awaited"):
    """The bids are opened, and these winners may be `gap_ppm` from the best: until the deadline
    anybody may submit better ones."""

    auction: Digest
    winners: Winners
    gap_ppm: Amount
    deadline_ms: TimeMs


class SolutionSubmitted(Fact, frozen=True, tag="solution_submitted"):
    """`account` submitted winners that are better than those before (`improved`), or a proof that
    they are nearer to the best than was known."""

    auction: Digest
    account: Key
    winners: Winners
    improved: bool
