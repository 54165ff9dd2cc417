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

    def __init__(self, process: trio.Process, home: Path) -> None:
        self._process, self._home = process, home
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

    async def kill(self) -> float:
        """kill -9; when, on the clock of `Reading.at_s`. Returns at once."""
        killed_s = time.monotonic()
        self._process.kill()
        await trio.lowlevel.checkpoint()
        return killed_s

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

    def _make_problem(self) -> Problem:
        said = (self._home / "stderr").read_text(errors="replace").strip().splitlines()
        detail = said[-1] if said else "it said nothing"
        return Problem("bench-member", f"a node of the benchmark failed: {detail}")


class Group:
    """The members, in the order of the committee: the first is the primary of view 0."""

    def __init__(self, members: list[MemberProcess], homes: Sequence[Home]) -> None:
        self.members, self.homes = members, homes
        self._addresses: dict[str, str] = {}
        self.peers = [home.load_peer_id() for home in homes]
        self.loaded = members[-1]
        """The one that generates the load: a backup, wherever there is one."""

    async def restart(self, index: int) -> None:
        """Start a member that was killed, and link it to the others at its new address."""
        await self.members[index].stop()
        member = self.members[index] = await _start(self.homes[index])
        await self.introduce([await member.receive(Ready, START_SECONDS_MAX)])

    async def introduce(self, ready: Sequence[Ready]) -> None:
        """Tell every member where those listen that have just started; wait until all are
        linked. Raises Problem."""
        self._addresses |= {item.peer: item.address for item in ready}
        for member in self.members:
            await member.ask(Meet(self._addresses))
        with trio.move_on_after(START_SECONDS_MAX):
            for member in self.members:
                while (await member.ask(Read())).connected < len(self.members) - 1:
                    await trio.sleep(0.05)
            return
        detail = f"{len(self.members)} nodes were not linked in {START_SECONDS_MAX} s"
        raise Problem("bench-links", detail)

    async def ask_all(self, command: Command) -> list[Reading]:
        return [await member.ask(command) for member in self.members]

    async def read(self) -> list[Reading]:
        return await self.ask_all(Read())

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
            group = Group(members, homes)
            ready = [await member.receive(Ready, START_SECONDS_MAX) for member in members]
            await group.introduce(ready)
            yield group
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


async def _start(home: Home) -> MemberProcess:
    command = [sys.executable, "-m", "devnet.bench.member", str(home.path)]
    with open(home.path / "stderr", "wb") as errors:
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        )
    return MemberProcess(process, home.path)
