"""Auctions as lines for people."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from node.commands.common import render_pairs, render_table, shorten

if TYPE_CHECKING:
    from node.service import Task
    from node.service_auctions import Auction, AuctionBundle, AuctionSummary

PEER_CHARS = 16


def render_summaries(auctions: "Sequence[AuctionSummary]") -> list[str]:
    head = ("auction", "state", "kind", "opener", "lots", "bids", "price", "winners")
    rows = [
        (
            shorten(each.id),
            each.state,
            f"{each.kind}, {'sells' if each.direction == 'forward' else 'buys'}",
            shorten(each.opener, PEER_CHARS),
            each.title if each.lots == 1 else f"{each.title} + {each.lots - 1}",
            each.bids,
            each.price,
            ", ".join(shorten(winner, PEER_CHARS) for winner in each.winners),
        )
        for each in auctions
    ]
    return render_table(head, rows) if rows else ["no auctions"]


def render_auction(auction: "Auction") -> list[str]:
    summary = auction.summary
    pairs: list[tuple[str, Any]] = [
        ("auction", summary.id),
        ("state", summary.state),
        ("kind", f"{summary.kind}, the opener {_name_side(summary.direction)}"),
        ("opener", summary.opener),
        *(("lot", _describe_lot(auction, number)) for number in range(len(auction.terms.lots))),
        *_list_terms(auction),
    ]
    if summary.ended_ms is None:
        pairs += [("phase", auction.phase), ("until", render_time(summary.deadline_ms))]
    else:
        pairs.append(("ended", render_time(summary.ended_ms)))
    if auction.standing is not None:
        pairs.append(("standing", f"{summary.price} by {auction.standing}"))
    if auction.quote is not None:
        pairs.append(("price now" if summary.kind == "dutch" else "next bid", auction.quote))
    pairs += [("own, sealed", render_bundles(bundles)) for bundles in auction.own]
    if auction.waiting:
        pairs.append(("waits for", ", ".join(auction.waiting)))
    lines = render_pairs(pairs)
    if auction.bids:
        rows = [
            (bid.bidder, bid.weight_ppm, render_bundles(bid.bundles) if bid.bundles else "sealed")
            for bid in auction.bids
        ]
        lines += ["", *render_table(("bidder", "weight", "bid"), rows)]
    if auction.awards:
        awards = [
            (award.winner, ", ".join(award.lots), award.price, award.delivery, award.paid)
            for award in auction.awards
        ]
        lines += ["", *render_table(("winner", "lots", "price", "delivery", "paid"), awards)]
    if auction.silent:
        lines += ["", f"did not open their seals: {', '.join(auction.silent)}"]
    if auction.gap_ppm:
        lines += ["", f"the winners may be {auction.gap_ppm} ppm from the best choice"]
    return lines


def render_task(task: "Task") -> list[str]:
    """A task's auctions: one reverse second-price sealed one for each round."""
    pairs: list[tuple[str, Any]] = [
        ("task", task.id),
        ("kind", "reverse vickrey, weighed by reputation"),
        ("state", task.state),
        ("capability", task.capability),
        ("buyer", task.requester),
        ("budget", task.budget),
        ("round", task.round),
        ("winner", task.executor or ""),
        ("price", "" if task.price is None else task.price),
        ("reason", task.reason),
    ]
    return render_pairs([(name, value) for name, value in pairs if value != ""])


def render_bundles(bundles: "Sequence[AuctionBundle]") -> str:
    return "; ".join(f"{', '.join(each.lots)}: {each.price}" for each in bundles)


def render_time(time_ms: int) -> str:
    """In UTC, and how far that is from now."""
    text = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(min(time_ms // 1000, 253_402_300_799)))
    left_s = (time_ms - time.time_ns() // 1_000_000) / 1000
    return f"{text} UTC, " + (f"in {left_s:.0f} s" if left_s > 0 else f"{-left_s:.0f} s ago")


def _describe_lot(auction: "Auction", number: int) -> str:
    lot = auction.terms.lots[number]
    limit = "at least" if auction.summary.direction == "forward" else "at most"
    return f"{lot.name}, {limit} {lot.limit}{': ' + lot.text if lot.text else ''}"


def _list_terms(auction: "Auction") -> list[tuple[str, Any]]:
    terms = auction.terms
    found = [
        ("cap", terms.cap),
        ("units", terms.units if terms.kind == "multi_unit" else 0),
        ("pricing", terms.pricing if terms.kind == "combinatorial" else ""),
        ("increment", terms.increment),
        ("steps", f"{terms.step} every {terms.step_ms} ms" if terms.step else ""),
        ("delivery", f"{terms.delivery_ms} ms" if terms.delivery_ms else ""),
        ("bidders", ", ".join(terms.bidders)),
    ]
    return [(name, value) for name, value in found if value]


def _name_side(direction: str) -> str:
    return "sells" if direction == "forward" else "buys"
