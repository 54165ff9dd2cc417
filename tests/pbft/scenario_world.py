"""Commands of consensus scenarios on a small world: some members are real, the others puppets.

    world n=4 real=b [memory=unknown] [durable=by_hand]     `real=all`: no puppets
    batch NAME ops=x1,x2 clock=a,c,d at=1 [readings=..] [time=..]       see Words.make_batch
    cert NAME v=0 s=1 d=BATCH by=b,c                        a prepared certificate
    sign NAME SIGNER KIND field=value ...                   keep a statement
    say SIGNER,.. KIND field=value ... [by=PEER] [to=REAL] [times=N]  deliver one
    say NAME,.. [by=PEER]                                   deliver kept ones
    propose SIGNER BATCH v=0 s=1 [by=PEER] [body=BATCH] [d=..] [noclock=1]
    submit x1,x2 [by=PEER]
    status a,c executed=5 [waiting=1] [complains=1] [v=] [left=1] [..]
    link PEER down|up                the real member's link to a puppet breaks, or is there
    fetch PEER s=1                   batches PEER 1:BATCH,2:null proof=acd [proof_d=] [views=0,0,1]
    ask_memory PEER                  give_memory PEER,.. highest=5 [shows=NAME,..] [change=NAME]
    fetch_body PEER s=1 d=BATCH      give_body PEER BATCH s=1 [d=..]
    rounds N                         puppets order N null batches, heads and checkpoints too
    order BATCH                      the same with this one
    foresee BATCH                    what follows from it is known before it is executed
    answer [by=c,d] [only=prepare]   puppets vote for what a real primary has proposed
    wait MS [heard=a,c]              time passes; those were heard of just before; the timers run
    durable                          the ledger has synced (with durable=by_hand)
    restart [memory=unknown] | save | rollback [memory=unknown]
    deadline MS                      something falls due so long after the start
    unfunded x                       admission refuses what x has beyond its first operation
    show                             where the real members stand
    deliver a>b [COUNT] | drop a>b | cut a>b,.. | heal | settle | crash a     between real ones

Statements of puppets are signed with their true keys, so a forged one differs from an honest one
in what its command says and in nothing else.
"""

from collections import defaultdict, deque
from typing import Any

from crdt.log import HEAD_KIND
from identity import cbor, envelope, schema
from identity.errors import EconodeError
from node.router import encode_frame
from protocols.messages import (
    AskMemory,
    Batches,
    CarryNewView,
    CarryViewChange,
    CommittedBatch,
    FetchBatches,
    FetchBody,
    GiveBody,
    GiveMemory,
    Hop,
    PrePrepare,
    Propose,
    Status,
    Submit,
    Votes,
)
from protocols.step import Step
from tests.pbft.scenario_trace import Teller
from tests.pbft.scenario_words import START_MS, Words, names
from tests.pbft.world import CHECKPOINT_BATCHES, COMMITTEE, Node, World

KINDS = ("pre_prepare", "prepare", "commit", "checkpoint", HEAD_KIND, "view_change", "new_view")
ANSWERS_MAX = 20
"""Proposals in a row that one `answer` votes for."""


class ScenarioWorld(World):
    """A world that tells its steps."""

    def __init__(self, n: int) -> None:
        self.words = Words(n)
        self.lines: list[str] = []
        self.teller: Teller | None = None
        self.proposed: list[tuple[int, int, bytes]] = []
        super().__init__(n)
        self.queues = defaultdict(deque, self.queues)
        self.teller = Teller(self.words, self.committee)

    def note(self, node: Node, step: Step) -> None:
        if self.teller is None:
            return
        prefix = ""
        if sum(other.is_up for other in self.nodes) > 1:
            prefix = f"{self.words.call(node.key.public)}: "
        self.lines += [prefix + line for line in self.teller.tell(step)]
        for send in step.sends:
            if isinstance(send.message, Propose) and send.to is None:
                statement = envelope.parse(send.message.pre_prepare, size_max=1 << 10)
                message = schema.decode(statement.payload, PrePrepare, size_max=1 << 10)
                self.proposed.append((message.view, message.seq, message.digest))
            if isinstance(send.message, CarryViewChange | CarryNewView):
                self.keep(node, send.message.statement)
        for _, data in step.votes:
            self.keep(node, data)
        shadow, chain = self.words.shadow, self.words.chain
        for done in step.executed:
            if done.seq == shadow.position + 1:
                requests = node.seat.load(done.operations)
                shadow.execute(done.seq, done.time_ms, done.digest, requests)
                chain[done.seq] = (shadow.get_head(), shadow.compute_state_digest())
                self.words.of_bytes.setdefault(chain[done.seq][0], f"head{done.seq}")
                self.words.of_bytes.setdefault(chain[done.seq][1], f"state{done.seq}")

    def keep(self, node: Node, data: bytes) -> None:
        """Name a real member's own statement: `b.prepare.0.2`, `b.view_change.1`, `b.head.2`."""
        statement = envelope.parse(data, size_max=1 << 20)
        if statement.signer == node.key.public:
            fields = cbor.decode(statement.payload, size_max=1 << 20)
            places = [str(fields[key]) for key in ("view", "seq", "position") if key in fields]
            name = ".".join([self.words.call(statement.signer), statement.kind, *places])
            self.words.statements[name] = statement


class Commands:
    """The verbs; each returns nothing and leaves its trace in the world's lines."""

    world: ScenarioWorld

    def __init__(self) -> None:
        self.saved: tuple[dict[Any, Any], list[Any]] = ({}, [])
        self.knows_memory = True

    def run(self, line: str) -> list[str]:
        verb, *rest = line.split()
        options = dict(word.split("=", 1) for word in rest if "=" in word)
        arguments = [word for word in rest if "=" not in word]
        lines: list[str] = []
        if verb != "world":
            self.world.lines = lines
        try:
            getattr(self, f"do_{verb}")(*arguments, **options)
        except EconodeError as error:
            self.world.lines.append(f"stop {type(error).__name__}: {error}")
        lines, self.world.lines = self.world.lines, []
        return lines

    # --- parts -------------------------------------------------------------------------------

    @property
    def words(self) -> Words:
        return self.world.words

    def real(self, name: str | None = None) -> Node:
        if name is None:
            return next(node for node in self.world.nodes if node.is_up)
        return self.world.get(self.words.keys[name].public)

    def is_up(self, name: str) -> bool:
        return self.real(name).is_up

    def puppets(self) -> list[str]:
        return [name for name in self.words.members if not self.is_up(name)]

    def hand(self, peer: str, hop: Hop, to: str | None = None) -> None:
        self.world.deliver(self.words.keys[peer].public, self.real(to), encode_frame(hop))

    def tell_place(self, node: Node) -> str:
        core = node.seat.core
        epoch = f"epoch {core.committee.epoch} " if core.committee.epoch else ""
        sign = "signs" if core.memory.may_sign() else "silent"
        return (
            f"{epoch}v{core.view} {'active' if core.views.is_active else 'left'}"
            f" executed={core.executed} certified={core.heads.certified}"
            f" stable={core.checkpoints.low} {sign}"
        )

    def places(self) -> list[str]:
        return [self.tell_place(node) for node in self.world.nodes if node.is_up]

    # --- the world ---------------------------------------------------------------------------

    def do_world(self, n: str, real: str, memory: str = "", durable: str = "") -> None:
        world = self.world = ScenarioWorld(int(n))
        if real != "all":
            for name, node in zip(self.words.members, world.nodes, strict=True):
                if name != real:
                    node.crash()
            self.knows_memory = memory != "unknown"
            self.remember()
        else:
            world.settle()
        for node in world.nodes:
            node.is_durable_at_once = durable != "by_hand"
        place = world.committee
        world.lines = [f"f={place.f} q={place.q} primary={self.words.call(place.get_primary(0))}"]

    def remember(self) -> None:
        """Puppets answer AskMemory: they know of nothing that was forgotten."""
        if self.knows_memory:
            kept, self.world.lines = self.world.lines, []
            for name in self.puppets():
                self.do_give_memory(name, highest="0")
            self.world.lines = kept + [
                line for line in self.world.lines if not line.endswith("ask_memory")
            ]

    def do_wait(self, time_ms: str, heard: str = "") -> None:
        self.world.now_ms += int(time_ms)
        for name in names(heard):
            node = self.real()
            node.seat.core.views.note_heard(self.words.keys[name].public, self.world.now_ms)
        for node in self.world.nodes:
            if node.is_up:
                node.drive(node.seat.on_timer(self.world.now_ms))

    def do_link(self, peer: str, state: str) -> None:
        node = self.real()
        key = self.words.keys[peer].public
        node.drive(node.seat.on_link(key, state == "up", self.world.now_ms))

    def do_durable(self) -> None:
        node = self.real()
        node.drive(node.seat.on_durable(node.ledger[-1].seq, self.world.now_ms))

    def do_deadline(self, time_ms: str) -> None:
        for node in self.world.nodes:
            node.application.deadline_ms = START_MS + int(time_ms)

    def do_show(self) -> None:
        self.world.lines += self.places()

    def do_restart(self, memory: str = "") -> None:
        node = self.real()
        node.crash()
        self.knows_memory = memory != "unknown"
        node.start()
        self.remember()

    def do_save(self) -> None:
        node = self.real()
        self.saved = dict(node.rows), list(node.ledger)

    def do_rollback(self, memory: str = "") -> None:
        node = self.real()
        node.rows, node.ledger = dict(self.saved[0]), list(self.saved[1])
        self.do_restart(memory)

    # --- what puppets say --------------------------------------------------------------------

    def do_batch(self, name: str, **options: str) -> None:
        self.words.make_batch(name, options)

    def do_cert(self, name: str, **options: str) -> None:
        self.words.make_cert(name, options)

    def do_sign(self, name: str, signer: str, kind: str, **options: str) -> None:
        self.words.statements[name] = self.words.sign(signer, kind, options)

    def do_say(
        self,
        who: str,
        kind: str = "",
        by: str = "",
        to: str | None = None,
        times: str = "1",
        **options: str,
    ) -> None:
        for name in names(who):
            if kind:
                statement = self.words.sign(name, kind, options)
            else:
                statement = self.words.statements[name]
            sort = kind or statement.kind
            hop: Hop
            if sort == "view_change":
                hop = CarryViewChange(committee=COMMITTEE, statement=statement.data)
            elif sort == "new_view":
                hop = CarryNewView(committee=COMMITTEE, statement=statement.data)
            else:
                hop = Votes(committee=COMMITTEE, statements=(statement.data,))
            for _ in range(int(times)):
                self.hand(by or self.words.call(statement.signer), hop, to)

    def do_propose(
        self, signer: str, name: str, by: str = "", body: str = "", **options: str
    ) -> None:
        statement = self.words.sign(signer, "pre_prepare", {"d": name, **options})
        batch = self.words.batches[body or name]
        hop = Propose(
            committee=COMMITTEE,
            pre_prepare=statement.data,
            time_ms=batch.time_ms,
            operations=batch.operations,
            clock=() if "noclock" in options else batch.clock,
        )
        self.hand(by or signer, hop)

    def do_submit(self, which: str, by: str = "", to: str | None = None) -> None:
        found = names(which)
        operations = tuple(self.words.operation(name) for name in found)
        peer = by or found[0][0]
        for name in [to] if to else [name for name in self.words.members if self.is_up(name)]:
            self.hand(peer, Submit(committee=COMMITTEE, operations=operations), name)

    def do_status(self, who: str, to: str | None = None, **options: str) -> None:
        for name in names(who):
            status = Status(
                committee=COMMITTEE,
                epoch=int(options.get("epoch", "0")),
                view=int(options.get("v", "0")),
                active="left" not in options,
                stable=int(options.get("stable", "0")),
                executed=int(options.get("executed", "0")),
                certified=int(options.get("certified", "0")),
                waiting="waiting" in options,
                complains="complains" in options,
            )
            self.hand(name, status, to)

    def do_fetch(self, peer: str, s: str) -> None:
        self.hand(peer, FetchBatches(committee=COMMITTEE, start=int(s)))

    def do_batches(
        self, peer: str, which: str, proof: str, views: str = "", proof_d: str = "", **options: str
    ) -> None:
        found = []
        for pair in names(which):
            seq, name = pair.split(":")
            batch = self.words.batches[name]
            of_signer = names(views) or ["0"] * len(proof)
            votes = [
                self.words.sign(
                    who, "commit", {"v": view, "s": seq, "d": proof_d or name, **options}
                ).data
                for who, view in zip(proof, of_signer, strict=True)
            ]
            found.append(CommittedBatch(int(seq), batch.time_ms, batch.operations, tuple(votes)))
        self.hand(peer, Batches(committee=COMMITTEE, batches=tuple(found)))

    def do_ask_memory(self, peer: str) -> None:
        self.hand(peer, AskMemory(committee=COMMITTEE, epoch=0))

    def do_give_memory(self, who: str, highest: str, shows: str = "", change: str = "") -> None:
        for peer in names(who):
            answer = GiveMemory(
                committee=COMMITTEE,
                epoch=0,
                highest=int(highest),
                statements=tuple(self.words.statements[name].data for name in names(shows)),
                view_change=self.words.statements[change].data if change else b"",
            )
            self.hand(peer, answer)

    def do_fetch_body(self, peer: str, s: str, d: str) -> None:
        self.hand(peer, FetchBody(committee=COMMITTEE, seq=int(s), digest=self.words.digest(d)))

    def do_give_body(self, peer: str, name: str, s: str) -> None:
        batch = self.words.batches[name]
        answer = GiveBody(
            committee=COMMITTEE, seq=int(s), time_ms=batch.time_ms, operations=batch.operations
        )
        self.hand(peer, answer)

    # --- whole rounds ------------------------------------------------------------------------

    def do_rounds(self, count: str, v: str = "0") -> None:
        """The puppets' primary orders null batches and all votes come; told in one line."""
        for _ in range(int(count)):
            self.do_order("null", v)

    def do_order(self, name: str, v: str = "0") -> None:
        """The same with one batch."""
        primary = self.words.call(self.world.committee.get_primary(int(v)))
        seq = self.real().seat.core.executed + 1
        self.do_propose(primary, name, v=v, s=str(seq))
        self.vote(int(v), seq, name, self.puppets(), ("prepare", "commit"))
        self.finish(seq)
        self.world.lines = self.places()

    def do_foresee(self, name: str) -> None:
        """The head and the state after one more batch (without operations) are known."""
        batch, shadow = self.words.batches[name], self.words.shadow
        seq = shadow.position + 1
        shadow.execute(seq, batch.time_ms, batch.digest, ())
        self.words.chain[seq] = (shadow.get_head(), shadow.compute_state_digest())

    def do_answer(self, by: str = "", only: str = "") -> None:
        """The puppets vote for what a real primary proposes until it has no more, and, unless
        `only=` one phase is wanted, for the heads and checkpoints that follow."""
        voters = names(by) or self.puppets()
        for _ in range(ANSWERS_MAX):
            proposed, self.world.proposed = self.world.proposed, []
            for view, seq, digest in proposed:
                name = self.words.call(digest)
                self.vote(view, seq, name, voters, (only,) if only else ("prepare", "commit"))
                if not only:
                    self.finish(seq)
            if only == "prepare":
                self.world.proposed = proposed
                return

    def vote(
        self, view: int, seq: int, name: str, voters: list[str], phases: tuple[str, ...]
    ) -> None:
        primary = self.words.call(self.world.committee.get_primary(view))
        clock = str(self.world.now_ms - START_MS)
        for phase in phases:
            for voter in voters:
                if phase == "prepare" and voter == primary:
                    continue
                place = {"v": str(view), "s": str(seq), "d": name}
                self.do_say(
                    voter, phase, **place, **({"clock": clock} if phase == "commit" else {})
                )

    def finish(self, seq: int) -> None:
        for name in self.puppets():
            if seq in self.words.chain:
                self.do_say(name, HEAD_KIND, s=str(seq))
                if seq % CHECKPOINT_BATCHES == 0:
                    self.do_say(name, "checkpoint", s=str(seq))

    # --- between real members ----------------------------------------------------------------

    def pairs(self, text: str) -> list[tuple[bytes, bytes]]:
        found = [pair.split(">") for pair in names(text)]
        return [(self.words.keys[a].public, self.words.keys[b].public) for a, b in found]

    def do_deliver(self, pair: str, count: str = "1") -> None:
        ((source, target),) = self.pairs(pair)
        for _ in range(int(count)):
            frame = self.world.queues[source, target].popleft()
            self.world.deliver(source, self.world.get(target), frame)

    def do_drop(self, text: str) -> None:
        for pair in self.pairs(text):
            self.world.queues[pair].clear()

    def do_cut(self, text: str) -> None:
        self.world.cut |= set(self.pairs(text))

    def do_heal(self) -> None:
        self.world.cut.clear()

    def do_settle(self, ms: str = "") -> None:
        """Deliver until nothing is under way (with `ms=`, over so much time); of the trace only
        what the world is told, member by member: executions, views, faults and evidence."""
        if ms:
            self.world.tick(int(ms))
        self.world.settle()
        shown = ("execute", "persist view", "fault", "evidence", "stop")
        told = [t for t in self.world.lines if t.split(": ", 1)[-1].startswith(shown)]
        self.world.lines = sorted(told, key=lambda line: line.split(": ", 1)[0])

    def do_crash(self, who: str) -> None:
        for name in names(who):
            self.real(name).crash()

    def do_start(self, who: str) -> None:
        for name in names(who):
            self.real(name).start()
