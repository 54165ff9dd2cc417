"""The words of consensus scenarios: names for keys, operations, batches and statements, and the
messages that puppets say, honest or forged.

Members are a, b, c, ... in the order of their keys (a leads view 0); x, y, z are clients and o is
a stranger. `x3` is the operation of x with nonce 3; `x3'` is another with that nonce, `x3!` has a
broken signature and `x3@` belongs to another network; with `x3+` x joins, with `b3-` b leaves. A
digest that names no batch is an arbitrary one of its own.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from crdt.log import HEAD_KIND, Head
from identity import envelope, schema
from identity.certificate import Certificate
from identity.envelope import Context, Statement
from identity.keys import PrivateKey
from protocols.committee import Committee
from protocols.economy.operations import (
    OPERATION_KIND,
    Body,
    JoinCommittee,
    LeaveCommittee,
    Operation,
    Transfer,
)
from protocols.messages import (
    Assigned,
    Checkpoint,
    Commit,
    NewView,
    Prepare,
    PreparedProof,
    PrePrepare,
    ViewChange,
    compute_batch_digest,
)
from tests.pbft.world import COMMITTEE, NETWORK, NonceApplication, make_keys

START_MS = 1_000_000
CLIENTS = ("x", "y", "z")
STRANGER = "o"
OTHER_NETWORK = hashlib.sha256(b"another network").digest()
OTHER_COMMITTEE = b"another-committe"


def names(text: str) -> list[str]:
    """`x1..x3,y1` is x1, x2, x3, y1."""
    found: list[str] = []
    for part in filter(None, text.split(",")):
        first, dots, last = part.partition("..")
        if dots:
            head = first.rstrip("0123456789")
            start, end = int(first[len(head) :]), int(last.removeprefix(head))
            found += [f"{head}{index}" for index in range(start, end + 1)]
        else:
            found.append(part)
    return found


def spoil(statement: Statement) -> Statement:
    """The same with one bit of its signature turned over."""
    data = statement.data[:-1] + bytes([statement.data[-1] ^ 1])
    return envelope.parse(data, size_max=len(data))


@dataclass(frozen=True, slots=True)
class Batch:
    """What a proposal carries."""

    time_ms: int
    operations: tuple[bytes, ...]
    clock: tuple[bytes, ...]
    digest: bytes


class Words:
    """Everything that has a name in one scenario."""

    def __init__(self, n: int) -> None:
        members = make_keys(n)
        self.keys: dict[str, PrivateKey] = {chr(ord("a") + i): k for i, k in enumerate(members)}
        self.members = list(self.keys)
        for name in (*CLIENTS, STRANGER):
            self.keys[name] = PrivateKey(hashlib.sha256(name.encode()).digest())
        self.of_bytes = {key.public: name for name, key in self.keys.items()}
        self.batches = {"null": Batch(0, (), (), compute_batch_digest(0, ()))}
        self.of_bytes[self.batches["null"].digest] = "null"
        self.statements: dict[str, Statement] = {}
        self.certs: dict[str, PreparedProof] = {}
        committee = Committee(NETWORK, COMMITTEE, 0, tuple(key.public for key in members))
        self.shadow = NonceApplication(committee)
        self.chain = {0: (self.shadow.get_head(), self.shadow.compute_state_digest())}
        """(head, state digest) after each position that some member has executed."""

    # --- names -------------------------------------------------------------------------------

    def digest(self, name: str) -> bytes:
        if name in self.batches:
            return self.batches[name].digest
        found = hashlib.sha256(name.encode()).digest()
        self.of_bytes[found] = name
        return found

    def call(self, data: bytes) -> str:
        """The name of a key, a digest or an operation; of an unknown digest, a new one."""
        if data not in self.of_bytes:
            count = sum(name.startswith("#") for name in self.of_bytes.values())
            self.of_bytes[data] = f"#{count + 1}"
        return self.of_bytes[data]

    def learn_batch(self, name: str, batch: Batch) -> None:
        self.batches[name] = batch
        self.of_bytes.setdefault(batch.digest, name)

    def call_signers(self, statements: Sequence[bytes]) -> str:
        parsed = [envelope.parse(data, size_max=1 << 20) for data in statements]
        return "".join(sorted(self.call(statement.signer) for statement in parsed))

    # --- operations and batches --------------------------------------------------------------

    def operation(self, name: str) -> bytes:
        bare = name.rstrip("'!@+-")
        nonce = int(bare[1:])
        network = OTHER_NETWORK if name.endswith("@") else NETWORK
        body: Body = Transfer(to=self.keys["a"].public, amount=2 if name.endswith("'") else 1)
        if name.endswith("+"):
            body = JoinCommittee(bond=0)
        elif name.endswith("-"):
            body = LeaveCommittee()
        place = Context(network, COMMITTEE, 0, OPERATION_KIND)
        statement = envelope.sign(self.keys[bare[0]], place, schema.encode(Operation(nonce, body)))
        if name.endswith("!"):
            statement = spoil(statement)
        self.of_bytes[statement.data] = name
        return statement.data

    def make_batch(self, name: str, options: dict[str, str]) -> Batch:
        """`ops=` its operations; `clock=` whose COMMITs at position `at=` carry the `readings=`
        (ms after the start); `time=` instead of their median."""
        operations = tuple(self.operation(op) for op in names(options.get("ops", "")))
        signers = names(options.get("clock", ""))
        readings = [int(ms) for ms in names(options.get("readings", ",".join("0" * len(signers))))]
        clock = []
        for signer, reading in zip(signers, readings, strict=True):
            bad = signer.endswith("!")
            vote = Commit(0, int(options.get("at", "1")), bytes(32), START_MS + reading)
            statement = self.seal(signer.rstrip("!"), options.get("kind", "commit"), vote)
            clock.append((spoil(statement) if bad else statement).data)
        median = START_MS + sorted(readings)[(len(readings) - 1) // 2] if readings else 0
        time_ms = START_MS + int(options["time"]) if "time" in options else median
        digests = [hashlib.sha256(data).digest() for data in operations]
        batch = Batch(time_ms, operations, tuple(clock), compute_batch_digest(time_ms, digests))
        self.learn_batch(name, batch)
        return batch

    # --- statements --------------------------------------------------------------------------

    def seal(self, signer: str, kind: str, payload: Any, **places: Any) -> Statement:
        place = Context(
            places.get("network", NETWORK),
            places.get("committee", COMMITTEE),
            places.get("epoch", 0),
            kind,
        )
        data = payload if isinstance(payload, bytes) else schema.encode(payload)
        statement = envelope.sign(self.keys[signer], place, data)
        self.of_bytes[hashlib.sha256(statement.data).digest()] = signer
        return statement

    def sign(self, signer: str, kind: str, options: dict[str, str]) -> Statement:
        """A statement as honest members sign it, but for `sig=bad`, `network=other`,
        `committee=other`, `epoch=N` and `as=KIND`, the kind its envelope names."""
        payload = schema.encode(self.make_payload(kind, options))
        places: dict[str, Any] = {"epoch": int(options.get("epoch", "0"))}
        if "network" in options:
            places["network"] = OTHER_NETWORK
        if "committee" in options:
            places["committee"] = OTHER_COMMITTEE
        statement = self.seal(signer, options.get("as", kind), payload, **places)
        return spoil(statement) if options.get("sig") == "bad" else statement

    def make_payload(self, kind: str, options: dict[str, str]) -> Any:
        view, seq = int(options.get("v", "0")), int(options.get("s", "0"))
        match kind:
            case "pre_prepare":
                return PrePrepare(view, seq, self.digest(options["d"]))
            case "prepare":
                return Prepare(view, seq, self.digest(options["d"]))
            case "commit":
                clock_ms = START_MS + int(options.get("clock", "0"))
                return Commit(view, seq, self.digest(options["d"]), clock_ms)
            case "checkpoint":
                head, state = self.chain.get(seq, (bytes(32), bytes(32)))
                return Checkpoint(seq, head, self.digest(options["d"]) if "d" in options else state)
            case "head":
                author = OTHER_COMMITTEE if "author" in options else COMMITTEE
                head = self.chain.get(seq, (bytes(32),))[0]
                return Head(author, seq, self.digest(options["d"]) if "d" in options else head)
            case "view_change":
                return self.make_view_change(view, options)
            case "new_view":
                return self.make_new_view(view, options)
        raise ValueError(f"no statement is called {kind}")

    def make_view_change(self, view: int, options: dict[str, str]) -> ViewChange:
        base = int(options.get("base", "0"))
        certificate = b""
        if "signed" in options:
            kind, shown = options.get("proof", HEAD_KIND), options.get("proves", str(base))
            payload = schema.encode(self.make_payload(kind, {**options, "s": shown}))
            place = Context(NETWORK, COMMITTEE, int(options.get("proof_epoch", "0")), kind)
            signatures = {
                self.keys[name].public: envelope.sign(self.keys[name], place, payload).signature
                for name in names(options["signed"])
            }
            certificate = Certificate.collect(place, payload, signatures).encode()
        prepared = tuple(self.certs[name] for name in names(options.get("prepared", "")))
        return ViewChange(view, base, certificate, prepared)

    def make_new_view(self, view: int, options: dict[str, str]) -> NewView:
        changes = tuple(
            hashlib.sha256(self.statements[name].data).digest() for name in names(options["from"])
        )
        pairs = [pair.split(":") for pair in names(options.get("proposals", ""))]
        assigned = tuple(Assigned(int(seq), self.digest(name)) for seq, name in pairs)
        return NewView(view, changes, assigned)

    def make_cert(self, name: str, options: dict[str, str]) -> None:
        """A prepared certificate: `by=` whose PREPAREs, `primary=` who signed the PRE-PREPARE.
        `prepare_v`, `prepare_d` and `pre_d` are what its parts say in place of `v` and `d`."""
        view, seq, digest = int(options["v"]), int(options["s"]), options["d"]
        pre = {"v": str(view), "s": str(seq), "d": options.get("pre_d", digest)}
        back = {
            "v": options.get("prepare_v", str(view)),
            "s": str(seq),
            "d": options.get("prepare_d", digest),
        }
        primary = options.get("primary", self.members[view % len(self.members)])
        prepares = [
            self.sign(who.rstrip("!"), "prepare", {**back, "sig": "bad" if "!" in who else "ok"})
            for who in names(options["by"])
        ]
        self.certs[name] = PreparedProof(
            view=view,
            seq=seq,
            digest=self.digest(digest),
            pre_prepare=self.sign(
                primary.rstrip("!"),
                "pre_prepare",
                {**pre, "sig": "bad" if "!" in primary else "ok"},
            ).data,
            prepares=tuple(statement.data for statement in prepares),
        )
