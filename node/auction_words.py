"""General auctions in the words of the local API: from rows, facts and views to answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crdt.auctions import AuctionRow
from crdt.facts import (
    AuctionBidCommitted,
    AuctionBidRevealed,
    AuctionEnded,
    BidPlaced,
    Delivered,
    DeliveryEnded,
    Fact,
)
from crdt.facts_auctions import AuctionAward, AuctionTerms, BundleBid, Bundles
from identity.keys import compute_peer_id
from node import service_auctions as service
from node.problem import Problem
from protocols.economy.auction_model import AuctionView


@dataclass(frozen=True, slots=True)
class Known:
    """What a node knows of an auction. `facts` are in order; of open bids the last of each bidder
    is enough. `own` are the bids that it keeps, `quote` and `position` as in `service.Auction`."""

    row: AuctionRow
    terms: AuctionTerms
    facts: Sequence[Fact]
    view: AuctionView | None
    own: Sequence[Bundles] = ()
    quote: int | None = None
    position: int | None = None


def describe_summary(row: AuctionRow) -> service.AuctionSummary:
    keys = [row.winners[i : i + 32] for i in range(0, len(row.winners), 32)]
    return service.AuctionSummary(
        id=row.auction.hex(),
        state=row.state,  # type: ignore[arg-type]
        kind=row.kind,
        direction=row.direction,
        title=row.title,
        lots=row.lots,
        opener=compute_peer_id(row.opener),
        bids=row.bids,
        price=row.price,
        winners=tuple(map(compute_peer_id, keys)),
        opened_ms=row.opened_ms,
        deadline_ms=row.deadline_ms,
        ended_ms=row.ended_ms,
    )


def describe(known: Known) -> service.Auction:
    view, terms = known.view, known.terms
    ended = next((fact for fact in known.facts if isinstance(fact, AuctionEnded)), None)
    return service.Auction(
        summary=describe_summary(known.row),
        terms=describe_terms(terms),
        phase=None if view is None else view.stage,
        waiting=() if view is None else tuple(map(compute_peer_id, view.waiting)),
        bids=tuple(_list_bids(terms, known.facts)),
        standing=None if view is None or view.standing is None else compute_peer_id(view.standing),
        quote=known.quote,
        own=tuple(describe_bundles(terms, bundles) for bundles in known.own),
        silent=() if ended is None else tuple(map(compute_peer_id, ended.silent)),
        awards=() if ended is None else describe_awards(ended, known.facts),
        gap_ppm=None if ended is None else ended.gap_ppm,
        position=known.position,
    )


def describe_terms(terms: AuctionTerms) -> service.AuctionOrder:
    lots = tuple(
        service.AuctionLot(
            name=lot.name,
            limit=lot.limit,
            text=lot.text,
            blob=None if lot.blob is None else lot.blob.hex(),
        )
        for lot in terms.lots
    )
    plain = {name: getattr(terms, name) for name in AuctionTerms.__struct_fields__}
    bidders = tuple(map(compute_peer_id, terms.bidders))
    return service.AuctionOrder(**(plain | {"lots": lots, "bidders": bidders}))


def describe_bundles(
    terms: AuctionTerms, bundles: Iterable[BundleBid]
) -> tuple[service.AuctionBundle, ...]:
    return tuple(
        service.AuctionBundle(lots=name_lots(terms, each.lots), price=each.price)
        for each in bundles
    )


def describe_awards(ended: AuctionEnded, facts: Iterable[Fact]) -> tuple[service.AuctionAward, ...]:
    """The awards of a result, and what became of each."""
    told: dict[bytes, Delivered] = {}
    ends: dict[bytes, DeliveryEnded] = {}
    for fact in facts:
        if isinstance(fact, Delivered):
            told[fact.winner] = fact
        elif isinstance(fact, DeliveryEnded):
            ends[fact.winner] = fact
    return tuple(
        _describe_award(ended, award, told.get(award.winner), ends.get(award.winner))
        for award in ended.awards
    )


def name_lots(terms: AuctionTerms, lots: bytes) -> tuple[str, ...]:
    return tuple(terms.lots[index].name for index in lots)


def parse_bundles(terms: AuctionTerms, wanted: service.AuctionBidOrder) -> Bundles:
    """What a bid says, lots by their places. Raises Problem for lots that are not there."""
    if wanted.price is not None:
        if wanted.bundles or len(terms.lots) > 1:
            names = ", ".join(lot.name for lot in terms.lots)
            raise Problem(
                "invalid-request",
                "a single price is for auctions of one lot"
                if len(terms.lots) > 1
                else "give a price or bundles, not both",
                where="price",
                remedy=f"name the lots: --bundle LOT[,LOT...]:PRICE; lots: {names}",
            )
        return (BundleBid(b"\0", wanted.price),)
    places = {lot.name: index for index, lot in enumerate(terms.lots)}
    bundles = []
    for bundle in wanted.bundles:
        for name in bundle.lots:
            if name not in places:
                raise Problem(
                    "unknown-lots",
                    f"the auction has no lot {name!r}",
                    where="bundles",
                    remedy=f"its lots: {', '.join(places)}",
                )
        indexes = sorted(places[name] for name in bundle.lots)
        bundles.append(BundleBid(bytes(indexes), bundle.price))
    return tuple(bundles)


def _list_bids(terms: AuctionTerms, facts: Sequence[Fact]) -> list[service.AuctionBid]:
    """Sealed bids as far as they are opened, or the last open bid of each bidder."""
    bids: dict[bytes, service.AuctionBid] = {}
    for fact in facts:
        match fact:
            case AuctionBidCommitted(commitment=commitment) if commitment is not None:
                bids[fact.bidder] = service.AuctionBid(
                    bidder=compute_peer_id(fact.bidder), weight_ppm=fact.weight_ppm, bundles=None
                )
            case AuctionBidRevealed() if fact.bidder in bids:
                bids[fact.bidder] = service.AuctionBid(
                    bidder=compute_peer_id(fact.bidder),
                    weight_ppm=bids[fact.bidder].weight_ppm,
                    bundles=describe_bundles(terms, fact.bundles),
                )
            case BidPlaced():
                bids.pop(fact.bidder, None)
                bids[fact.bidder] = service.AuctionBid(
                    bidder=compute_peer_id(fact.bidder),
                    weight_ppm=fact.weight_ppm,
                    bundles=describe_bundles(terms, (BundleBid(b"\0", fact.price),)),
                )
            case AuctionEnded():
                for bid in fact.bids:
                    bids[bid.bidder] = service.AuctionBid(
                        bidder=compute_peer_id(bid.bidder),
                        weight_ppm=bid.weight_ppm,
                        bundles=describe_bundles(terms, bid.bundles),
                    )
    return list(bids.values())


def _describe_award(
    ended: AuctionEnded,
    award: AuctionAward,
    told: Delivered | None,
    end: DeliveryEnded | None,
) -> service.AuctionAward:
    delivery = "none" if ended.deadline_ms is None else "due"
    if end is not None:
        delivery = end.outcome
    elif told is not None:
        delivery = "delivered"
    return service.AuctionAward(
        winner=compute_peer_id(award.winner),
        lots=name_lots(ended.terms, award.lots),
        price=award.price,
        delivery=delivery,
        paid=award.price if ended.deadline_ms is None else None if end is None else end.paid,
        blob=None if told is None or told.blob is None else told.blob.hex(),
        note="" if told is None else told.note,
    )
