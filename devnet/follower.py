"""Watching one node through its API, in a thread of its own, over restarts of the node."""

import queue
import threading
import time
from dataclasses import dataclass, replace

from node import client, service
from node.client import NodeClient
from node.home import Home
from node.problem import Problem

ENTRIES_PER_READ = 64
FACTS_EVERY_S = 0.25
STATUS_EVERY_S = 1.0
RETRY_S = 0.2


@dataclass(frozen=True, slots=True)
class Sight:
    """What was last seen of a node. `error` is empty while it answers."""

    status: service.Status | None = None
    peers: service.Peers | None = None
    capabilities: service.Capabilities | None = None
    stake: service.Stake | None = None
    reputation: service.Reputation | None = None
    rss_bytes_max: int = 0
    error: str = "not started"


Arrival = tuple[int, service.LogEntry]
"""Number of the node that told it, and the entry."""


class Follower(threading.Thread):
    """Reads entries in order, status, and (`detailed`) stakes, scores and capabilities.

    `sight`, `heads`, `processes_seen` and `roots` may be read by other threads: the thread
    replaces or adds to them whole. Entries go into `arrivals`; only their hashes are kept here.
    """

    def __init__(
        self, number: int, home: Home, arrivals: "queue.SimpleQueue[Arrival]", *, detailed: bool
    ) -> None:
        super().__init__(name=f"follower-{number}", daemon=True)
        self.number = number
        self.sight = Sight()
        self.heads: dict[int, bytes] = {}
        """Head by position, as the node reported them."""
        self.processes_seen = 0
        """How often a process of the node answered for the first time."""
        self.roots: dict[int, bytes] = {}
        self._home = home
        self._arrivals = arrivals
        self._detailed = detailed
        self._stopping = threading.Event()
        self._next = 0
        self._frames_before = 0
        self._frames = 0

    def stop(self) -> None:
        self._stopping.set()

    @property
    def frames_sent(self) -> int:
        """Frames that the node sent to its peers, over all of its starts."""
        return self._frames_before + self._frames

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                with client.connect(self._home) as node:
                    self._follow(node)
            except Problem as problem:
                self.sight = replace(self.sight, error=problem.detail)
            self._stopping.wait(RETRY_S)

    def _follow(self, node: NodeClient) -> None:
        self._frames_before, self._frames = self.frames_sent, 0
        self._look(node)
        self.processes_seen += 1
        next_status_s = time.monotonic() + STATUS_EVERY_S
        while not self._stopping.is_set():
            if time.monotonic() >= next_status_s:
                self._look(node)
                next_status_s = time.monotonic() + STATUS_EVERY_S
            page = node.facts(self._next, ENTRIES_PER_READ)
            for entry in page.entries:
                self.heads[entry.position] = bytes.fromhex(entry.hash)
                self._next = entry.position + 1
                self._arrivals.put((self.number, entry))
            if len(page.entries) < ENTRIES_PER_READ:
                self._stopping.wait(FACTS_EVERY_S)

    def _look(self, node: NodeClient) -> None:
        status, peers = node.status(), node.peers()
        self.roots[status.position] = bytes.fromhex(status.state_root)
        self._frames = sum(peer.frames_out for peer in peers.peers)
        seen = replace(
            self.sight,
            status=status,
            peers=peers,
            rss_bytes_max=max(self.sight.rss_bytes_max, status.rss_bytes),
            error="",
        )
        if self._detailed:
            seen = replace(
                seen,
                stake=node.stake(),
                reputation=node.reputation(),
                capabilities=node.capabilities(),
            )
        self.sight = seen
