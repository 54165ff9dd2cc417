"""One committee behind the local API: `CommitteeService` over ledger, chain and account."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import trio

from crdt import facts
from crdt.facts import decode_fact
from crdt.tasks import TaskRow
from identity.errors import InvalidBytes
from identity.keys import compute_peer_id, parse_peer_id
from node import service
from node.account import Ordered, Refused
from node.blob_store import BlobAbsent, StoreFull
from node.blobs import BlobUnavailable
from node.crossing_service import list_borders
from node.driver import read_clock_ms
from node.pages import cut_page
from node.place import Place
from node.place_views import PlaceViews
from node.problem import Problem, not_found
from node.receipts import NotHeld
from node.refusals import explain_reason, explain_refusal
from node.service import TaskRequest, TaskState
from node.task_options import PLAIN, TaskOptions, TaskScore
from node.task_specs import make_specs
from node.upgrades import explain_outdated, list_outdated
from node.version import get_version
from protocols.economy.model import compute_task_id
from protocols.economy.operations import (
    AnyBody,
    Bond,
    JoinCommittee,
    LeaveCommittee,
    OpenTasks,
    Transfer,
    Unbond,
)
from protocols.economy.operations_tasks import AcceptWork, CancelTask
from protocols.economy.semantics import SUPPORTED
from protocols.messages import Submit
from protocols.requests import parse_request
from protocols.step import Certified, Send, Step

OwnFact = facts.MemberJoined | facts.MemberLeft | facts.Bonded | facts.UnbondingBegan
RESULT_SECONDS_MAX = 60.0
PAGE_BYTES_MAX = 64 * 1024 * 1024


class PlaceService(PlaceViews):
    """What this node's owner can ask and do in one committee. See `CommitteeService` for the
    contract."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._executed = trio.Event()
        self._certified = trio.Event()
        self._proven = place.seat.core.heads.certified
        place.node.driver.add_listener(place.id, self)

    # --- the driver's listener ----------------------------------------------------------------

    def on_executed(self, _: object) -> None:
        self._executed.set()
        self._executed = trio.Event()
        self._place.views.announce()

    def on_transferred(self, _: object) -> None:
        self.on_executed(_)

    def on_certified(self, certified: Certified) -> None:
        self._proven = certified.position
        self._certified.set()
        self._certified = trio.Event()

    async def wait_certified(self, position: int) -> None:
        """Until the entry at `position` is proven by a certificate that the ledger holds: the core
        knows it earlier."""
        while self._proven < position:
            await self._certified.wait()
        await self._node.ledger.flush()

    # --- the committee ------------------------------------------------------------------------

    async def status(self) -> service.Status:
        await trio.lowlevel.checkpoint()
        node, place = self._node, self._place
        core = place.seat.core
        roles = ["member" if core.is_member else "observer"]
        if place.chain.state.get_offer(core.me) is not None:
            roles.append("agent")
        if core.memory.is_observing():
            roles.append("observing")
        return service.Status(
            peer_id=compute_peer_id(node.key.public),
            network=node.genesis.name,
            network_id=node.network.hex(),
            committee=self._committee.hex(),
            epoch=place.committee.epoch,
            committee_name=place.name,
            version=get_version(),
            n=place.committee.n,
            f=place.committee.f,
            q=place.committee.q,
            view=core.view,
            primary=compute_peer_id(place.committee.get_primary(core.view)),
            position=core.executed,
            head=place.chain.get_head().hex(),
            state_root=place.chain.compute_state_digest().hex(),
            logs_root=node.logs.replica.get_root().hex(),
            stable_checkpoint=core.checkpoints.low,
            certified_position=core.heads.certified,
            connected_peers=sum(link.connected for link in node.transport.links()),
            agreed_time_ms=place.chain.get_time_ms(),
            pending_operations=len(core.pool),
            faults=node.transport.faults.total,
            rss_bytes=_read_rss_bytes(),
            uptime_s=(read_clock_ms() - node.started_ms) / 1000,
            frozen_borders=tuple(b.committee for b in list_borders(place) if b.frozen),
            roles=tuple(roles),
            alarms=(*node.docket.list_alarms(), *list_outdated(node.places.values())),
            semantics=place.chain.state.committee.semantics,
        )

    # --- tasks --------------------------------------------------------------------------------

    async def submit_tasks(
        self,
        tasks: Sequence[TaskRequest],
        budget: int,
        duration_ms: int,
        options: TaskOptions = PLAIN,
    ) -> service.TasksSubmitted:
        node, place = self._node, self._place
        specs = make_specs(place, tasks, budget, duration_ms, options)
        others = [key for key in place.committee.members if key != node.key.public]
        try:
            receipts = await place.receipts.gather(
                {spec.input: spec.input_bytes for spec in specs}, others
            )
        except NotHeld as error:
            raise Problem(
                "inputs-not-held",
                str(error),
                remedy="see `econode peers`: are enough members connected?",
                status=503,
            ) from None
        ordered = await self.order(OpenTasks(tuple(specs), tuple(receipts), options.pool))
        nonce = ordered.request.operation.nonce
        ids = [
            compute_task_id(node.network, place.id, node.key.public, nonce, i).hex()
            for i in range(len(specs))
        ]
        opened = {f.task.hex() for f in ordered.facts if isinstance(f, facts.TaskOpened)}
        return service.TasksSubmitted(
            tasks=tuple(task for task in ids if task in opened), position=ordered.position
        )

    async def tasks(
        self, state: TaskState | None, limit: int, cursor: str | None
    ) -> service.TaskPage:
        after = bytes.fromhex(cursor) if cursor else None
        rows = await self._node.ledger.read_tasks(
            self._committee, count_max=limit, after=after, state=state
        )
        following = rows[-1].task.hex() if len(rows) == limit else None
        return service.TaskPage(tasks=tuple(map(self.describe_task, rows)), next=following)

    async def task(self, prefix: str) -> service.Task:
        return self.describe_task(await self._find_task(prefix))

    async def result(self, prefix: str) -> bytes:
        node, row = self._node, await self._find_task(prefix)
        if row.output is None:
            raise Problem(
                "no-result",
                f"task {row.task.hex()[:16]} has no result: it is {row.state}",
                remedy="`econode task show` tells how far it is",
                status=409,
            )
        keys = [row.holders[i : i + 32] for i in range(0, len(row.holders), 32)]
        holders = [key for key in keys if key != node.key.public]
        with trio.move_on_after(RESULT_SECONDS_MAX):
            try:
                return await node.blobs.fetch(row.output, row.output_bytes, holders)
            except (BlobUnavailable, BlobAbsent, StoreFull) as error:
                raise Problem("result-unavailable", str(error), status=503) from None
        raise Problem("result-unavailable", "no holder delivered it in time", status=503)

    def _check_own_task(self, row: TaskRow) -> None:
        """Raises Problem where the committee would refuse, for a fee, whatever is said of it."""
        task = self._place.chain.state.get_task(row.task)
        if task is None:
            raise explain_reason("unknown_task", f"the task has ended: it is {row.state}")
        if task.requester != self._node.key.public:
            raise explain_reason("not_requester")

    async def answer_task(self, prefix: str, paid_ppm: int) -> service.Task:
        row = await self._find_task(prefix)
        self._check_own_task(row)
        await self.order(AcceptWork(row.task, row.round, paid_ppm))
        return await self.task(row.task.hex())

    async def cancel_task(self, prefix: str) -> service.Task:
        row = await self._find_task(prefix)
        self._check_own_task(row)
        await self.order(CancelTask(row.task))
        return await self.task(row.task.hex())

    async def capabilities(self) -> service.Capabilities:
        await trio.lowlevel.checkpoint()
        known: dict[bytes, tuple[facts.OfferedCapability, list[str]]] = {}
        for agent, offered in self._place.chain.state.offers():
            for item in offered:
                known.setdefault(item.id, (item, []))[1].append(compute_peer_id(agent))
        return service.Capabilities(
            capabilities=tuple(
                service.OfferedBy(
                    id=item.id.hex(), name=item.name, version=item.version, agents=tuple(agents)
                )
                for item, agents in known.values()
            )
        )

    # --- credits ------------------------------------------------------------------------------

    async def stake(
        self,
        account: str | None,
        limit: int = service.ACCOUNTS_PER_PAGE_MAX,
        cursor: str | None = None,
    ) -> service.Stake:
        await trio.lowlevel.checkpoint()
        view, totals = self._place.chain.state.stake, self._place.chain.state.stake.totals()
        known = list(view.accounts()) if account is None else [parse_peer_id(account)]
        keys, following = cut_page(known, bytes.hex, limit, cursor)
        return service.Stake(
            position=self._place.chain.get_position(),
            accounts=tuple(
                service.Account(
                    peer_id=compute_peer_id(key),
                    free=view.get(key, "free"),
                    bonded=view.get(key, "bonded"),
                    locked=view.get(key, "locked"),
                    escrow=view.get(key, "escrow"),
                    unbondings=tuple(
                        service.Unbonding(amount=each.amount, due_ms=each.due_ms)
                        for each in self._place.chain.state.unbondings(key)
                    ),
                )
                for key in keys
            ),
            transit=totals["transit"],
            treasury=totals["treasury"],
            burned=totals["burned"],
            minted=totals["minted"],
            conserved=view.is_conserved(),
            next=following,
        )

    async def transfer(self, to: str, amount: int) -> service.Executed:
        target = parse_peer_id(to)
        ordered = await self.order(Transfer(to=target, amount=amount))
        me = self._node.key.public
        paid = next(
            fact
            for fact in ordered.facts
            if isinstance(fact, facts.Paid)
            and (fact.account, fact.to, fact.amount) == (me, target, amount)
        )
        return service.Executed(
            operation=ordered.request.digest.hex(),
            position=ordered.position,
            fact=service.describe_fact(paid),
        )

    async def members(self) -> service.Members:
        await trio.lowlevel.checkpoint()
        node, state, now = self._node, self._place.chain.state, self._place.committee
        connected = {link.peer for link in node.transport.links() if link.connected}
        addresses = {peer.public_key: peer.multiaddr for peer in node.list_peers()}
        return service.Members(
            epoch=now.epoch,
            start=now.start,
            n=now.n,
            f=now.f,
            q=now.q,
            members=tuple(
                service.CommitteeMember(
                    peer_id=compute_peer_id(key),
                    address=addresses.get(key, ""),
                    bonded=state.stake.get(key, "bonded"),
                    connected=key in connected or key == node.key.public,
                )
                for key in now.members
            ),
        )

    async def join_committee(self, bond: int | None) -> service.Executed:
        node, state = self._node, self._place.chain.state
        if bond is None:
            bonded = state.get_standing_bond(node.key.public)
            bond = max(0, state.parameters.member_bond_min - bonded)
        ordered = await self.order(JoinCommittee(bond=bond, semantics=SUPPORTED))
        return self._describe_own(ordered, facts.MemberJoined)

    async def leave_committee(self) -> service.Executed:
        return self._describe_own(await self.order(LeaveCommittee()), facts.MemberLeft)

    def _describe_own(self, ordered: Ordered, kind: type[OwnFact]) -> service.Executed:
        me = self._node.key.public
        found = (fact for fact in ordered.facts if isinstance(fact, kind) and fact.account == me)
        return service.Executed(
            operation=ordered.request.digest.hex(),
            position=ordered.position,
            fact=service.describe_fact(next(found)),
        )

    async def bond(self, amount: int) -> service.Executed:
        return self._describe_own(await self.order(Bond(amount=amount)), facts.Bonded)

    async def unbond(self, amount: int) -> service.Executed:
        return self._describe_own(await self.order(Unbond(amount=amount)), facts.UnbondingBegan)

    async def views(self) -> tuple[int, bytes]:
        return await self._place.views.read()

    # --- the log ------------------------------------------------------------------------------

    async def facts(self, position: int, limit: int) -> service.LogPage:
        batches = await self._node.ledger.read_batches(
            self._committee, position, count_max=limit, bytes_max=PAGE_BYTES_MAX
        )
        certified = self._place.seat.core.heads.certified
        entries = tuple(
            service.LogEntry(
                position=batch.position,
                time_ms=batch.entry.header.time_ms,
                hash=batch.entry.header.hash().hex(),
                certified=batch.position <= certified,
                facts=tuple(service.describe_fact(decode_fact(i)) for i in batch.entry.items),
            )
            for batch in batches
        )
        gaps = await self._node.ledger.read_gaps(self._committee)
        return service.LogPage(
            entries=entries,
            next=entries[-1].position + 1 if entries else position,
            not_held=service.choose_gaps(gaps, position, entries, limit),
        )

    async def wait_facts(self, position: int, limit: int) -> service.LogPage:
        while True:
            executed = self._executed
            if position <= self._place.chain.get_position():
                await self._node.ledger.flush()
                page = await self.facts(position, limit)
                if page.entries:  # else it stands in a gap, and nothing behind that yet
                    return page
            await executed.wait()

    async def submit_operation(self, statement: bytes) -> service.Accepted:
        await trio.lowlevel.checkpoint()
        node = self._node
        self._check_operation(statement)
        hop = Submit(committee=self._committee, operations=(statement,))

        def submit(now_ms: int) -> Step:
            step = node.driver.router.handle(node.key.public, hop, now_ms)
            step.sends.append(Send(None, hop))
            return step

        node.driver.post(submit)
        return service.Accepted(operation=hashlib.sha256(statement).hexdigest())

    def _check_operation(self, statement: bytes) -> None:
        """Say at once what every member would refuse without a word."""
        node, place = self._node, self._place
        try:
            request, parsed = parse_request(statement, place.committee)
            parsed.check(node.network)
        except InvalidBytes as error:
            raise Problem("invalid-operation", str(error)) from None
        obstacle = place.chain.admit(request.signer, request.operation)
        if obstacle is not None:
            raise Problem(
                "not-admitted",
                f"no member would order it: {obstacle.replace('_', ' ')}",
                remedy="see the account with `econode stake show`; nonces count from 1, in order",
                status=409,
            )

    async def order(self, body: AnyBody) -> Ordered:
        """Have an operation executed. Raises Problem for one that is refused."""
        outdated = explain_outdated(self._place)
        if outdated is not None:
            raise outdated
        if self._place.seat.is_halted:
            raise Problem(
                "committee-halted",
                f"committee {self._place.name} certified two heads at one position: it is halted",
                remedy="see `econode evidence list`; its members must agree how to go on",
                status=503,
            )
        return await self.finish(await self._place.account.submit(body))

    async def finish(self, ordered: Ordered) -> Ordered:
        """Wait until what was sent is executed. Raises Problem when it is refused."""
        try:
            await ordered.wait()
            await self._node.ledger.flush()  # what is asked next is read from there
        except Refused as refused:
            raise explain_refusal(refused) from None
        return ordered

    # --- small ones ---------------------------------------------------------------------------

    async def _find_task(self, prefix: str) -> TaskRow:
        rows = await self._node.ledger.find_tasks(self._committee, prefix)
        if not rows:
            raise not_found("task", prefix, "`econode task list` shows those there are")
        if len(rows) > 1:
            raise Problem(
                "ambiguous", f"several tasks begin with {prefix}", remedy="give more digits"
            )
        return rows[0]

    def describe_task(self, row: TaskRow) -> service.Task:
        names = {
            item.id: item.name for _, items in self._place.chain.state.offers() for item in items
        }
        keys = [row.verifiers[i : i + 32] for i in range(0, len(row.verifiers), 32)]
        return service.Task(
            id=row.task.hex(),
            state=row.state,  # type: ignore[arg-type]
            capability=names.get(row.capability, row.capability.hex()),
            requester=compute_peer_id(row.requester),
            input=row.input.hex(),
            input_bytes=row.input_bytes,
            budget=row.budget,
            deadline_ms=row.deadline_ms,
            round=row.round,
            executor=None if row.winner is None else compute_peer_id(row.winner),
            price=row.price,
            grade=row.grade,
            output=None if row.output is None else row.output.hex(),
            output_bytes=row.output_bytes or None,
            verifiers=tuple(map(compute_peer_id, keys)),
            opened_ms=row.opened_ms,
            ended_ms=row.ended_ms,
            reason=row.reason,
            verification=row.verification,
            progress_ppm=row.progress_ppm,
            scores=tuple(
                TaskScore(judge=compute_peer_id(row.scores[i : i + 32]), score=row.scores[i + 32])
                for i in range(0, len(row.scores), 33)
            ),
            score=row.score,
        )


def _read_rss_bytes() -> int:
    """Resident memory of this process (proc(5), /proc/self/statm: the second field, in pages)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
