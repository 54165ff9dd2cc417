"""The part of `econode doctor` that is about the network: ports, addresses, clock, peers."""

import errno
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing

from node import client
from node.addresses import find_dialable
from node.doctor import (
    Check,
    Finding,
    check_config,
    check_databases,
    check_disk,
    check_genesis,
    check_home,
    check_versions,
    is_locked,
    read_config,
)
from node.home import Home
from node.problem import Problem

CONNECT_S_MAX = 2.0
CLOCK_BEHIND_MS_MAX = 2_000
"""The agreed time is the median of what members read: none of it lies in an honest future."""
CLOCK_FRESH_MS = 10_000
_TCP = re.compile(r"/(ip4|ip6|dns|dns4|dns6)/([^/]+)/tcp/(\d+)(?:/.*)?")


def check_ports(home: Home) -> Iterator[Finding]:
    """Of a node that runs: that it answers where it listens. Of another: that it could."""
    config, info = read_config(home), home.load_info()
    if is_locked(home) and info is not None:
        for address in info.listen:
            host, port = parse_tcp(address)
            error = try_connect(_to_local(host), port)
            if error:
                remedy = "see the node's log, and what filters loopback"
                yield Finding("ports", "fail", f"{address} does not answer: {error}", remedy)
            else:
                yield Finding("ports", "ok", f"{address} answers")
        return
    wanted = [parse_tcp(address) for address in config.network.listen]
    for host, port in [*wanted, (config.api.address, config.api.port)]:
        if port == 0:
            continue
        error = _try_bind(host, port)
        if error:
            remedy = "end the other program, or set another port in config.toml"
            yield Finding("ports", "fail", f"{host} port {port}: {error}", remedy)
        else:
            yield Finding("ports", "ok", f"{host} port {port} is free")


def check_reachable(home: Home) -> Iterator[Finding]:
    """That what others dial is where this node listens."""
    config, info, genesis = read_config(home), home.load_info(), home.load_genesis()
    peer_id, is_running = home.load_peer_id(), is_locked(home)
    listen = info.listen if info is not None and is_running else config.network.listen
    told = [m.address for m in genesis.members if m.peer == peer_id and m.address]
    dialled = [*config.network.announce, *told] or [find_dialable(item) for item in listen]
    ports = {parse_tcp(item)[1] for item in listen}
    for address in dict.fromkeys(dialled):
        host, port = parse_tcp(address)
        error = try_connect(host, port) if is_running else ""
        if error:
            yield Finding(
                "reachable",
                "warn",
                f"others dial {address}, which does not answer from here: {error}",
                "forward that port to this machine, or announce another: [network] announce",
            )
        elif port not in ports and 0 not in ports:
            yield Finding(
                "reachable",
                "warn",
                f"others dial {address}, and this node listens on {', '.join(listen)}",
                "right if a router forwards it; otherwise set [network] listen",
            )
        else:
            verdict = "which answers" if is_running else "where this node listens when it runs"
            yield Finding("reachable", "ok", f"others dial {address}, {verdict}")


def check_clock(home: Home) -> Iterator[Finding]:
    """This machine's clock against the time that the committee agreed on."""
    now_ms = time.time_ns() // 1_000_000
    if now_ms < home.load_genesis().created_ms:
        yield Finding("clock", "fail", "this clock is before the network's founding", _SET_CLOCK)
        return
    if not is_locked(home):
        yield Finding("clock", "ok", "not compared: the node does not run")
        return
    with closing(client.connect(home)) as node:
        agreed_ms = node.status().agreed_time_ms
    age_ms = time.time_ns() // 1_000_000 - agreed_ms
    if age_ms < -CLOCK_BEHIND_MS_MAX:
        message = f"this clock is {-age_ms} ms behind the time that the committee agreed on"
        yield Finding("clock", "fail", message, _SET_CLOCK)
    elif age_ms <= CLOCK_FRESH_MS:
        yield Finding("clock", "ok", f"the agreed time is {age_ms} ms old by this clock")
    else:
        message = f"the agreed time is {age_ms // 1_000} s old by this clock"
        remedy = "right where nothing was ordered since; otherwise this clock is ahead: set it"
        yield Finding("clock", "warn", message, remedy)


_SET_CLOCK = "set the clock, and keep it right with NTP (chrony, systemd-timesyncd)"


def check_peers(home: Home) -> Iterator[Finding]:
    if not is_locked(home):
        yield Finding("peers", "warn", "the node does not run", "econode start")
        return
    with closing(client.connect(home)) as node:
        status, peers, members = node.status(), node.peers().peers, node.members().members
    others = [member for member in members if member.peer_id != status.peer_id]
    missing = [member.peer_id for member in others if not member.connected]
    reached = len(others) - len(missing)
    message = f"{reached} of {len(others)} other members are connected"
    errors = {peer.peer_id: peer.last_error for peer in peers if not peer.connected}
    reasons = [f"{name[-8:]} {errors.get(name) or 'no link'}" for name in missing[:4]]
    if missing:
        message += f"; not: {'; '.join(reasons)}"
    remedy = "see [network] peers for members that moved, and whether firewalls let them through"
    if reached < status.q - 1:
        yield Finding("peers", "fail", f"{message}; {status.q - 1} are needed", remedy)
    elif missing:
        yield Finding("peers", "warn", message, remedy)
    else:
        yield Finding("peers", "ok", message)
    for alarm in status.alarms:
        yield Finding("peers", "fail", alarm, "econode evidence list shows the proof")
    if "observing" in status.roles:
        message = "this member observes: it has forgotten some of what it signed"
        yield Finding("peers", "warn", message, "it signs again once the others have passed it")


CHECKS: tuple[tuple[str, Check], ...] = (
    ("permissions", check_home),
    ("config", check_config),
    ("genesis", check_genesis),
    ("versions", check_versions),
    ("disk", check_disk),
    ("databases", check_databases),
    ("ports", check_ports),
    ("reachable", check_reachable),
    ("clock", check_clock),
    ("peers", check_peers),
)


def parse_tcp(address: str) -> tuple[str, int]:
    """Host and port of a multiaddr. Raises Problem."""
    found = _TCP.fullmatch(address)
    if found is None:
        raise Problem("invalid-address", f"{address!r} is not an address of TCP")
    return found[2], int(found[3])


def try_connect(host: str, port: int) -> str:
    """Why nobody answers there; empty where somebody does."""
    try:
        with socket.create_connection((host, port), timeout=CONNECT_S_MAX):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _try_bind(host: str, port: int) -> str:
    """Why nobody can listen there; empty where somebody could."""
    try:
        family, kind, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            return ""
    except OSError as error:
        is_taken = error.errno == errno.EADDRINUSE
        return "another program listens there" if is_taken else error.strerror or str(error)


def _to_local(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
