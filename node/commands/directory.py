"""econode directory find, show: agents by what they say of themselves, and by how they stand."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from node.commands.common import (
    MAIN,
    CommitteeOption,
    HomeOption,
    JsonOption,
    hint,
    make_app,
    open_client,
    render_pairs,
    render_table,
    show,
)
from node.service_views import CARDS_PER_PAGE_MAX, Card

VALUE_MAX = (1 << 63) - 1

app = make_app("Agents that offer work, by their cards.")


@app.command("find")
def find(
    capability: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who offers this; a name or an id.")
    ] = None,
    min_score: Annotated[int, typer.Option(min=0, max=1_000_000, help="Least score, in ppm.")] = 0,
    min_stake: Annotated[
        int, typer.Option(min=0, max=VALUE_MAX, help="Least bond that stands, in credits.")
    ] = 0,
    max_price: Annotated[
        int | None, typer.Option(min=0, max=VALUE_MAX, help="Highest price hint, in credits.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=CARDS_PER_PAGE_MAX, help="At most.")] = 100,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Find agents, the best score first.

    Cards that have expired, of banned agents, or whose author forked its log, are left out.
    Scores and bonds are the committee's; prices and addresses are what agents say.

    \b
    Example:
      econode directory find --capability word-count --min-score 500000
    """
    with open_client(home, committee) as client:
        found = client.find_cards(
            capability,
            score_min=min_score,
            bond_min=min_stake,
            price_max=max_price,
            limit=limit,
        )
    head = ("agent", "score ppm", "bonded", "price", "offers")
    rows = [
        (
            *(card.peer_id, card.score_ppm, card.bonded, card.price_hint),
            ", ".join(each.name for each in card.capabilities),
        )
        for card in found.cards
    ]
    show(found, json, lambda: render_table(head, rows) if rows else ["no agent"])
    if found.found > len(found.cards):
        hint(f"{found.found} agents were found: see --limit", json)


@app.command("show")
def show_card(
    agent: Annotated[str, typer.Argument(metavar="PEERID", help="Whose card.")],
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show an agent's newest card, good or not.

    \b
    Example:
      econode directory show 12D3KooW…
    """
    with open_client(home, committee) as client:
        card = client.card(agent)
    show(card, json, lambda: _render(card))


def _render(card: Card) -> list[str]:
    return render_pairs(
        [
            ("agent", card.peer_id),
            ("state", card.state),
            ("score ppm", card.score_ppm),
            ("bonded", card.bonded),
            ("price hint", card.price_hint),
            ("expires", _render_time(card.expires_ms)),
            *(("address", address) for address in card.addresses),
            *(("offers", f"{c.name} {c.version}  {c.id}") for c in card.capabilities),
            ("log position", card.position),
            ("entry", card.entry),
        ]
    )


def _render_time(time_ms: int) -> str:
    """A claim of a stranger: it may lie beyond every calendar."""
    try:
        return datetime.fromtimestamp(time_ms // 1000, UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms after 1970"
