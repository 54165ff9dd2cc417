"""What this machine can do, apart from any protocol: signatures, CBOR, syncs, loopback.

The other benchmarks give their figures as ratios to these, measured in the same run.
"""

import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from devnet.bench.links import measure_links
from devnet.bench.report import Recorder, Report
from identity import cbor, envelope, schema
from identity.envelope import Context
from identity.keys import PrivateKey, verify
from node.vote_log import VoteLog
from protocols.economy.operations import OPERATION_KIND, Operation, Transfer
from protocols.messages import COMMIT_KIND, Commit
from protocols.step import Persist

REPETITIONS = 5
ROW_BYTES = 600
TCP_BYTES = 200
STATEMENT_BYTES_MAX = 4_096
_KEY = PrivateKey(hashlib.sha256(b"econode bench limits").digest())
_NETWORK, _COMMITTEE = bytes(32), bytes(16)


def measure_limits(seconds: float, directory: Path | None = None) -> Report:
    """Measure for about `seconds` in all; files of the sync test go below `directory`."""
    recorder = Recorder(
        "limits", {"seconds": seconds, "directory": str(directory or tempfile.gettempdir())}
    )
    calls = _list_calls()
    share = seconds / (len(calls) + 6)
    for name, call in calls.items():
        recorder.add(name, "us CPU", measure_cpu(call, share))
    add_syncs(recorder, share, directory)
    recorder.add("tcp_round_trip", "us", measure_tcp(share))
    add_links(recorder, 4 * share)
    return recorder.finish()


def add_signatures(recorder: Recorder, seconds: float) -> tuple[float, float]:
    """Measure Ed25519 alone; microseconds of CPU to sign and to verify."""
    calls = _list_calls()
    return (
        recorder.add("ed25519_sign", "us CPU", measure_cpu(calls["ed25519_sign"], seconds / 2)),
        recorder.add("ed25519_verify", "us CPU", measure_cpu(calls["ed25519_verify"], seconds / 2)),
    )


def add_syncs(recorder: Recorder, seconds: float, directory: Path | None) -> float:
    """Measure the vote log's road to the disk; microseconds for one small transaction."""
    return recorder.add("sync_small_transaction", "us", measure_syncs(seconds, directory))


def add_links(recorder: Recorder, seconds: float) -> float:
    """Measure the transport between two processes; microseconds of a round trip."""
    found = measure_links(seconds)
    recorder.add("link_round_trip_p99", "us", [found["request_p99_us"]])
    recorder.add("link_one_way", "frames/s", [found["one_way_frames_per_second"]])
    return recorder.add("link_round_trip", "us", [found["request_p50_us"]])


def measure_cpu(call: Callable[[], Any], seconds: float) -> list[float]:
    """Microseconds of CPU that one `call` takes, once for each repetition.

    CPU time, for a machine that is busy with other things slows the clock's time down.
    """
    count, found = 1, []
    for _ in range(REPETITIONS):
        end = time.perf_counter() + seconds / REPETITIONS
        calls, began = 0, time.thread_time_ns()
        while True:
            for _ in range(count):
                call()
            calls += count
            if time.perf_counter() >= end:
                break
            count = min(2 * count, 256)
        found.append((time.thread_time_ns() - began) / 1000 / calls)
    return found


def measure_syncs(seconds: float, directory: Path | None) -> list[float]:
    """Median microseconds of one synced transaction in the vote log, for each repetition."""
    with tempfile.TemporaryDirectory(prefix="econode-bench-", dir=directory) as folder:
        vote_log = VoteLog(Path(folder) / "votes.sqlite3", _NETWORK, _KEY.public)
        try:
            return [trio.run(_sync, vote_log, seconds / REPETITIONS) for _ in range(REPETITIONS)]
        finally:
            vote_log.close()


async def _sync(vote_log: VoteLog, seconds: float) -> float:
    times: list[float] = []
    data, end = bytes(ROW_BYTES), time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        row = Persist(_COMMITTEE, "accepted", 0, len(times), data, 0)
        began = time.perf_counter()
        await vote_log.append([row])
        times.append(time.perf_counter() - began)
    return sorted(times)[len(times) // 2] * 1e6


def measure_tcp(seconds: float) -> list[float]:
    """Median microseconds of a plain TCP round trip between two processes over loopback."""
    command = [sys.executable, "-c", "from devnet.bench.limits import _echo; _echo()"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            port = int(child.stdout.readline())
            with socket.create_connection(("127.0.0.1", port)) as peer:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return [_call_tcp(peer, seconds / REPETITIONS) for _ in range(REPETITIONS)]
        finally:
            child.kill()


def _call_tcp(peer: socket.socket, seconds: float) -> float:
    times: list[float] = []
    data, end = bytes(TCP_BYTES), time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        began = time.perf_counter()
        peer.sendall(data)
        if len(peer.recv(TCP_BYTES, socket.MSG_WAITALL)) < TCP_BYTES:
            raise ConnectionError("the echoing process ended")
        times.append(time.perf_counter() - began)
    return sorted(times)[len(times) // 2] * 1e6


def _echo() -> None:
    """The other process of `measure_tcp`."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        os.write(1, f"{server.getsockname()[1]}\n".encode())
        peer, _ = server.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := peer.recv(TCP_BYTES, socket.MSG_WAITALL):
            peer.sendall(data)


def _list_calls() -> dict[str, Callable[[], Any]]:
    """What is timed on one core: raw signatures, then a vote and an operation as they travel."""
    message = bytes(range(200))
    signature = _KEY.sign(message)
    vote_place = Context(_NETWORK, _COMMITTEE, 0, COMMIT_KIND)
    vote = schema.encode(Commit(0, 1, bytes(32), 1_700_000_000_000))
    data = envelope.sign(_KEY, vote_place, vote).data
    operation = Operation(1, Transfer(to=bytes(32), amount=1))
    encoded = schema.encode(operation)
    plain = cbor.decode(encoded, size_max=STATEMENT_BYTES_MAX)

    def check() -> None:
        envelope.parse(data, size_max=STATEMENT_BYTES_MAX).check(_NETWORK)

    def sign_operation() -> None:
        place = Context(_NETWORK, _COMMITTEE, 0, OPERATION_KIND)
        envelope.sign(_KEY, place, schema.encode(operation))

    return {
        "ed25519_sign": lambda: _KEY.sign(message),
        "ed25519_verify": lambda: verify(_KEY.public, message, signature),
        "envelope_sign_vote": lambda: envelope.sign(_KEY, vote_place, vote),
        "envelope_parse_vote": lambda: envelope.parse(data, size_max=STATEMENT_BYTES_MAX),
        "envelope_parse_check_vote": check,
        "operation_encode_sign": sign_operation,
        "cbor_encode_operation": lambda: cbor.encode(plain),
        "cbor_decode_operation": lambda: cbor.decode(encoded, size_max=STATEMENT_BYTES_MAX),
    }
