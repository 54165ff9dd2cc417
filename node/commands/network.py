"""econode status, peers: how the running node and its links are."""

from typing import Annotated

import typer

from node.commands.common import (
    MAIN,
    CommitteeOption,
    HomeOption,
    JsonOption,
    open_client,
    open_home,
    render_pairs,
    render_table,
    shorten,
    show,
)


def status(
    committee: CommitteeOption = MAIN, home: HomeOption = None, json: JsonOption = False
) -> None:
    """Show how the running node is.

    Its committee, how far its log is, its links and memory.

    \b
    Example:
      econode status
    """
    with open_client(home, committee) as client:
        now = client.status()
    faults = "it survives no fault" if now.f == 0 else f"it survives {now.f}"
    pairs = [
        ("peer", now.peer_id),
        ("network", f"{now.network} ({shorten(now.network_id, 16)})"),
        ("roles", ", ".join(now.roles)),
        ("committee", f"{now.committee_name} ({now.committee})"),
        ("members", f"epoch {now.epoch}: n = {now.n}, f = {now.f}, q = {now.q} ({faults})"),
        ("view", f"{now.view}, led by {now.primary}"),
        ("position", f"{now.position} (certified to {now.certified_position})"),
        ("checkpoint", now.stable_checkpoint),
        ("head", now.head),
        ("state root", now.state_root),
        ("logs root", now.logs_root),
        ("peers", f"{now.connected_peers} connected"),
        ("pending", f"{now.pending_operations} operations"),
        ("refused", f"{now.faults} messages of faulty peers"),
        ("memory", f"{now.rss_bytes / (1 << 20):.1f} MiB"),
        ("up", f"{now.uptime_s:.0f} s"),
        ("version", now.version),
    ]
    pairs += [("ALARM", alarm) for alarm in now.alarms]
    if now.frozen_borders:
        pairs.append(("ALARM", f"frozen: the border to {', '.join(now.frozen_borders)}"))
    show(now, json, lambda: render_pairs(pairs))


def peers(home: HomeOption = None, json: JsonOption = False) -> None:
    """List the running node's peers.

    \b
    Example:
      econode peers
    """
    with open_client(home) as client:
        found = client.peers()
    head = ("peer", "address", "connected", "rtt ms", "in", "out", "dropped", "last error")
    rows = [
        (
            *(peer.peer_id, peer.address, "yes" if peer.connected else "no"),
            None if peer.rtt_ms is None else f"{peer.rtt_ms:.1f}",
            *(peer.frames_in, peer.frames_out, peer.dropped, peer.last_error),
        )
        for peer in found.peers
    ]
    show(found, json, lambda: render_table(head, rows) if rows else ["no peers"])


def dashboard(
    browse: Annotated[
        bool, typer.Option("--open", help="Open it in this machine's browser too.")
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Print the address of the dashboard.

    It holds the API token: whoever has it spends this node's credits. The part behind # stays in
    the browser.

    \b
    Example:
      econode dashboard --open
    """
    import webbrowser

    from node.client import not_running

    with open_client(home) as client:
        client.health()
    place = open_home(home)
    url = place.find_dashboard()
    if url is None:
        raise not_running(place)
    if browse:
        webbrowser.open(url)
    show({"url": url}, json, lambda: [url])


def register(app: typer.Typer) -> None:
    app.command("dashboard")(dashboard)
    app.command("status")(status)
    app.command("peers")(peers)
