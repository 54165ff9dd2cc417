"""A fake NodeService: one process, no consensus, but truthful about what it was asked to keep.

It executes each operation at once into an entry of a log in memory. Used only as the other side
of the tests of the API, the client and the commands. `serve_home` makes a process of it.
"""

import hashlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import trio
from fake_answers import FakeAnswers
from fake_auctions import FakeAuctions
from fake_crossings import FakeCrossings
from fake_history import FakeHistory
from fake_market import FakeMarket
from fake_proofs import FakeProofs
from fake_upgrades import FakeUpgrades
from fake_views import CAPABILITY, FakeViews, parse_peer

from crdt import facts
from crdt.document import Document
from crdt.facts import COMMON, Fact, Move
from crdt.stake import StakeView
from identity import keys
from node import service
from node.api import Api, bind
from node.config import Config
from node.config_file import load_config
from node.data import LogData
from node.home import Home, NodeInfo
from node.pages import cut_page
from node.problem import Problem, not_found
from node.task_options import PLAIN, TaskOptions
from protocols.committee import compute_faults, compute_quorum
from protocols.genesis import Genesis
from tests.ledger.peer_logs import PeerLogs


class FakeNode(FakeUpgrades, FakeViews):
    """Implements node.service.NodeService; its one capability is `upper`."""

    def __init__(self, peer_id: str, genesis: Genesis, time_ms: int = 1) -> None:
        super().__init__(genesis)
        self.peer_id = peer_id
        self._key = keys.parse_peer_id(peer_id)
        self.data = LogData(PeerLogs(self._key), self._key)
        self.proofs = FakeProofs()
        self.kept_answers = FakeAnswers()
        self.missing: list[str] = []
        self._market = FakeMarket(peer_id)
        self._time_ms = time_ms
        self._stake = StakeView()
        self._entries: list[service.LogEntry] = []
        self._document = Document(1)
        self._blobs: dict[str, bytes] = {}
        self._tasks: dict[str, service.Task] = {}
        self._proposed: list[service.Committee] = []
        self._news = trio.Condition()
        self.stopping = trio.Event()
        self.operations: list[bytes] = []
        self._auctions = FakeAuctions(self._key, self._publish)
        for member in genesis.members:
            key = keys.parse_peer_id(member.peer)
            moves = (
                Move(COMMON, "minted", key, "free", member.free),
                Move(COMMON, "minted", key, "bonded", member.bond),
            )
            self._append([facts.Minted(account=key, moves=moves)])

    def _append(self, made: Sequence[Fact]) -> int:
        position = len(self._entries)
        self._document.apply_facts(made, 0)
        for fact in made:
            self._stake.apply(fact)
        described = tuple(service.describe_fact(fact) for fact in made)
        digest = hashlib.sha256(repr(described).encode()).hexdigest()
        self._entries.append(
            service.LogEntry(
                position=position,
                time_ms=self._time_ms,
                hash=digest,
                certified=False,
                facts=described,
            )
        )
        return position

    async def _publish(self, made: Sequence[Fact]) -> int:
        async with self._news:
            position = self._append(made)
            self._news.notify_all()
        return position

    def at(self, committee: str) -> "FakeNode":
        if committee != "main":
            raise not_found("committee", committee, "see `econode committee list`")
        return self

    async def metrics(self) -> bytes:
        return b"econode_alarms 0.0\n"

    async def list_missing(self) -> list[str]:
        return self.missing

    def auctions_of(self, committee: str) -> FakeAuctions:
        self.at(committee)
        return self._auctions

    def history_of(self, committee: str) -> FakeHistory:
        self.at(committee)
        return FakeHistory(self._tasks.values())

    def crossings_of(self, committee: str) -> FakeCrossings:
        self.at(committee)
        return FakeCrossings()

    def market_of(self, committee: str) -> FakeMarket:
        self.at(committee)
        return self._market

    async def committees(self) -> service.Committees:
        main = service.Committee(
            name="main",
            id="00" * 16,
            parent=None,
            state="standing",
            members=tuple(member.peer for member in self._genesis.members),
            bond=None,
            free=None,
            role="member",
        )
        return service.Committees(committees=(main, *self._proposed))

    async def form_committee(self, parent: str, terms: service.FormRequest) -> service.Executed:
        members = tuple(sorted(map(parse_peer, terms.members)))
        id_ = hashlib.sha256(terms.name.encode()).digest()[:16]
        fact = facts.CommitteeProposed(
            committee=id_,
            account=self._key,
            name=terms.name,
            members=members,
            bond=terms.bond,
            free=terms.free,
            deadline_ms=self._time_ms + terms.duration_ms,
        )
        self._proposed.append(
            service.Committee(
                name=terms.name,
                id=id_.hex(),
                parent=parent,
                state="proposed",
                members=tuple(map(keys.compute_peer_id, members)),
                bond=terms.bond,
                free=terms.free,
                role="named",
            )
        )
        return await self._order(fact)

    async def consent_committee(self, parent: str, committee: str) -> service.Executed:
        id_ = bytes.fromhex(committee)
        return await self._order(facts.CommitteeConsented(committee=id_, account=self._key))

    async def _order(self, fact: Fact) -> service.Executed:
        position = await self._publish([fact])
        return service.Executed(
            operation="00" * 32, position=position, fact=service.describe_fact(fact)
        )

    def get_id(self) -> bytes:
        return bytes(16)

    async def status(self) -> service.Status:
        n = len(self._genesis.members)
        return service.Status(
            peer_id=self.peer_id,
            network=self._genesis.name,
            network_id=self._genesis.compute_network_id().hex(),
            committee="00" * 16,
            committee_name="main",
            epoch=0,
            version="0",
            n=n,
            f=compute_faults(n),
            q=compute_quorum(n),
            view=0,
            primary=self.peer_id,
            position=len(self._entries) - 1,
            head=self._entries[-1].hash,
            state_root="00" * 32,
            logs_root="00" * 32,
            stable_checkpoint=0,
            certified_position=-1,
            connected_peers=0,
            agreed_time_ms=self._time_ms,
            pending_operations=0,
            faults=0,
            rss_bytes=1,
            uptime_s=1.0,
            roles=("member",),
        )

    async def peers(self) -> service.Peers:
        return service.Peers(
            peers=tuple(
                service.Peer(
                    peer_id=member.peer,
                    address=member.address,
                    connected=False,
                    rtt_ms=None,
                    frames_in=0,
                    frames_out=0,
                    bytes_in=0,
                    bytes_out=0,
                    dropped=0,
                    last_error="",
                )
                for member in self._genesis.members
                if member.peer != self.peer_id
            )
        )

    async def put_blob(self, data: bytes) -> service.BlobStored:
        digest = hashlib.sha256(data).hexdigest()
        self._blobs[digest] = data
        return service.BlobStored(digest=digest, size_bytes=len(data))

    async def submit_tasks(
        self,
        tasks: Sequence[service.TaskRequest],
        budget: int,
        duration_ms: int,
        options: TaskOptions = PLAIN,
    ) -> service.TasksSubmitted:
        for request in tasks:
            if request.capability != "upper":
                raise Problem(
                    "unknown-capability",
                    f"nobody offers {request.capability!r}",
                    remedy="offered now: upper",
                    status=404,
                )
            if request.input not in self._blobs:
                raise not_found("blob", request.input)
        free = self._stake.get(self._key, "free")
        if free < budget * len(tasks):
            raise Problem(
                "insufficient-credits", f"{free} credits, {budget * len(tasks)} are needed"
            )
        before = len(self._entries) - 1
        ids = [await self._run(request, budget, duration_ms) for request in tasks]
        return service.TasksSubmitted(tasks=tuple(ids), position=before)

    async def _run(self, request: service.TaskRequest, budget: int, duration_ms: int) -> str:
        task = hashlib.sha256(f"{len(self._entries)}{request.input}".encode()).digest()
        data = self._blobs[request.input]
        deadline_ms = self._time_ms + duration_ms
        output = (await self.put_blob(data.upper())).digest
        opened = facts.TaskOpened(
            task=task,
            requester=self._key,
            capability=CAPABILITY,
            input=bytes.fromhex(request.input),
            input_bytes=len(data),
            budget=budget,
            deadline_ms=deadline_ms,
        )
        ended = facts.TaskEnded(task=task, outcome="settled", output=bytes.fromhex(output))
        self._tasks[task.hex()] = service.Task(
            id=task.hex(),
            state="settled",
            capability="upper",
            requester=self.peer_id,
            input=request.input,
            input_bytes=len(data),
            budget=budget,
            deadline_ms=deadline_ms,
            round=0,
            opened_ms=self._time_ms,
            executor=self.peer_id,
            price=budget,
            grade="excellent",
            output=output,
            output_bytes=len(data),
        )
        await self._publish([opened])
        await self._publish([ended])
        return task.hex()

    async def tasks(
        self, state: service.TaskState | None, limit: int, cursor: str | None
    ) -> service.TaskPage:
        found = [item for item in reversed(self._tasks.values()) if state in (None, item.state)]
        ids = [item.id for item in found]
        start = ids.index(cursor) if cursor in ids else 0
        rest = ids[start + limit : start + limit + 1]
        return service.TaskPage(
            tasks=tuple(found[start : start + limit]), next=rest[0] if rest else None
        )

    async def task(self, prefix: str) -> service.Task:
        found = [item for key, item in self._tasks.items() if key.startswith(prefix)]
        if len(found) != 1:
            raise not_found("task", prefix)
        return found[0]

    async def answer_task(self, prefix: str, paid_ppm: int) -> service.Task:
        return await self._end_task(prefix, "settled", f"paid {paid_ppm}")

    async def cancel_task(self, prefix: str) -> service.Task:
        return await self._end_task(prefix, "cancelled", "")

    async def _end_task(self, prefix: str, state: service.TaskState, reason: str) -> service.Task:
        found = await self.task(prefix)
        ended = msgspec.structs.replace(found, state=state, reason=reason)
        self._tasks[found.id] = ended
        return ended

    async def result(self, prefix: str) -> bytes:
        output = (await self.task(prefix)).output
        assert output is not None
        return self._blobs[output]

    async def stake(
        self, account: str | None, limit: int = 1_000, cursor: str | None = None
    ) -> service.Stake:
        known = list(self._stake.accounts()) if account is None else [parse_peer(account)]
        chosen, following = cut_page(known, bytes.hex, limit, cursor)
        totals = self._stake.totals()
        return service.Stake(
            position=len(self._entries) - 1,
            accounts=tuple(
                service.Account(
                    peer_id=keys.compute_peer_id(key),
                    free=self._stake.get(key, "free"),
                    bonded=self._stake.get(key, "bonded"),
                    locked=self._stake.get(key, "locked"),
                    escrow=self._stake.get(key, "escrow"),
                )
                for key in chosen
            ),
            transit=totals["transit"],
            treasury=totals["treasury"],
            burned=totals["burned"],
            minted=totals["minted"],
            conserved=self._stake.is_conserved(),
            next=following,
        )

    async def transfer(self, to: str, amount: int) -> service.Executed:
        key, free = parse_peer(to), self._stake.get(self._key, "free")
        if free < amount:
            raise Problem("insufficient-credits", f"{free} credits, {amount} are needed")
        moves = (Move(self._key, "free", key, "free", amount),)
        fact = facts.Paid(account=self._key, to=key, amount=amount, moves=moves)
        position = await self._publish([fact])
        return service.Executed(
            operation="00" * 32, position=position, fact=service.describe_fact(fact)
        )

    async def members(self) -> service.Members:
        members = tuple(
            service.CommitteeMember(
                peer_id=member.peer, address=member.address, bonded=member.bond, connected=True
            )
            for member in self._genesis.members
        )
        n = len(members)
        return service.Members(epoch=0, start=0, n=n, f=(n - 1) // 3, q=n, members=members)

    async def join_committee(self, bond: int | None) -> service.Executed:
        raise Problem("already-member", "this account is a member already", status=409)

    async def leave_committee(self) -> service.Executed:
        position = await self._publish([facts.MemberLeft(account=self._key)])
        fact = service.describe_fact(facts.MemberLeft(account=self._key))
        return service.Executed(operation="00" * 32, position=position, fact=fact)

    async def bond(self, amount: int) -> service.Executed:
        moves = (Move(self._key, "free", self._key, "bonded", amount),)
        return await self._do(facts.Bonded(account=self._key, amount=amount, moves=moves))

    async def unbond(self, amount: int) -> service.Executed:
        if self._stake.get(self._key, "bonded") < amount:
            raise Problem("insufficient-bond", "less is bonded than that", status=409)
        return await self._do(facts.UnbondingBegan(account=self._key, amount=amount, due_ms=5))

    async def _do(self, fact: facts.Fact) -> service.Executed:
        position = await self._publish([fact])
        described = service.describe_fact(fact)
        return service.Executed(operation="00" * 32, position=position, fact=described)

    async def views(self) -> tuple[int, bytes]:
        return len(self._entries) - 1, self._document.snapshot()

    @contextmanager
    def watch_views(self) -> "Iterator[FakeViewsWatch]":
        yield FakeViewsWatch(self)

    async def wait_position(self, position: int) -> None:
        async with self._news:
            while len(self._entries) <= position:
                await self._news.wait()

    async def capabilities(self) -> service.Capabilities:
        offered = service.OfferedBy(
            id=CAPABILITY.hex(), name="upper", version="1", agents=(self.peer_id,)
        )
        return service.Capabilities(capabilities=(offered,))

    async def facts(self, position: int, limit: int) -> service.LogPage:
        entries = tuple(self._entries[position : position + limit])
        return service.LogPage(entries=entries, next=position + len(entries))

    async def wait_facts(self, position: int, limit: int) -> service.LogPage:
        await self.wait_position(position)
        return await self.facts(position, limit)

    async def submit_operation(self, statement: bytes) -> service.Accepted:
        self.operations.append(statement)
        return service.Accepted(operation=hashlib.sha256(statement).hexdigest())

    async def shutdown(self) -> None:
        self.stopping.set()


class FakeViewsWatch:
    """The whole document after each entry."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node
        self._next = 0

    async def next(self) -> tuple[int, tuple[bytes, ...]]:
        await self._node.wait_position(self._next)
        position, snapshot = await self._node.views()
        self._next = position + 1
        return position, (snapshot,)


async def serve(home: Home, config: Config) -> None:
    """What node.main.run_node does of the API, on a fake node."""
    genesis = home.load_genesis()
    fake = FakeNode(home.load_peer_id(), genesis)
    listener = bind(config.api.address, config.api.port)
    api = Api(fake, home.load_token())
    async with trio.open_nursery() as nursery:
        port = await nursery.start(api.serve, listener)
        home.write_info(
            NodeInfo(
                pid=os.getpid(),
                peer_id=fake.peer_id,
                network_id=genesis.compute_network_id().hex(),
                api_address=config.api.address,
                api_port=port,
                listen=config.network.listen,
                started_ms=int(time.time() * 1000),
            )
        )
        nursery.start_soon(_watch_signals, fake)
        print("ready", flush=True)
        await fake.stopping.wait()
        api.stop()
        nursery.cancel_scope.deadline = trio.current_time() + 1
    home.remove_info()


async def _watch_signals(fake: FakeNode) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            fake.stopping.set()
            return


def serve_home(path: Path) -> None:
    """Serve until SIGTERM or a shutdown by the API."""
    home = Home(path)
    config = load_config(home.config_path, flags=["api.port=0"])
    with home.lock():
        trio.run(serve, home, config)
