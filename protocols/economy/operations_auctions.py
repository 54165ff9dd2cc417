"""Operations of general auctions: open, bid, deliver, accept."""

from typing import Annotated

import msgspec

from crdt.facts_auctions import AuctionTerms, Bundles
from identity.schema import Digest, Key, Positive, Salt, Text
from protocols.economy.body import Body
from protocols.genesis import PPM


class OpenAuction(Body, frozen=True, tag="open_auction"):
    """Open an auction. Forward with a delivery locks the seller's deposit; reverse puts the whole
    budget into escrow."""

    terms: AuctionTerms


class CancelAuction(Body, frozen=True, tag="cancel_auction"):
    """Take one's auction back: before the first bid only."""

    auction: Digest


class CommitAuctionBid(Body, frozen=True, tag="commit_auction_bid"):
    """A sealed bid (`compute_auction_commitment`) with its deposit; None passes, which listed
    bidders do so that nobody waits for them."""

    auction: Digest
    commitment: Digest | None


class RevealAuctionBid(Body, frozen=True, tag="reveal_auction_bid"):
    """Open a sealed bid. One bundle of the only lot where there is but one (for several units: the
    price of one); in a call one bundle of one lot for each lot it wants; else any bundles."""

    auction: Digest
    bundles: Bundles
    salt: Salt


class PlaceBid(Body, frozen=True, tag="place_bid"):
    """An open bid in an english auction: it must beat the standing one by the increment."""

    auction: Digest
    price: Positive


class AcceptPrice(Body, frozen=True, tag="accept_price"):
    """Take the price of a dutch auction at the time of the batch, if it is `limit` or better."""

    auction: Digest
    limit: Positive


class Deliver(Body, frozen=True, tag="deliver"):
    """The seller delivered what `winner`'s award is about: as a blob with this digest, or as the
    note says."""

    auction: Digest
    winner: Key
    blob: Digest | None
    note: Text


class AcceptDelivery(Body, frozen=True, tag="accept_delivery"):
    """The payer's word on `winner`'s award: `paid_ppm` of the price is paid, the rest burns."""

    auction: Digest
    winner: Key
    paid_ppm: Annotated[int, msgspec.Meta(ge=1, le=PPM)]
