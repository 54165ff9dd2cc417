"""General auctions as records of the state file."""

import msgspec

from crdt.facts_auctions import AuctionAward, AuctionBid, AuctionPhase, AuctionTerms, BundleBid
from protocols.economy.auction_model import Agreement, Auction, SealedBid


class SealedBidRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    bidder: bytes
    weight_ppm: int
    commitment: bytes | None
    bundles: tuple[BundleBid, ...] | None


class AgreementRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    award: AuctionAward
    deposit: int
    delivered: bool


class AuctionRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """`Auction` with its maps as lists: sorted, but `placed` in the order of the bids."""

    number: int
    id: bytes
    opener: bytes
    terms: AuctionTerms
    opened_ms: int
    escrow: int
    deposit: int
    stage: AuctionPhase
    stage_deadline_ms: int
    overdue: bool
    due_ms: int
    waiting: tuple[bytes, ...]
    inventories: tuple[tuple[bytes, tuple[bytes, ...]], ...]
    weights: tuple[tuple[bytes, int], ...]
    bids: tuple[SealedBidRecord, ...]
    placed: tuple[AuctionBid, ...]
    seed: bytes
    agreements: tuple[AgreementRecord, ...]


def dump_auction(auction: Auction) -> AuctionRecord:
    return AuctionRecord(
        number=auction.number,
        id=auction.id,
        opener=auction.opener,
        terms=auction.terms,
        opened_ms=auction.opened_ms,
        escrow=auction.escrow,
        deposit=auction.deposit,
        stage=auction.stage,
        stage_deadline_ms=auction.stage_deadline_ms,
        overdue=auction.overdue,
        due_ms=auction.due_ms,
        waiting=tuple(sorted(auction.waiting)),
        inventories=tuple(sorted(auction.inventories.items())),
        weights=tuple(sorted(auction.weights.items())),
        bids=tuple(
            SealedBidRecord(key, bid.weight_ppm, bid.commitment, bid.bundles)
            for key, bid in sorted(auction.bids.items())
        ),
        placed=tuple(auction.placed.values()),
        seed=auction.seed,
        agreements=tuple(
            AgreementRecord(each.award, each.deposit, each.delivered)
            for _, each in sorted(auction.agreements.items())
        ),
    )


def load_auction(record: AuctionRecord) -> Auction:
    plain = {name: getattr(record, name) for name in record.__struct_fields__}
    plain["waiting"] = dict.fromkeys(record.waiting)
    plain["inventories"] = dict(record.inventories)
    plain["weights"] = dict(record.weights)
    plain["bids"] = {
        bid.bidder: SealedBid(bid.weight_ppm, bid.commitment, bid.bundles) for bid in record.bids
    }
    plain["placed"] = {bid.bidder: bid for bid in record.placed}
    plain["agreements"] = {
        each.award.winner: Agreement(each.award, each.deposit, each.delivered)
        for each in record.agreements
    }
    return Auction(**plain)
