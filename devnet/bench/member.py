"""One member of a benchmarked committee: the real node of a home, told what to do on standard
input, with a load generator beside it.

The load is a number of tasks; each submits a transfer through an `Account`, waits until this node
executed it, and begins again. The tasks share several accounts, for the committee lets one account
be only so many operations ahead.
"""

import hashlib
import logging
import os
import sys
import time
from collections import deque
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec
import trio
import trio_asyncio

from devnet.bench.member_protocol import (
    EVENTS_MAX,
    Command,
    Event,
    Load,
    Meet,
    Reading,
    Ready,
)
from identity.keys import PrivateKey, compute_peer_id, parse_peer_id
from identity.schema import U63_MAX
from node.account import Account
from node.config import Config
from node.config import Network as NetworkSection
from node.home import Home
from node.links import PeerAddress
from node.node import Node, open_node
from protocols.economy.operations import Transfer
from protocols.step import Certified, Executed, Transferred
from protocols.submitter import Submitter

ACCOUNT_OUTSTANDING_MAX = 32
"""Operations of one account at once: half of what a member admits ahead of the last executed one,
since the members that receive them may be behind this one."""
BATCHES_ONLY = "batches-only"
COMMAND_BYTES_MAX = 1 << 20
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def make_client_key(number: int) -> PrivateKey:
    """The key of the load's account `number`; the genesis of the bench funds them."""
    return PrivateKey(hashlib.sha256(b"econode bench client %d" % number).digest())


class Generator:
    """Keeps operations outstanding. A driver's listener for its counts."""

    def __init__(self, node: Node, nursery: trio.Nursery) -> None:
        self._node, self._nursery = node, nursery
        self._accounts: list[Account] = []
        self._scope: trio.CancelScope | None = None
        self._ended = trio.Event()
        self.latencies_ms: list[float] = []
        self.batches = self.operations = self.transfers = 0
        node.driver.add_listener(node.main.id, self)

    def on_executed(self, executed: Executed) -> None:
        self.batches += 1
        self.operations += len(executed.operations)

    def on_certified(self, certified: Certified) -> None:
        """Not counted."""

    def on_transferred(self, transferred: Transferred) -> None:
        self.transfers += 1

    async def set_load(self, outstanding: int) -> None:
        """Replace the load; returns when none of the former one is under way."""
        if self._scope is not None:
            self._scope.cancel()
            await self._ended.wait()
        if outstanding:
            self._scope, self._ended = trio.CancelScope(), trio.Event()
            self._nursery.start_soon(self._run, outstanding, self._scope, self._ended)
        else:
            self._scope = None

    async def _run(self, outstanding: int, scope: trio.CancelScope, ended: trio.Event) -> None:
        needed = -(-outstanding // ACCOUNT_OUTSTANDING_MAX)
        while len(self._accounts) < needed:
            self._add_account()
        async with trio.open_nursery() as nursery:
            for number in range(outstanding):
                nursery.start_soon(self._repeat, self._accounts[number % needed], scope)
        ended.set()

    async def _repeat(self, account: Account, scope: trio.CancelScope) -> None:
        """Submit and wait; what is submitted is waited for also when the load ends."""
        body = Transfer(to=self._node.key.public, amount=1)
        while not scope.cancel_called:
            began = time.perf_counter()
            ordered = await account.submit(body)
            await ordered.wait()
            self.latencies_ms.append((time.perf_counter() - began) * 1000)

    def _add_account(self) -> None:
        node, key = self._node, make_client_key(len(self._accounts))
        main = node.main
        next_nonce = main.chain.get_next_nonce(key.public)
        account = Account(node.driver, main.seat, Submitter(main.committee, key, next_nonce))
        node.driver.add_listener(main.id, account)
        self._nursery.start_soon(account.run)
        self._accounts.append(account)


class Watcher:
    """What happens to links and views, and how long nothing is executed. A driver's listener."""

    def __init__(self, node: Node) -> None:
        self._events: deque[Event] = deque(maxlen=EVENTS_MAX)
        self._last_s = time.monotonic()
        self._gap_s = (self._last_s, self._last_s)
        tell_driver = node.transport.on_link

        def on_link(peer: bytes, is_up: bool) -> None:
            if not is_up:
                self._events.append(Event("link_lost", time.monotonic(), compute_peer_id(peer)))
            tell_driver(peer, is_up)

        node.transport.on_link = on_link
        node.driver.add_view_watcher(node.main.id, self._on_view)
        node.driver.add_listener(node.main.id, self)

    def _on_view(self, view: int, is_active: bool) -> None:
        name: Literal["view_left", "view_begun"] = "view_begun" if is_active else "view_left"
        self._events.append(Event(name, time.monotonic(), str(view)))

    def on_executed(self, executed: Executed) -> None:
        if executed.operations:
            now_s = time.monotonic()
            if now_s - self._last_s > self._gap_s[1] - self._gap_s[0]:
                self._gap_s = (self._last_s, now_s)
            self._last_s = now_s

    def on_certified(self, certified: Certified) -> None:
        """Not watched."""

    def on_transferred(self, transferred: Transferred) -> None:
        """Not watched."""

    def take(self) -> tuple[tuple[float, float], tuple[Event, ...]]:
        """(longest gap, events) since this was called last."""
        taken = self._gap_s, tuple(self._events)
        self._gap_s = (self._last_s, self._last_s)
        self._events.clear()
        return taken


def read(node: Node, generator: Generator, watcher: Watcher) -> Reading:
    """A reading of this process now."""
    links = node.transport.links()
    gap_s, events = watcher.take()
    latencies, generator.latencies_ms = sorted(generator.latencies_ms), []
    return Reading(
        at_s=time.monotonic(),
        cpu_s=time.process_time(),
        rss_bytes=int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES,
        frames_out=sum(link.frames_out for link in links),
        bytes_out=sum(link.bytes_out for link in links),
        drops=sum(link.drops for link in links),
        faults=node.transport.faults.total,
        batches=generator.batches,
        operations=generator.operations,
        connected=sum(link.connected for link in links),
        view=node.main.seat.core.view,
        position=node.main.seat.core.executed,
        head=node.main.chain.get_head().hex(),
        longest_gap_s=gap_s,
        queues=count_queues(node),
        events=events,
        transfers=generator.transfers,
        latencies_ms=tuple(latencies),
    )


def count_queues(node: Node) -> dict[str, int]:
    """What waits, or is kept until a checkpoint lets it go."""
    core = node.main.seat.core
    return {
        "operations": len(core.pool),
        "slots": len(core.slots),
        "inbound_frames": node.transport.inbound.statistics().current_buffer_used,
        "outbound_bytes": sum(link.queued_bytes for link in node.transport.links()),
    }


async def _run(path: Path, *, batches_only: bool) -> None:
    home = Home(path)
    config = Config(network=NetworkSection(listen=("/ip4/127.0.0.1/tcp/0",)))
    async with (
        trio_asyncio.open_loop(),
        open_node(home, config, home.load_key(), home.load_genesis()) as node,
        trio.open_nursery() as nursery,
    ):
        if batches_only:
            node.main.seat.catch_up.transfer_batches_min = U63_MAX
        generator, watcher = Generator(node, nursery), Watcher(node)
        address = node.transport.listen_addresses()[0]
        _say(Ready(compute_peer_id(node.key.public), address))
        async for line in _read_lines():
            command = msgspec.json.decode(line, type=Command)
            match command:
                case Meet():
                    node.transport.set_peers(
                        PeerAddress(parse_peer_id(peer), at)
                        for peer, at in command.addresses.items()
                    )
                case Load():
                    await generator.set_load(command.outstanding)
            _say(read(node, generator, watcher))
        nursery.cancel_scope.cancel()


async def _read_lines() -> AsyncIterator[bytes]:
    buffer = bytearray()
    async with trio.lowlevel.FdStream(os.dup(0)) as stream:
        async for chunk in stream:
            buffer += chunk
            if len(buffer) > COMMAND_BYTES_MAX:
                raise ValueError("a command that does not end")
            *lines, rest = bytes(buffer).split(b"\n")
            buffer = bytearray(rest)
            for line in lines:
                yield line


def _say(message: msgspec.Struct) -> None:
    sys.stdout.write(msgspec.json.encode(message).decode() + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run the member of the home named on the command line until standard input ends. With
    BATCHES_ONLY behind it, it fetches no state, however far behind it is."""
    logging.basicConfig(level=logging.WARNING)
    trio.run(partial(_run, Path(sys.argv[1]), batches_only=BATCHES_ONLY in sys.argv[2:]))


if __name__ == "__main__":
    main()
