"""econode auction certificate, verify: results as files that prove themselves."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands.common import HomeOption, JsonOption, hint, open_home, render_pairs, show
from node.commands.trust import read_trusted

if TYPE_CHECKING:
    from crdt.facts import Awarded
    from crdt.facts_auctions import AuctionEnded
    from protocols.auction.result_file import VerifiedResult
    from protocols.light import Anchor


def certificate(
    auction: Annotated[
        str,
        typer.Argument(metavar="ID", help="An auction's or a task's id, or its first digits."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write it.")] = Path(
        "auction.econode"
    ),
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Write the result of an auction, or of a task's last round, into a file that proves it.

    It reads this home's ledger file; the node need not run.

    \b
    Example:
      econode auction certificate 3f9a --out sale.econode
    """
    from node.auction_results import make_result_file
    from node.files import write_atomic
    from node.problem import Problem

    place = open_home(home)
    place.check_initialised()
    prefix = auction.lower()
    if not 4 <= len(prefix) <= 64 or set(prefix) - set("0123456789abcdef"):
        raise Problem(
            "invalid-request",
            f"{auction!r} is not an id",
            remedy="`econode auction list` shows the ids; the first 4 digits are enough",
        )
    data = make_result_file(place.ledger_path, place.load_genesis(), prefix)
    write_atomic(out, data)
    document = {"file": str(out), "bytes": len(data)}
    show(document, json, lambda: [f"{len(data)} bytes in {out}"])
    hint(f"check it anywhere: econode auction verify {out} --genesis genesis.json", json)


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `certificate` wrote.")],
    genesis: Annotated[
        Path | None,
        typer.Option("--genesis", metavar="FILE", help="Trust this genesis. [home's, if any]"),
    ] = None,
    anchor: Annotated[
        Path | None,
        typer.Option("--anchor", metavar="FILE", help="Trust this saved anchor instead."),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Check the result of an auction again, offline: who won and what is paid.

    The signatures of the committee's members, and from the bids winners and payments. Without a
    genesis, an anchor or a home it trusts the network that the file names: compare its id.
    Ends with 1 if any byte was changed.

    \b
    Example:
      econode auction verify sale.econode --genesis genesis.json
    """
    if genesis is not None and anchor is not None:
        raise typer.BadParameter("trust --genesis or --anchor, not both")
    trusted = _choose_anchor(genesis, anchor, home)
    verified = _check(file, trusted)
    document = _describe(verified, trusted is not None)
    show(document, json, lambda: _render(document, verified))


def _choose_anchor(genesis: Path | None, anchor: Path | None, home: Path | None) -> "Anchor | None":
    """What is trusted; None where neither a file nor a home says it."""
    is_named = genesis is not None or anchor is not None
    if is_named or open_home(home).genesis_path.exists():
        return read_trusted(genesis, anchor, home)
    return None


def _check(file: Path, trusted: "Anchor | None") -> "VerifiedResult":
    """Raises Problem when the file proves nothing."""
    import time

    from identity.errors import EconodeError
    from node.problem import Problem
    from protocols.auction.result_file import RESULT_BYTES_MAX, verify_result
    from protocols.light import StaleAnchor

    with open(file, "rb") as opened:
        data = opened.read(RESULT_BYTES_MAX + 1)
    try:
        return verify_result(data, trusted, time.time_ns() // 1_000_000)
    except StaleAnchor as error:
        raise Problem(
            "stale-anchor",
            str(error),
            where=str(file),
            remedy="trust a newer one, from somebody you trust (--anchor FILE)",
        ) from None
    except EconodeError as error:
        raise Problem(
            "not-proven",
            f"it proves nothing: {error}",
            where=str(file),
            remedy="take it anew, from another node (econode auction certificate), and check it "
            "against the genesis or the anchor of that network",
        ) from None


def read_delivery(file: Path) -> bytes:
    """The bytes of a delivered file. Raises Problem when it is too large."""
    from node.problem import Problem
    from protocols.economy.operations import BLOB_BYTES_MAX

    with open(file, "rb") as opened:
        data = opened.read(BLOB_BYTES_MAX + 1)
    if len(data) > BLOB_BYTES_MAX:
        raise Problem(
            "too-large",
            f"a delivery may have at most {BLOB_BYTES_MAX} bytes",
            where=str(file),
            remedy="deliver it in another way, and say how with --note",
        )
    return data


def _describe(verified: "VerifiedResult", is_trusted: bool) -> dict[str, Any]:
    from node.service import describe_fact

    proven = verified.proven
    return {
        "proven": True,
        "network": proven.anchor.network.hex(),
        "trusted": is_trusted,
        "position": proven.position,
        "time_ms": proven.time_ms,
        "epoch": proven.anchor.epoch,
        "signers": proven.signers,
        "members": proven.n,
        "result": describe_fact(verified.fact),
    }


def _render(document: dict[str, Any], verified: "VerifiedResult") -> list[str]:
    result = document["result"]
    pairs = [
        ("result", "sound: winners and payments follow from the bids"),
        ("network", document["network"]),
        ("position", document["position"]),
        ("signed by", f"{document['signers']} of {document['members']} members"),
        ("auction", result.get("auction") or result.get("task")),
    ]
    if not document["trusted"]:
        pairs[1] = ("network", f"{document['network']} (as the file says: compare it)")
    pairs += [("award", line) for line in _list_awards(verified.fact)]
    return render_pairs(pairs)


def _list_awards(fact: "Awarded | AuctionEnded") -> list[str]:
    """Who won what for how much; of a task's round, the one executor."""
    from crdt.facts import Awarded
    from identity.keys import compute_peer_id
    from node.auction_words import name_lots

    if isinstance(fact, Awarded):
        return [f"{compute_peer_id(fact.winner)} for {fact.price}"]
    if not fact.awards:
        return ["none: nothing was sold"]
    return [
        f"{compute_peer_id(award.winner)}: {', '.join(name_lots(fact.terms, award.lots))} "
        f"for {award.price}"
        for award in fact.awards
    ]
