"""Traces of consensus: four members on the product's cores, and what one of them hears and says.

Frames arrive in the order in which they were sent, a millisecond each round; nothing is random.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

import msgspec

from devnet.vectors.economy_traces import describe_difference
from devnet.vectors.form import InvalidVectors
from devnet.vectors.party import Party
from devnet.vectors.places import CLIENT, CREATED_MS, MEMBERS, Seal, digest
from devnet.vectors.trace_form import TRACE_FORMAT, ConsensusTrace, MemberStep
from identity import keys, schema
from identity.errors import EconodeError
from identity.keys import PrivateKey
from node.router import encode_frame
from protocols.economy.operations import OPERATION_KIND, STATEMENT_EPOCH, Operation, Transfer
from protocols.genesis import Allotment, Genesis, Member, Parameters
from protocols.messages import (
    FRAME_BYTES_MAX,
    NEW_VIEW_KIND,
    VIEW_CHANGE_KIND,
    Assigned,
    CarryNewView,
    CarryViewChange,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    Propose,
    Submit,
    ViewChange,
    Votes,
    compute_batch_digest,
)
from protocols.step import Send

TICK_MS = 300
TICKS_MAX = 100
GENESIS = Genesis(
    name="vectors-consensus",
    created_ms=CREATED_MS,
    members=tuple(
        Member(keys.compute_peer_id(key.public), "/ip4/192.0.2.1/tcp/4710", 10_000, 10_000)
        for key in MEMBERS
    ),
    accounts=(Allotment(keys.compute_peer_id(CLIENT.public), 10_000),),
    parameters=Parameters(checkpoint_batches=10),
)
PLACE = GENESIS.make_committee()
HERO = 1
"""Whose trace it is: a backup in view 0, the primary of view 1."""


class Table:
    """The members, what is under way between them, and the record of one."""

    def __init__(self, silent: frozenset[int] = frozenset()) -> None:
        self.parties = [Party(GENESIS, key) for key in MEMBERS]
        self.silent = silent
        """Who neither hears nor says anything."""
        self.now_ms = CREATED_MS + 1_000
        self.record: list[MemberStep] = []
        self.nonce = 0
        self._queue: deque[tuple[int, MemberStep]] = deque()
        for index in range(len(self.parties)):
            self.put(index, MemberStep("start", self.now_ms))
        self.settle()

    def put(self, index: int, step: MemberStep) -> None:
        if index not in self.silent:
            self._queue.append((index, step))

    def send(self, index: int, peer: bytes, frame: bytes) -> None:
        self.put(index, MemberStep("frame", 0, peer=peer.hex(), frame=frame.hex()))

    def settle(self) -> None:
        """Until nothing is under way."""
        while self._queue:
            index, step = self._queue.popleft()
            self.now_ms += 1
            party = self.parties[index]
            found, sends = party.feed(msgspec.structs.replace(step, now_ms=self.now_ms))
            if index == HERO:
                self.record.append(found)
            for send in sends:
                self._post(index, send)
            if found.executed:
                at = found.position_after
                self.put(index, MemberStep("durable", 0, position=at))

    def _post(self, source: int, send: Send) -> None:
        frame, public = encode_frame(send.message), self.parties[source].public
        for index, party in enumerate(self.parties):
            if index != source and send.to in (None, party.public):
                self.send(index, public, frame)

    def tick(self, ticks: int = 1) -> None:
        for _ in range(ticks):
            self.now_ms += TICK_MS
            for index in range(len(self.parties)):
                self.put(index, MemberStep("timer", 0))
            self.settle()

    def submit(self) -> None:
        """The client pays a credit and tells every member."""
        self.nonce += 1
        payload = schema.encode(Operation(self.nonce, Transfer(MEMBERS[0].public, self.nonce)))
        place = (OPERATION_KIND, PLACE.network, PLACE.id, STATEMENT_EPOCH)
        data = Seal(CLIENT, payload, *place).encode()
        frame = encode_frame(Submit(committee=PLACE.id, operations=(data,)))
        for index in range(len(self.parties)):
            self.send(index, CLIENT.public, frame)
        self.settle()

    def until(self, is_done: Callable[[], bool]) -> None:
        for _ in range(TICKS_MAX):
            if is_done():
                return
            self.tick()
        raise AssertionError("it does not come about")


def seal(key: PrivateKey, kind: str, payload: msgspec.Struct) -> Seal:
    return Seal(key, schema.encode(payload), kind, PLACE.network, PLACE.id, PLACE.epoch)


def propose(pre_prepare: bytes) -> bytes:
    """The frame of a proposal of the null batch, under any statement."""
    return encode_frame(
        Propose(committee=PLACE.id, pre_prepare=pre_prepare, time_ms=0, operations=(), clock=())
    )


def say(*statements: bytes) -> bytes:
    return encode_frame(Votes(committee=PLACE.id, statements=statements))


def normal_case() -> Table:
    """Members remember themselves, order a first batch for its clock readings, and a payment."""
    table = Table()
    table.tick()
    table.submit()
    table.until(lambda: table.parties[HERO].chain.get_next_nonce(CLIENT.public) > 1)
    return table


def checkpoint() -> Table:
    """Ten batches, and the checkpoint after them becomes stable."""
    table = normal_case()
    party = table.parties[HERO]
    while party.chain.get_position() < 10:
        table.submit()
    table.until(lambda: party.seat.core.checkpoints.low == 10)
    return table


def view_change() -> Table:
    """The primary falls silent: its backups leave the view, and this member leads the next one."""
    table = normal_case()
    table.silent = frozenset((0,))
    table.submit()
    core = table.parties[HERO].seat.core
    table.until(lambda: table.parties[HERO].chain.get_next_nonce(CLIENT.public) > 2)
    assert core.view > 0
    return table


def lying_primary() -> Table:
    """All others leave for view 2: NEW-VIEWs that do not follow from their VIEW-CHANGEs, or come
    from another member, are refused and change nothing; the right one begins the view."""
    table = Table()
    table.tick()
    others = [index for index in range(len(MEMBERS)) if index != HERO]
    table.silent = frozenset(others)
    leave = ViewChange(2, 0, b"", ())
    changes = {i: seal(MEMBERS[i], VIEW_CHANGE_KIND, leave).encode() for i in others}
    named = tuple(hashlib.sha256(data).digest() for data in changes.values())
    for index, data in changes.items():
        carried = CarryViewChange(committee=PLACE.id, statement=data)
        table.send(HERO, MEMBERS[index].public, encode_frame(carried))
    for index, message in (
        (2, NewView(2, named, (Assigned(1, digest("never prepared")),))),
        (2, NewView(2, named[:2], ())),
        (3, NewView(2, named, ())),
        (2, NewView(2, named, ())),
    ):
        statement = seal(MEMBERS[index], NEW_VIEW_KIND, message).encode()
        carry = CarryNewView(committee=PLACE.id, statement=statement)
        table.send(HERO, MEMBERS[index].public, encode_frame(carry))
    table.settle()
    assert table.parties[HERO].seat.core.views.is_active
    return table


def equivocation() -> Table:
    """The primary proposes two batches at one position, and a backup votes twice: this member
    keeps to what came first, and holds the evidence."""
    table = normal_case()
    seq = table.parties[HERO].chain.get_position() + 1
    for found in (compute_batch_digest(0, ()), digest("other")):
        statement = seal(MEMBERS[0], "pre_prepare", PrePrepare(0, seq, found)).encode()
        table.send(HERO, MEMBERS[0].public, propose(statement))
    for kind, struct in (("prepare", Prepare), ("commit", Commit)):
        more = (CREATED_MS,) if struct is Commit else ()
        votes = (struct(0, seq, digest(text), *more) for text in ("one", "other"))
        said = [seal(MEMBERS[2], kind, each).encode() for each in votes]
        table.send(HERO, MEMBERS[2].public, say(*said))
    table.settle()
    return table


def faults() -> Table:
    """Frames that no honest peer sends: each is refused and changes nothing."""
    table = normal_case()
    seq = table.parties[HERO].chain.get_position() + 1
    commit = seal(MEMBERS[2], "commit", Commit(0, seq, digest("batch"), CREATED_MS))
    good = commit.encode()
    for frame in (
        b"\xff",
        b"\x00",
        b"\xa0",
        say(good[:-1]),
        say(replace(commit, committee=bytes(16)).encode()),
        say(replace(commit, kind="operation").encode()),
        propose(good),
    ):
        table.send(HERO, MEMBERS[2].public, frame)
    table.settle()
    return table


TABLES: dict[str, Callable[[], Table]] = {
    "normal-case": normal_case,
    "checkpoint": checkpoint,
    "view-change": view_change,
    "lying-primary": lying_primary,
    "equivocation": equivocation,
    "faults": faults,
}


def make_traces() -> Iterator[ConsensusTrace]:
    for name, make in TABLES.items():
        yield ConsensusTrace(
            format=TRACE_FORMAT,
            version=1,
            name=name,
            about=" ".join((make.__doc__ or "").split()),
            genesis=schema.encode(GENESIS).hex(),
            seed=MEMBERS[HERO].seed.hex(),
            steps=tuple(make().record),
        )


def replay(trace: ConsensusTrace) -> str | None:
    """What differs first; None when all comes out as told. Raises InvalidVectors."""
    try:
        data = bytes.fromhex(trace.genesis)
        genesis = schema.decode(data, Genesis, size_max=FRAME_BYTES_MAX)
        party = Party(genesis, PrivateKey(bytes.fromhex(trace.seed)))
    except (EconodeError, ValueError) as error:
        raise InvalidVectors(f"{trace.name}: {error}") from None
    for number, step in enumerate(trace.steps):
        found, _ = party.feed(step)
        if found != step:
            return f"step {number}: {describe_difference(step, found)}"
    return None
