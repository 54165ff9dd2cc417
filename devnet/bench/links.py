"""What a link between two processes carries: latency of a request, frames a second one way."""

import json
import subprocess
import sys
import time

import trio

from node.links import PeerAddress, Transport

FRAME_BYTES = 200
WARM_UP_FRAMES = 200
CONNECT_SECONDS_MAX = 10.0
_NETWORK = b"econode bench links".ljust(32, b"\0")
_ECHO, _COUNT, _TOTAL = b"e", b"c", b"t"


def _make(number: int) -> Transport:
    return Transport(bytes([number]) * 32, ["/ip4/127.0.0.1/tcp/0"], network_id=_NETWORK)


async def _serve() -> None:
    """The other process: echoes, or counts until asked for the total."""
    transport = _make(2)
    counted = 0
    async with trio.open_nursery() as nursery:
        await nursery.start(transport.run)
        print(transport.listen_addresses()[0], flush=True)
        async for item in transport.inbound:
            kind = item.frame[:1]
            if kind == _COUNT:
                counted += 1
            else:
                total = counted.to_bytes(8) if kind == _TOTAL else item.frame
                transport.send(item.peer, total)


async def _measure_requests(transport: Transport, peer: bytes, seconds: float) -> list[float]:
    frame = _ECHO.ljust(FRAME_BYTES, b"x")
    times: list[float] = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        transport.send(peer, frame)
        await transport.inbound.receive()
        times.append(time.perf_counter() - began)
    return sorted(times[min(WARM_UP_FRAMES, len(times) // 2) :])


async def _measure_one_way(transport: Transport, peer: bytes, seconds: float) -> float:
    frame = _COUNT.ljust(FRAME_BYTES, b"x")
    began = time.perf_counter()
    sent = 0
    while time.perf_counter() < began + seconds:
        for _ in range(64):
            if not transport.send(peer, frame):
                break
            sent += 1
        await trio.sleep(0)
    while not transport.send(peer, _TOTAL):
        await trio.sleep(0)
    total = int.from_bytes((await transport.inbound.receive()).frame)
    assert total == sent, f"{sent} frames sent, {total} arrived"
    return sent / (time.perf_counter() - began)


async def _measure(address: str, seconds: float) -> dict[str, float]:
    transport, peer = _make(1), _make(2).public_key
    async with trio.open_nursery() as nursery:
        await nursery.start(transport.run)
        began = time.perf_counter()
        transport.set_peers([PeerAddress(peer, address)])
        with trio.fail_after(CONNECT_SECONDS_MAX):
            transport.send(peer, _ECHO)
            await transport.inbound.receive()
        connect_ms = (time.perf_counter() - began) * 1000
        times = await _measure_requests(transport, peer, seconds / 2)
        one_way = await _measure_one_way(transport, peer, seconds / 2)
        nursery.cancel_scope.cancel()
    return {
        "connect_ms": round(connect_ms, 1),
        "request_p50_us": round(times[len(times) // 2] * 1e6),
        "request_p99_us": round(times[len(times) * 99 // 100] * 1e6),
        "requests_per_second": round(len(times) / sum(times)),
        "one_way_frames_per_second": round(one_way),
        "frame_bytes": FRAME_BYTES,
    }


def measure_links(seconds: float = 4.0) -> dict[str, float]:
    """Measure two transports in two processes over loopback for about `seconds`.

    Microseconds for one request and its answer with one outstanding, and frames a second one way,
    frames of 200 bytes; starts and ends a process of its own.
    """
    command = [sys.executable, "-c", "from devnet.bench.links import _main; _main()"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            return trio.run(_measure, child.stdout.readline().strip(), seconds)
        finally:
            child.kill()


def _main() -> None:
    trio.run(_serve)


if __name__ == "__main__":
    print(json.dumps(measure_links(), indent=2))
