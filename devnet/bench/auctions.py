"""How long a sealed-bid auction takes on real node processes: from the request to open it to the
certified result, with a fixed list of bidders whose agents bid by themselves.

One node opens through its local API and hears of the end by its event stream; the others are the
bidders. The time of a request that answers is what a user waits for, HTTP included. As many
transfers through the same API say how fast the machine orders anything: an auction is four such
rounds, opening, seals, their opening, and the certificate. Processor time does not depend on what
else the machine does.
"""

import os
import queue
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from devnet.bench.report import Recorder, Report
from devnet.manifest import choose_ports
from devnet.processes import NodeProcess, stop_all
from identity.keys import PrivateKey, compute_peer_id
from node.client import NodeClient, connect
from node.config_file import render_config
from node.files import write_atomic
from node.home import Home
from node.problem import Problem
from node.service_auctions import AuctionLot, AuctionOrder
from protocols.genesis import Genesis, Member

CREDITS = 10**12
START_S_MAX = 120.0
AUCTION_S_MAX = 60.0
WARM_UP = 3
"""Auctions before the first that counts."""
POLL_S = 0.02
LOT = "bench"
CAP = 1_000
RATE_KIND = "vickrey"
RATE_PASSES = 3
REQUESTS_AT_ONCE = 32
"""Threads that open auctions, where many are asked for at once."""
STEPS = ("opened", "result", "certified")

Event = tuple[float, str]
"""When an end was heard of (monotonic seconds), and the auction."""


def measure_auctions(
    nodes: int,
    repetitions: int,
    kind: str,
    directory: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Run `repetitions` auctions of a sealed `kind`, one after the other. Raises Problem when a
    node fails, or an auction does not end in AUCTION_S_MAX."""
    settings: dict[str, int | float | str] = {
        "nodes": nodes,
        "bidders": nodes - 1,
        "auctions": repetitions,
        "kind": kind,
    }
    recorder = Recorder("auctions", settings)
    samples: dict[str, list[float]] = defaultdict(list)
    progress(f"starting {nodes} nodes")
    with _open_village(nodes, directory) as homes:
        clients = [_wait_connected(home, nodes - 1) for home in homes]
        opener = clients[-1]  # a backup
        events = _listen(homes[-1])
        bidders = tuple(_get_peer(home) for home in homes[:-1])
        cpu_before_ms = _read_cpu_ms(homes)
        for number in range(WARM_UP + repetitions):
            times_ms = _run_auction(opener, events, kind, bidders)
            if number >= WARM_UP:
                for step, value in zip(STEPS, times_ms, strict=True):
                    samples[step].append(value)
            if number % 10 == WARM_UP:
                progress(f"{number - WARM_UP + 1} of {repetitions}: {times_ms[-1]:.0f} ms")
        cpu_ms = (_read_cpu_ms(homes) - cpu_before_ms) / (WARM_UP + repetitions)
        samples["transfer"] = [_time_transfer(opener, bidders[0]) for _ in range(repetitions)]
        for client in clients:
            client.close()
    for step in STEPS[:-1]:
        recorder.add(f"{step}_p50", "ms", samples[step])
    recorder.add("certified_p99", "ms", [_compute_p99(samples["certified"])])
    transfer_ms = recorder.add("transfer_p50", "ms", samples["transfer"])
    certified_ms = recorder.add("certified_p50", "ms", samples["certified"])
    recorder.add("certified_per_transfer", "ratio", [certified_ms / transfer_ms])
    recorder.add("cpu_per_auction", "ms", [cpu_ms])
    return recorder.finish()


def measure_rate(
    recorder: Recorder,
    nodes: int,
    auctions: int,
    directory: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> float:
    """Record how many sealed-bid auctions a second a committee of real processes carries from the
    request to the result, `auctions` of them asked for at once; the median. Raises Problem as
    `measure_auctions` does."""
    progress(f"starting {nodes} nodes")
    with _open_village(nodes, directory) as homes:
        clients = [_wait_connected(home, nodes - 1) for home in homes]
        opener, events = clients[-1], _listen(homes[-1])
        bidders = tuple(_get_peer(home) for home in homes[:-1])
        for _ in range(WARM_UP):
            _run_auction(opener, events, RATE_KIND, bidders)
        cpu_before_ms = _read_cpu_ms(homes)
        rates = []
        for number in range(RATE_PASSES):
            rates.append(_run_many(opener, events, bidders, auctions))
            progress(f"{number + 1} of {RATE_PASSES}: {rates[-1]:.0f} auctions/s")
        cpu_ms = (_read_cpu_ms(homes) - cpu_before_ms) / (auctions * RATE_PASSES)
        for client in clients:
            client.close()
    recorder.add("distributed_cpu_per_auction", "ms", [cpu_ms])
    return recorder.add("distributed_auctions", "auctions/s", rates)


def _run_many(
    opener: NodeClient, events: "queue.Queue[Event]", bidders: tuple[str, ...], count: int
) -> float:
    """Auctions a second, from the first request to the last result."""
    order = _make_order(RATE_KIND, bidders)
    begun = time.monotonic()
    deadline = begun + AUCTION_S_MAX
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        opened = set(pool.map(lambda _: opener.auctions.open(order).auction, range(count)))
    last = begun
    while opened:
        last, auction = _take(events, deadline)
        opened.discard(auction)
    return count / (last - begun)


def _make_order(kind: str, bidders: tuple[str, ...]) -> AuctionOrder:
    return AuctionOrder(
        kind=kind,  # type: ignore[arg-type]
        direction="forward",
        lots=(AuctionLot(name=LOT, limit=1),),
        cap=CAP,
        bid_ms=30_000,
        reveal_ms=30_000,
        bidders=bidders,
    )


def _run_auction(
    opener: NodeClient, events: "queue.Queue[Event]", kind: str, bidders: tuple[str, ...]
) -> tuple[float, float, float]:
    """Milliseconds from the request until it is open, has a result, and that is certified."""
    order = _make_order(kind, bidders)
    begun = time.monotonic()
    opened = opener.auctions.open(order)
    opened_at = time.monotonic()
    deadline = begun + AUCTION_S_MAX
    while True:
        ended_at, auction = _take(events, deadline)
        if auction == opened.auction:
            break
    opener.auctions.certificate(opened.auction, wait=True)
    certified_at = time.monotonic()
    steps = (opened_at, ended_at, certified_at)
    opened_ms, ended_ms, certified_ms = ((at - begun) * 1000 for at in steps)
    return opened_ms, ended_ms, certified_ms


def _time_transfer(client: NodeClient, to: str) -> float:
    """Milliseconds until a transfer is executed."""
    begun = time.monotonic()
    client.transfer(to, 1)
    return (time.monotonic() - begun) * 1000


def _take(events: "queue.Queue[Event]", deadline: float) -> Event:
    try:
        return events.get(timeout=max(0.0, deadline - time.monotonic()))
    except queue.Empty:
        raise Problem("bench-auction", "an auction did not end in time") from None


def _listen(home: Home) -> "queue.Queue[Event]":
    """Ends of auctions as the node's event stream tells them, as long as it runs."""
    found: queue.Queue[Event] = queue.Queue()
    client = connect(home)
    start = client.status().position + 1

    def run() -> None:
        try:
            for entry in client.events(start):
                heard_at = time.monotonic()
                for fact in entry.facts:
                    if fact["kind"] == "auction_ended":
                        found.put((heard_at, str(fact["auction"])))
        except Problem:
            client.close()  # the node has ended, and whoever waits for an event will notice

    threading.Thread(target=run, daemon=True).start()
    return found


@contextmanager
def _open_village(nodes: int, directory: Path | None) -> Iterator[list[Home]]:
    """Node processes whose agents want the lot, each at another value; the last one's none."""
    with tempfile.TemporaryDirectory(prefix="econode-bench-", dir=directory) as folder:
        homes = _make_homes(Path(folder), nodes)
        processes = [
            NodeProcess(
                home.path.name,
                [sys.executable, "-m", "node.cli", "start", "--home", str(home.path)],
                home.path / "log",
            )
            for home in homes
        ]
        try:
            for process in processes:
                process.start()
            yield homes
        finally:
            stop_all(processes)


def _make_homes(folder: Path, nodes: int) -> list[Home]:
    """In ascending order of the members' keys: the first is the primary of view 0."""
    keys = sorted((PrivateKey.generate() for _ in range(nodes)), key=lambda key: key.public)
    addresses = [f"/ip4/127.0.0.1/tcp/{port}" for port in choose_ports(nodes)]
    genesis = Genesis(
        name="bench",
        created_ms=time.time_ns() // 1_000_000,
        members=tuple(
            Member(compute_peer_id(key.public), address, bond=CREDITS, free=CREDITS)
            for key, address in zip(keys, addresses, strict=True)
        ),
    )
    homes = [Home(folder / f"node{i}") for i in range(nodes)]
    for number, (home, key) in enumerate(zip(homes, keys, strict=True)):
        home.make_folder()
        home.write_key(key, None)
        home.write_token()
        home.write_genesis(genesis)
        config = render_config({("network", "listen"): (addresses[number],)})
        if number < nodes - 1:
            config += f'\n[[want]]\nlots = ["{LOT}"]\nvalue = {100 + number}\n'
            config += 'units_max = 1000000\nstrategy = "truthful"\n'
        write_atomic(home.config_path, config.encode())
    return homes


def _wait_connected(home: Home, others: int) -> NodeClient:
    deadline = time.monotonic() + START_S_MAX
    while True:
        try:
            client = connect(home)
            if sum(peer.connected for peer in client.peers().peers) >= others:
                return client
            client.close()
        except Problem:
            pass  # it has not started yet
        if time.monotonic() > deadline:
            raise Problem("bench-links", f"{home.path.name} was not linked in {START_S_MAX:.0f} s")
        time.sleep(POLL_S)


def _read_cpu_ms(homes: Sequence[Home]) -> float:
    """Processor time of all nodes so far (proc(5), /proc/PID/stat: fields 14 and 15, in ticks)."""
    ticks = 0
    for home in homes:
        info = home.load_info()
        if info is not None:
            fields = Path(f"/proc/{info.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


def _get_peer(home: Home) -> str:
    return home.load_peer_id()


def _compute_p99(values: list[float]) -> float:
    """The smallest value that 99 % of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * 99 // 100) - 1)]
