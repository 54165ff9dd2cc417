"""Steps of a core in words: one line for each thing that it does, in the order it is driven."""

import hashlib
from collections.abc import Sequence

from crdt.log import Head
from identity import envelope, schema
from identity.errors import InvalidBytes
from protocols.committee import Committee
from protocols.messages import (
    VOTE_TYPES,
    AskMemory,
    CarryNewView,
    CarryViewChange,
    Checkpoint,
    FetchBatches,
    FetchBody,
    GiveBody,
    GiveMemory,
    Hop,
    NewView,
    PrePrepare,
    Propose,
    Status,
    Submit,
    ViewChange,
    Votes,
)
from protocols.pbft.evidence import check_equivocation
from protocols.step import Equivocation, Executed, Send, Step
from tests.pbft.scenario_words import START_MS, Batch, Words

CHANGES = ("persist", "vote", "send", "execute", "certify", "serve", "stop")
"""First words of lines that show that something was done; `fault` and `evidence` are others'."""


def is_change(line: str) -> bool:
    """True unless a line tells of nothing, of another's offence, or of the own position only."""
    word = line.split()[0]
    asks = " status " in line or line.endswith("ask_memory")
    return word in CHANGES and not (word == "send" and asks)


class Teller:
    """Tells what steps hold, in the words of a scenario."""

    def __init__(self, words: Words, committee: Committee) -> None:
        self.words, self.committee = words, committee

    def tell(self, step: Step) -> list[str]:
        lines = [self._tell_row(row.kind, row.view, row.seq) for row in step.persist]
        lines += [f"vote {self.tell_statement(data)}" for _, data in step.votes]
        lines += [self._tell_send(send) for send in step.sends]
        lines += [self._tell_executed(done) for done in step.executed]
        for done in step.certified:
            signers = "".join(self.words.call(key) for key, _ in done.certificate.signatures)
            lines.append(f"certify s{done.position} by {signers}")
        lines += [f"serve {self.words.call(s.to)} from s{s.start}" for s in step.serve]
        lines += [f"fault {self.words.call(fault.peer)}: {fault.reason}" for fault in step.faults]
        lines += [self._tell_evidence(found) for found in step.evidence]
        return lines

    def _tell_row(self, kind: str, view: int, seq: int) -> str:
        return f"persist {kind} v{view}" + (f" s{seq}" if seq else "")

    def _tell_executed(self, done: Executed) -> str:
        return (
            f"execute s{done.seq} {self.words.call(done.digest)}"
            f" {self.tell_operations(done.operations)} t={self.tell_time(done.time_ms)}"
            f" proof={self.words.call_signers(done.proof)}"
        )

    def _tell_evidence(self, found: Equivocation) -> str:
        one, other = (self.tell_statement(s.data) for s in (found.first, found.second))
        try:
            offence = check_equivocation(self.committee, found.first.data, found.second.data)
            verdict = f"convicts {self.words.call(offence.offender)}"
        except InvalidBytes as error:
            verdict = f"convicts nobody: {error}"
        return f"evidence {self.words.call(found.first.signer)}: {one} / {other}: {verdict}"

    def tell_time(self, time_ms: int) -> str:
        return str(time_ms and time_ms - START_MS)

    def tell_operations(self, operations: Sequence[bytes]) -> str:
        called = [self.words.of_bytes.get(data, "?") for data in operations]
        if len(called) > 4:
            called = [called[0], "..", called[-1], f"({len(called)})"]
        return "[" + " ".join(called) + "]"

    # --- statements --------------------------------------------------------------------------

    def tell_statement(self, data: bytes) -> str:
        statement = envelope.parse(data, size_max=1 << 20)
        self.words.of_bytes[hashlib.sha256(data).digest()] = self.words.call(statement.signer)
        kinds = {**VOTE_TYPES, "view_change": ViewChange, "new_view": NewView}
        message = schema.decode(statement.payload, kinds[statement.kind], size_max=1 << 20)
        call = self.words.call
        match message:
            case Checkpoint():
                return f"checkpoint s{message.seq} {call(message.state)}"
            case Head():
                return f"head s{message.position} {call(message.hash)}"
            case ViewChange():
                return f"view_change v{message.view} {self._tell_view_change(message)}"
            case NewView():
                signers = "".join(sorted(call(digest) for digest in message.view_changes))
                assigned = " ".join(f"{a.seq}:{call(a.digest)}" for a in message.proposals)
                return f"new_view v{message.view} from={signers} proposals=[{assigned}]"
        return f"{statement.kind} v{message.view} s{message.seq} {call(message.digest)}"

    def _tell_view_change(self, message: ViewChange) -> str:
        prepared = " ".join(
            f"v{p.view}s{p.seq}:{self.words.call(p.digest)}" for p in message.prepared
        )
        return f"base={message.base} prepared=[{prepared}]"

    # --- hop messages ------------------------------------------------------------------------

    def _tell_send(self, send: Send) -> str:
        to = "all" if send.to is None else self.words.call(send.to)
        return f"send {to} {self.tell_hop(send.message)}"

    def tell_hop(self, hop: Hop) -> str:
        call = self.words.call
        match hop:
            case Propose():
                return self._tell_propose(hop)
            case Votes():
                return "votes " + "; ".join(self.tell_statement(data) for data in hop.statements)
            case CarryViewChange() | CarryNewView():
                signer = envelope.parse(hop.statement, size_max=1 << 20).signer
                return f"{call(signer)}'s {self.tell_statement(hop.statement)}"
            case Status():
                flags = ("active" if hop.active else "left") + (" waiting" if hop.waiting else "")
                flags += " complains" if hop.complains else ""
                return (
                    f"status v{hop.view} {flags} executed={hop.executed}"
                    f" certified={hop.certified} stable={hop.stable}"
                )
            case Submit():
                return f"submit {self.tell_operations(hop.operations)}"
            case FetchBatches():
                return f"fetch_batches from s{hop.start}"
            case FetchBody():
                return f"fetch_body s{hop.seq} {call(hop.digest)}"
            case GiveBody():
                time_ms = self.tell_time(hop.time_ms)
                return f"give_body s{hop.seq} {self.tell_operations(hop.operations)} t={time_ms}"
            case AskMemory():
                return "ask_memory"
            case GiveMemory():
                shown = [self.tell_statement(data) for data in hop.statements]
                shown += [self.tell_statement(hop.view_change)] if hop.view_change else []
                return f"give_memory highest={hop.highest} [{'; '.join(shown)}]"
        return str(hop.__struct_config__.tag)

    def _tell_propose(self, hop: Propose) -> str:
        statement = envelope.parse(hop.pre_prepare, size_max=1 << 10)
        message = schema.decode(statement.payload, PrePrepare, size_max=1 << 10)
        name = self.words.call(message.digest)
        if name not in self.words.batches:
            self.words.learn_batch(
                name, Batch(hop.time_ms, hop.operations, hop.clock, message.digest)
            )
        clock = f" clock={self.words.call_signers(hop.clock)}" if hop.clock else ""
        return (
            f"propose v{message.view} s{message.seq} {name}"
            f" {self.tell_operations(hop.operations)} t={self.tell_time(hop.time_ms)}{clock}"
        )
