"""From frames to cores and back: which committee, which message, which core.

No I/O here either: frames and time come in, a `Step` goes out, and the simulator drives this very
file. A frame that no honest peer sends becomes a `Fault` of the peer that delivered it; it never
changes a core's state and never ends the process.
"""

from collections.abc import Iterable, Sequence
from typing import get_args

from crdt.exchange import AntiEntropyMessage
from identity import cbor, envelope, schema
from identity.certificate import Certificate
from identity.envelope import Statement
from identity.errors import InvalidBytes, InvalidSchema
from protocols.blob_messages import Message as BlobMessage
from protocols.economy.semantics import SUPPORTED
from protocols.evidence import TellEvidence
from protocols.messages import (
    CERTIFICATE_BYTES_MAX,
    FRAME_BYTES_MAX,
    NEW_VIEW_KIND,
    PRE_PREPARE_KIND,
    VIEW_CHANGE_BYTES_MAX,
    VIEW_CHANGE_KIND,
    VOTE_BYTES_MAX,
    VOTE_TYPES,
    VOTES_MAX,
    AskMemory,
    AskState,
    Batches,
    CarryNewView,
    CarryViewChange,
    CommitteeMessage,
    FetchBatches,
    FetchBody,
    FetchState,
    GiveBody,
    GiveMemory,
    GiveReceipt,
    GiveState,
    Hop,
    OfferState,
    Propose,
    Status,
    Submit,
    Votes,
    WantReceipt,
)
from protocols.pbft.catch_up import CatchUp
from protocols.pbft.core import Core
from protocols.pbft.epoch import is_over
from protocols.pbft.pool import Request
from protocols.pbft.restore import make_core, restore
from protocols.requests import load_admissible, load_batch
from protocols.step import Certified, Fault, Persist, Send, Step


class _OtherEpoch(Exception):
    """A statement of this committee, but of another of its epochs."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch


class Seat:
    """This node's place in one committee: its consensus core and what keeps it up to date.

    An epoch has a core of its own: `core` and `catch_up` are others once the members changed.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self.catch_up = CatchUp(core)
        self.is_halted = False
        """Its log was forked by a quorum, or goes on by semantics that this program does not know:
        nothing is signed or executed any more, history is still served
        (docs/adr/0018-forks-and-frozen-committees.md, docs/adr/0025-versions.md)."""
        self._later_rows: list[Persist] = []
        """What the vote log holds of epochs that the ledger, put back or lost, does not reach."""

    def load(self, operations: Sequence[bytes]) -> tuple[Request, ...]:
        return load_batch(self.core, operations)

    def restore(self, rows: Iterable[Persist], now_ms: int) -> Step:
        """Continue from the vote log's rows of this committee.

        Where the log ends with the end of an epoch and this member has not entered the next one,
        it goes on with the end.
        """
        rows = list(rows)
        committee, entered = self.core.committee, [row for row in rows if row.kind == "epoch"]
        if committee.epoch and self.core.executed == committee.start:
            former = self.core.application.find_committee(committee.epoch - 1)
            if former is not None and not any(r.epoch >= committee.epoch for r in entered):
                self._set_core(make_core(self.core, former))
        if self.core.committee.semantics > SUPPORTED:  # a newer program was here before
            self.halt()
            return Step()
        epoch = self.core.committee.epoch
        self._later_rows = [row for row in rows if row.epoch > epoch]
        step = restore(self.core, rows, self.load, now_ms)
        for row in entered:  # the ledger may have lost what the vote log kept
            proof = Certificate.decode(row.data, committee.network, size_max=CERTIFICATE_BYTES_MAX)
            if row.seq <= self.core.executed:
                step.certified.append(Certified(committee.id, row.seq, proof))
        return self._go_on(step, now_ms)

    def halt(self) -> None:
        """Take no part any more. Whoever proved the fork proves it after a restart, too; another
        program enters the epoch that this one cannot."""
        self.is_halted = True

    def on_timer(self, now_ms: int) -> Step:
        if self.is_halted:
            return Step()
        return self._go_on(self.catch_up.on_timer(now_ms), now_ms)

    def on_link(self, peer: bytes, is_up: bool, now_ms: int) -> Step:
        """The transport's link to `peer` is there, or broke: a dead primary is left sooner."""
        step = Step()
        if self.is_halted:
            return step
        self.core.suspicion.on_link(peer, is_up, now_ms, step)
        return step

    def set_clock_offset(self, offset_ms: int) -> None:
        """The wall clock reads this much more than the `now_ms` that the cores are given."""
        self.core.clock.offset_ms = offset_ms

    def on_durable(self, position: int, now_ms: int) -> Step:
        """The ledger has synced everything up to `position`."""
        if self.is_halted:
            return Step()
        return self._go_on(self.core.on_durable(position, now_ms), now_ms)

    def on_own_requests(self, requests: Iterable[Request], now_ms: int) -> Step:
        """Operations that this node signed itself."""
        if self.is_halted:
            return Step()
        return self._go_on(self.core.on_requests(requests, now_ms), now_ms)

    def handle(self, peer: bytes, message: CommitteeMessage, now_ms: int) -> Step:
        """Raises InvalidBytes for what no honest peer sends."""
        if self.is_halted:
            if isinstance(message, FetchBatches):
                return self.catch_up.on_fetch(peer, message)
            return Step()
        self.core.views.note_heard(peer, now_ms)
        try:
            step = self._handle(peer, message, now_ms)
        except _OtherEpoch as other:
            step = self.catch_up.on_other_epoch(peer, other.epoch, now_ms)
        return self._go_on(step, now_ms)

    def _go_on(self, step: Step, now_ms: int) -> Step:
        """Enter the next epoch, if the present one is over and this program can execute the next;
        its certificate is durable before anything is said in it."""
        while is_over(self.core):
            former, catch_up = self.core, self.catch_up
            if former.application.get_committee().semantics > SUPPORTED:
                self.halt()
                break
            assert former.end is not None
            assert former.heads.certificate is not None
            self._set_core(make_core(former, former.application.get_committee()))
            committee = self.core.committee
            proof = former.heads.certificate.encode()
            row = Persist(committee.id, "epoch", 0, former.end, proof, committee.epoch)
            step.persist.append(row)
            step.extend(restore(self.core, self._later_rows, self.load, now_ms))
            self.catch_up.follow(catch_up, now_ms, step)
            step.wake(now_ms)
        return step

    def _set_core(self, core: Core) -> None:
        core.suspicion.follow(self.core.suspicion)
        distance = self.catch_up.transfer_batches_min
        self.core = core
        self.catch_up = CatchUp(core)
        self.catch_up.transfer_batches_min = distance

    def _handle(self, peer: bytes, message: CommitteeMessage, now_ms: int) -> Step:
        match message:
            case Votes():
                return self._on_votes(peer, message, now_ms)
            case Propose():
                return self._on_propose(message, now_ms)
            case Submit():
                return self._on_submit(peer, message, now_ms)
            case Status():
                return self.catch_up.on_status(peer, message, now_ms)
            case FetchBatches():
                return self.catch_up.on_fetch(peer, message)
            case Batches():
                return self.catch_up.on_batches(peer, message, self.load, now_ms)
            case AskState():
                return self.catch_up.server.on_ask(peer, message, now_ms)
            case OfferState():
                return self.catch_up.on_offer(peer, message, now_ms)
            case FetchState():
                return self.catch_up.server.on_fetch(peer, message, now_ms)
            case GiveState():
                return self.catch_up.on_chunk(peer, message, now_ms)
            case CarryViewChange():
                statement = self._parse_change(message.statement, VIEW_CHANGE_KIND)
                return self.core.views.on_view_change(statement, now_ms)
            case CarryNewView():
                statement = self._parse_change(message.statement, NEW_VIEW_KIND)
                return self.core.views.on_new_view(statement, now_ms)
            case AskMemory() | GiveMemory() if message.epoch != self.core.committee.epoch:
                raise _OtherEpoch(message.epoch)
            case AskMemory():
                return self.core.memory.on_ask(peer)
            case GiveMemory():
                return self.core.memory.on_answer(peer, message, now_ms)
            case FetchBody():
                return self.core.again.on_fetch_body(peer, message)
            case GiveBody():
                return self.core.again.on_give_body(message, self.load, now_ms)

    def _on_votes(self, peer: bytes, message: Votes, now_ms: int) -> Step:
        step, other = Step(), None
        for data in message.statements:
            try:
                statement = self._parse(data)
                kind = VOTE_TYPES.get(statement.kind)
                if kind is None:
                    raise InvalidSchema(f"{statement.kind[:32]!r} is no vote")
                vote = schema.decode(statement.payload, kind, size_max=VOTE_BYTES_MAX)
                direct = statement.signer == peer
                self.core.on_vote(statement, vote, step, direct=direct, now_ms=now_ms)
            except InvalidBytes as error:
                step.faults.append(Fault(peer, str(error)))
            except _OtherEpoch as found:
                other = found
        if other is not None:
            step.extend(self.catch_up.on_other_epoch(peer, other.epoch, now_ms))
        return step

    def _on_propose(self, message: Propose, now_ms: int) -> Step:
        statement = self._parse(message.pre_prepare)
        if statement.kind != PRE_PREPARE_KIND:
            raise InvalidSchema("a proposal without a PRE-PREPARE")
        return self.core.on_propose(statement, message, self.load, now_ms)

    def _on_submit(self, peer: bytes, message: Submit, now_ms: int) -> Step:
        requests, fault = load_admissible(self.core, message.operations)
        step = self.core.on_requests(requests, now_ms)
        if fault is not None:
            step.faults.append(Fault(peer, str(fault)))
        return step

    def _parse_change(self, data: bytes, kind: str) -> Statement:
        statement = self._parse(data, VIEW_CHANGE_BYTES_MAX)
        if statement.kind != kind:
            raise InvalidSchema(f"not a {kind}")
        return statement

    def _parse(self, data: bytes, size_max: int = VOTE_BYTES_MAX) -> Statement:
        statement = envelope.parse(data, size_max=size_max)
        committee = self.core.committee
        if statement.committee != committee.id:
            raise InvalidSchema("a vote of another committee")
        if statement.epoch != committee.epoch:
            raise _OtherEpoch(statement.epoch)
        return statement


class Router:
    """The seats of a node by committee id."""

    def __init__(self, seats: Iterable[Seat] = ()) -> None:
        self.seats = {seat.core.committee.id: seat for seat in seats}

    def add(self, seat: Seat) -> None:
        """Raises ValueError for a second seat in one committee: it could vote twice."""
        committee = seat.core.committee.id
        if committee in self.seats:
            raise ValueError(f"committee {committee.hex()} has a seat already")
        self.seats[committee] = seat

    def handle(self, peer: bytes, message: CommitteeMessage, now_ms: int) -> Step:
        """One hop message from a peer; faults stand in the step, nothing is raised."""
        seat = self.seats.get(message.committee)
        if seat is None:
            return Step()
        try:
            return seat.handle(peer, message, now_ms)
        except InvalidBytes as error:
            return Step(faults=[Fault(peer, str(error))])

    def on_timer(self, now_ms: int) -> Step:
        step = Step()
        for seat in self.seats.values():
            step.extend(seat.on_timer(now_ms))
        return step

    def on_link(self, peer: bytes, is_up: bool, now_ms: int) -> Step:
        step = Step()
        for seat in self.seats.values():
            step.extend(seat.on_link(peer, is_up, now_ms))
        return step


AnyHop = (
    CommitteeMessage | WantReceipt | GiveReceipt | BlobMessage | AntiEntropyMessage | TellEvidence
)
"""All hop messages there are."""


_HOPS: dict[str, type[AnyHop]] = {
    str(kind.__struct_config__.tag): kind for kind in get_args(AnyHop)
}


def decode_frame(frame: bytes) -> AnyHop:
    """The hop message in a frame. Raises InvalidBytes.

    The class is looked up by its tag: converting to the union itself would cost more than all
    the rest, since msgspec prepares an ad-hoc union anew at each call.
    """
    value = cbor.decode_hop(frame, size_max=FRAME_BYTES_MAX)
    tag = value.get("type") if isinstance(value, dict) else None
    kind = _HOPS.get(tag) if isinstance(tag, str) else None
    if kind is None:
        raise InvalidSchema("a hop message of no known type")
    return schema.convert(value, kind)


def encode_frame(message: Hop | BlobMessage | AntiEntropyMessage | TellEvidence) -> bytes:
    return schema.encode(message)


def pack_votes(step: Step) -> list[Send]:
    """A step's votes joined into as few broadcasts as their bound allows."""
    by_committee: dict[bytes, list[bytes]] = {}
    for committee, statement in step.votes:
        by_committee.setdefault(committee, []).append(statement)
    return [
        Send(None, Votes(committee=committee, statements=tuple(votes[i : i + VOTES_MAX])))
        for committee, votes in by_committee.items()
        for i in range(0, len(votes), VOTES_MAX)
    ]
