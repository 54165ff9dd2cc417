"""`econode start`: one process from its lock to its last file closed."""

import errno
import logging
import os
import signal
import socket
import time

import trio
import trio_asyncio

from identity.errors import EconodeError
from identity.keys import PrivateKey, compute_peer_id
from node import api
from node.api import Api
from node.api_guard import Hosts, Limits
from node.config import Config
from node.home import Home, NodeInfo
from node.links import ListenError, TransportError
from node.log_lines import about
from node.node import Node, open_node
from node.owner_service import Service
from node.passphrase import ask_passphrase
from node.problem import Problem
from protocols.genesis import Genesis

logger = logging.getLogger("econode")

STOP_SECONDS_MAX = 4.0


def run_node(home: Home, config: Config) -> int:
    """Run the node of `home`, whose lock the caller holds, until SIGTERM, SIGINT or a shutdown by
    the API. Returns the exit code; raises Problem for what its owner can mend."""
    key = home.load_key(ask_passphrase)
    return trio.run(_run, home, config, key, home.load_genesis())


async def _run(home: Home, config: Config, key: PrivateKey, genesis: Genesis) -> int:
    stop = trio.Event()
    # Before anything else happens: a node whose API cannot run must not have voted meanwhile.
    listener = api.bind(config.api.address, config.api.port)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(_watch_signals, stop)
            async with trio_asyncio.open_loop(), open_node(home, config, key, genesis) as node:
                await _serve(home, config, node, stop, listener)
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise _pick(group) from None
    finally:
        listener.close()
    return 0


async def _serve(
    home: Home, config: Config, node: Node, stop: trio.Event, listener: socket.socket
) -> None:
    service = Service(node, stop)
    hosts = Hosts(config.api.remote, frozenset(config.api.hosts))
    per_s = config.api.requests_per_s
    limits = Limits(config.api.requests_under_way_max, per_s, 2 * per_s)
    server = Api(service, home.load_token(), hosts, limits)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(server.serve, listener)
        info = NodeInfo(
            pid=os.getpid(),
            peer_id=compute_peer_id(node.key.public),
            network_id=node.network.hex(),
            api_address=config.api.address,
            api_port=port,
            listen=tuple(node.transport.listen_addresses()),
            started_ms=time.time_ns() // 1_000_000,
        )
        home.write_info(info)
        logger.info(
            "ready: API on %s:%d, peers on %s",
            config.api.address,
            port,
            info.listen,
            extra=about("ready"),
        )
        try:
            await stop.wait()
        finally:
            home.remove_info()
            server.stop()


async def _watch_signals(
    stop: trio.Event, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for _ in signals:
            stop.set()


def _pick(group: BaseException) -> BaseException:
    """The error to tell of: what the owner can mend before what only a log can."""
    leaves: list[BaseException] = []
    todo = [group]
    while todo:
        error = todo.pop()
        if isinstance(error, BaseExceptionGroup):
            todo.extend(error.exceptions)
        else:
            leaves.append(error)
    for error in leaves:
        if isinstance(error, Problem):
            return error
    for error in leaves:
        if isinstance(error, ListenError):
            return _explain_listening(error)
        if isinstance(error, EconodeError | TransportError):
            return Problem("node-failed", str(error))
    return leaves[0]


def _explain_listening(error: ListenError) -> Problem:
    in_use = f"[Errno {errno.EADDRINUSE}]" in str(error)
    return Problem(
        "port-in-use" if in_use else "cannot-listen",
        str(error),
        where="[network] listen",
        remedy="end the other program, or choose another address: econode start --listen MULTIADDR",
    )
