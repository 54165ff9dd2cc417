"""A committee of real node processes in temporary homes, driven by a benchmark."""

import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import trio

from devnet.bench.member import make_client_key
from devnet.bench.member_protocol import Command, Load, Meet, Read, Reading, Ready
from identity.keys import PrivateKey, compute_peer_id
from node.home import Home
from node.problem import Problem
from protocols.genesis import Allotment, Genesis, Member

START_SECONDS_MAX = 60.0
ANSWER_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 10.0
LINE_BYTES_MAX = 64 * 1024 * 1024
CREDITS = 10**12

Answer = TypeVar("Answer", Ready, Reading)


class MemberProcess:
    """One member: asks it, one question at a time."""

    def __init__(self, process: trio.Process, home: Home, started_at_s: float) -> None:
        """`started_at_s` is what `time.monotonic` read before the process was started."""
        self._process, self.home, self.started_at_s = process, home, started_at_s
        self._buffer = bytearray()

    async def receive(self, kind: type[Answer], seconds: float = ANSWER_SECONDS_MAX) -> Answer:
        """Its next line. Raises Problem when it has ended or says nothing in time."""
        assert self._process.stdout is not None
        with trio.move_on_after(seconds):
            while b"\n" not in self._buffer:
                chunk = await self._process.stdout.receive_some()
                if not chunk or len(self._buffer) > LINE_BYTES_MAX:
                    break
                self._buffer += chunk
        line, found, rest = bytes(self._buffer).partition(b"\n")
        if not found:
            raise self._make_problem()
        self._buffer = bytearray(rest)
        return msgspec.json.decode(line, type=kind)

    async def ask(self, command: Command) -> Reading:
        assert self._process.stdin is not None
        try:
            await self._process.stdin.send_all(msgspec.json.encode(command) + b"\n")
        except trio.BrokenResourceError:
            raise self._make_problem() from None
        return await self.receive(Reading)

    async def stop(self) -> None:
        """End it: gently, then not."""
        with trio.CancelScope(shield=True):
            assert self._process.stdin is not None
            await self._process.stdin.aclose()
            with trio.move_on_after(STOP_SECONDS_MAX):
                await self._process.wait()
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()

    async def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        await self._process.wait()
        assert self._process.stdin is not None
        await self._process.stdin.aclose()

    def _make_problem(self) -> Problem:
        said = (self.home.path / "stderr").read_text(errors="replace").strip().splitlines()
        detail = said[-1] if said else "it said nothing"
        return Problem("bench-member", f"a node of the benchmark failed: {detail}")


class Group:
    """The members, in the order of the committee: the first is the primary of view 0."""

    def __init__(self, members: list[MemberProcess], addresses: dict[str, str]) -> None:
        self.members = members
        self.addresses = addresses
        """Where each listens, by PeerId."""
        self.loaded = members[-1]
        """The one that generates the load: a backup, wherever there is one."""

    async def ask_all(self, command: Command) -> list[Reading]:
        return [await member.ask(command) for member in self.members]

    async def read(self) -> list[Reading]:
        return await self.ask_all(Read())

    async def restart(self, index: int, *flags: str) -> MemberProcess:
        """Start a member that was killed, and have it meet the others as soon as it listens."""
        member = self.members[index] = await _start(self.members[index].home, *flags)
        ready = await member.receive(Ready, START_SECONDS_MAX)
        self.addresses[ready.peer] = ready.address
        await member.ask(Meet(self.addresses))
        return member

    async def set_load(self, outstanding: int) -> None:
        await self.loaded.ask(Load(outstanding))


@asynccontextmanager
async def open_group(nodes: int, accounts: int, directory: Path | None) -> AsyncIterator[Group]:
    """`nodes` linked members and `accounts` funded accounts of the load, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="econode-bench-", dir=directory) as folder:
        homes = _make_homes(Path(folder), nodes, accounts)
        members: list[MemberProcess] = []
        try:
            for home in homes:
                members.append(await _start(home))
            addresses = await _introduce(members)
            yield Group(members, addresses)
        finally:
            for member in members:
                await member.stop()


def _make_homes(folder: Path, nodes: int, accounts: int) -> list[Home]:
    """In ascending order of the members' keys."""
    keys = sorted((PrivateKey.generate() for _ in range(nodes)), key=lambda key: key.public)
    genesis = Genesis(
        name="bench",
        created_ms=time.time_ns() // 1_000_000,
        members=tuple(
            Member(compute_peer_id(key.public), "", bond=CREDITS, free=CREDITS) for key in keys
        ),
        accounts=tuple(
            Allotment(compute_peer_id(make_client_key(i).public), CREDITS) for i in range(accounts)
        ),
    )
    homes = [Home(folder / f"node{i}") for i in range(nodes)]
    for home, key in zip(homes, keys, strict=True):
        home.make_folder()
        home.write_key(key, None)
        home.write_genesis(genesis)
    return homes


async def _start(home: Home, *flags: str) -> MemberProcess:
    command = [sys.executable, "-m", "devnet.bench.member", str(home.path), *flags]
    started_at_s = time.monotonic()
    with open(home.path / "stderr", "wb") as errors:
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        )
    return MemberProcess(process, home, started_at_s)


async def _introduce(members: Sequence[MemberProcess]) -> dict[str, str]:
    """Have all of them linked; their addresses by PeerId."""
    ready = [await member.receive(Ready, START_SECONDS_MAX) for member in members]
    meet = Meet({item.peer: item.address for item in ready})
    for member in members:
        await member.ask(meet)
    with trio.move_on_after(START_SECONDS_MAX):
        for member in members:
            while (await member.ask(Read())).connected < len(members) - 1:
                await trio.sleep(0.05)
        return meet.addresses
    raise Problem("bench-links", f"{len(members)} nodes were not linked in {START_SECONDS_MAX} s")
