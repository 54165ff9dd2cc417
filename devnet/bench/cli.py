"""econode bench: what this machine can do, and what the real node makes of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands.common import JsonOption, hint, make_app, show

if TYPE_CHECKING:
    from devnet.bench.report import Report

app = make_app(
    "Measure this machine, and the node on it. docs/performance.md explains each figure."
)

DirectoryOption = Annotated[
    Path | None,
    typer.Option(
        "--directory",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="Where temporary files go: the disk that is synced to. [the system's]",
        show_default=False,
    ),
]


@app.command("limits")
def limits(
    seconds: Annotated[
        float, typer.Option(min=0.1, max=600.0, help="About how long, in all.")
    ] = 10.0,
    directory: DirectoryOption = None,
    json: JsonOption = False,
) -> None:
    """Signatures, CBOR, synced transactions, loopback, links: what this machine can do.

    \b
    Example:
      econode bench limits --seconds 5
    """
    from devnet.bench.limits import measure_limits

    _show(measure_limits(seconds, directory), json)


@app.command("consensus")
def consensus(
    nodes: Annotated[int, typer.Option(min=2, max=31, help="Members of the committee.")] = 4,
    seconds: Annotated[
        float, typer.Option(min=0.5, max=3600.0, help="About how long, in all.")
    ] = 45.0,
    repetitions: Annotated[
        int, typer.Option(min=1, max=100, help="Times each phase is measured.")
    ] = 3,
    directory: DirectoryOption = None,
    json: JsonOption = False,
) -> None:
    """Transfers through a committee of node processes: latency, throughput, costs.

    \b
    Example:
      econode bench consensus --nodes 7 --seconds 60
    """
    from devnet.bench.consensus import measure_consensus

    report = measure_consensus(
        nodes, seconds, directory, repetitions, lambda text: hint(f"... {text}", json)
    )
    _show(report, json)


@app.command("failover")
def failover(
    nodes: Annotated[int, typer.Option(min=4, max=31, help="Members of the committee.")] = 4,
    kills: Annotated[int, typer.Option(min=1, max=1000, help="How often.")] = 10,
    directory: DirectoryOption = None,
    json: JsonOption = False,
) -> None:
    """Kill -9 of the primary under load: the time until operations are executed again.

    \b
    Example:
      econode bench failover --kills 10
    """
    from devnet.bench.failover import measure_failover

    report = measure_failover(nodes, kills, directory, lambda text: hint(f"... {text}", json))
    _show(report, json)


@app.command("endurance")
def endurance(
    nodes: Annotated[int, typer.Option(min=2, max=31, help="Members of the committee.")] = 4,
    operations: Annotated[int, typer.Option(min=100, help="To execute.")] = 100_000,
    directory: DirectoryOption = None,
    json: JsonOption = False,
) -> None:
    """Many transfers: memory, files and queues, read at each tenth of them.

    \b
    Example:
      econode bench endurance --operations 20000
    """
    from devnet.bench.endurance import measure_endurance

    report = measure_endurance(nodes, operations, directory, lambda text: hint(f"... {text}", json))
    _show(report, json)


@app.command("recovery")
def recovery(
    operations: Annotated[
        int, typer.Option(min=1, max=10_000_000, help="Ordered while a member is down.")
    ] = 10_000,
    outstanding: Annotated[
        int, typer.Option(min=1, max=1_024, help="Under way at once: few make small batches.")
    ] = 8,
    nodes: Annotated[int, typer.Option(min=4, max=31, help="Members of the committee.")] = 4,
    directory: DirectoryOption = None,
    json: JsonOption = False,
) -> None:
    """A member is killed, the others order operations, it starts: until it is where they are.

    Once as nodes do it, and once with batches alone.

    \b
    Example:
      econode bench recovery --operations 2000
    """
    from devnet.bench.recovery import measure_recovery

    report = measure_recovery(
        operations, outstanding, nodes, directory, lambda text: hint(f"... {text}", json)
    )
    _show(report, json)


@app.command("data")
def data(
    authors: Annotated[
        int, typer.Option(min=1, max=10_000, help="Whose logs are replicated.")
    ] = 10_000,
    entries: Annotated[int, typer.Option(min=1, max=1_000, help="Of each, to begin with.")] = 10,
    json: JsonOption = False,
) -> None:
    """Two replicas agree on many logs: bytes, round trips, time; the views at that size.

    \b
    Example:
      econode bench data --authors 1000
    """
    from devnet.bench.data import measure_data

    _show(measure_data(authors, entries, lambda text: hint(f"... {text}", json)), json)


@app.command("auctions")
def auctions(
    nodes: Annotated[int, typer.Option(min=4, max=31, help="Members; all but one bid.")] = 4,
    repetitions: Annotated[
        int, typer.Option(min=1, max=10_000, help="Auctions, one after the other.")
    ] = 30,
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="vickrey, first_price or multi_unit.")
    ] = "vickrey",
    directory: DirectoryOption = None,
    json: JsonOption = False,
) -> None:
    """Sealed bids of agents on node processes: from the request to the certified result.

    \b
    Example:
      econode bench auctions --repetitions 100
    """
    from devnet.bench.auctions import measure_auctions

    if kind not in ("vickrey", "first_price", "multi_unit"):
        raise typer.BadParameter("KIND is vickrey, first_price or multi_unit")
    report = measure_auctions(
        nodes, repetitions, kind, directory, lambda text: hint(f"... {text}", json)
    )
    _show(report, json)


@app.command("combinatorial")
def combinatorial(
    instances: Annotated[int, typer.Option(min=1, max=1_000, help="Of each family and size.")] = 5,
    family: Annotated[
        list[str] | None, typer.Option(help="This one alone; may be given again. [all]")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Auctions of bundles: winners and payments of generated instances, how fast and how good.

    \b
    Example:
      econode bench combinatorial --instances 3 --family arbitrary
    """
    from devnet.bench.cats.families import FAMILIES
    from devnet.bench.combinatorial import measure_combinatorial

    families = tuple(family or FAMILIES)
    unknown = sorted(set(families) - set(FAMILIES))
    if unknown:
        raise typer.BadParameter(f"{unknown[0]} is none of {', '.join(FAMILIES)}")
    report = measure_combinatorial(instances, families, lambda text: hint(f"... {text}", json))
    _show(report, json)


@app.command("simulator")
def simulator(
    seeds: Annotated[int, typer.Option(min=1, max=10_000, help="Worlds of each kind.")] = 24,
    repetitions: Annotated[int, typer.Option(min=1, max=100, help="Times each is measured.")] = 3,
    json: JsonOption = False,
) -> None:
    """Seconds of a committee of four that `econode sim run` simulates in one of processor time.

    \b
    Example:
      econode bench simulator --seeds 10
    """
    from devnet.bench.simulator import measure_simulator

    _show(measure_simulator(seeds, repetitions, lambda text: hint(f"... {text}", json)), json)


@app.command("market")
def market(
    seconds: Annotated[
        float, typer.Option(min=0.5, max=3600.0, help="About how long, for the core.")
    ] = 10.0,
    nodes: Annotated[
        int, typer.Option(min=0, max=31, help="Node processes beside it, 4 or more; 0: none.")
    ] = 4,
    auctions: Annotated[
        int, typer.Option(min=1, max=256, help="Asked for at once, of the processes.")
    ] = 128,
    directory: DirectoryOption = None,
    json: JsonOption = False,
) -> None:
    """Auctions and tasks a second that one core settles, signatures aside; and node processes.

    The core is what each member executes of them. The processes do all of it: requests, seals,
    signatures, votes, disks. How long one auction takes is what `econode bench auctions` measures.

    \b
    Example:
      econode bench market --seconds 20
    """
    from devnet.bench.market import measure_market

    if 0 < nodes < 4:
        raise typer.BadParameter("--nodes is 0, or 4 and more")
    report = measure_market(
        seconds, nodes, auctions, directory, lambda text: hint(f"... {text}", json)
    )
    _show(report, json)


@app.command("api")
def api(
    tasks: Annotated[
        int, typer.Option(min=1_000, max=1_000_000, help="Settled tasks in the ledger.")
    ] = 10_000,
    repetitions: Annotated[
        int, typer.Option(min=1, max=100_000, help="Requests of each kind.")
    ] = 200,
    directory: DirectoryOption = None,
    json: JsonOption = False,
) -> None:
    """Milliseconds of the local API's reads with many tasks in the ledger.

    The ledger is made first, by the product's own code: a minute for each 10,000 tasks or so.

    \b
    Example:
      econode bench api --tasks 10000
    """
    from devnet.bench.api import measure_api

    _show(measure_api(tasks, repetitions, directory, lambda text: hint(f"... {text}", json)), json)


def _show(report: "Report", as_json: bool) -> None:
    from devnet.bench.report import render

    show(report, as_json, lambda: render(report))
