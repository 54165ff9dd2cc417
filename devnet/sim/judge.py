"""The invariants of docs/invariants.md, held against a simulated world after every step.

The judge believes no member: it counts signatures, recomputes digests and keeps balances itself,
from what members send, persist and execute. What one batch did is checked once, when the first
honest member executes it; every other member must then report the very same entry. The first
breach ends the run.
"""

import hashlib
from typing import TYPE_CHECKING

from crdt.log import HEAD_KIND, Head
from crdt.stake import StakeView
from devnet.history import History, HistoryEntry, Ordered
from devnet.invariants import (
    Violation,
    check_auctions,
    check_chain,
    check_deposits,
    check_results,
    check_slashes,
)
from devnet.sim import statements
from devnet.sim.books import LiveBooks
from devnet.sim.disk import VIEW_KIND
from devnet.sim.epochs import Epochs
from devnet.sim.member import describe_error
from devnet.sim.memberships import check_light
from devnet.sim.promises import Promises
from identity import envelope, schema
from identity.certificate import Certificate
from identity.errors import InvalidBytes
from protocols.economy.operations import decode_operation
from protocols.messages import (
    COMMIT_KIND,
    VIEW_CHANGE_KIND,
    VOTE_BYTES_MAX,
    Checkpoint,
    Commit,
    Hop,
    ViewChange,
    compute_batch_digest,
)
from protocols.pbft.view_change import ViewRow
from protocols.step import Certified, Equivocation, Executed, Fault, Persist, Transferred

if TYPE_CHECKING:
    from devnet.sim.member import Member
    from devnet.sim.world import World

REST_MS = 5_000
GRACE_MS = 15_000
"""An operation this much older than the end must be executed; the clients repeat each second,
and a slow primary may hold one back until the others' patience (two timeouts) is over."""
POOL_MAX = 1_000
ROWS_PER_SLOT = 2
CLOCK_MARGIN_MS = 2


class Judge:
    """Sees what every member does. `violations` holds the first breach, if there is one."""

    def __init__(self, world: "World", liars: set[bytes]) -> None:
        self.world = world
        self.liars = liars
        self.violations: list[Violation] = []
        self.view_changes = 0
        self.commits = 0
        self.healed_at = 0
        """The last position that was committed before the world was healed."""
        self.operations = 0
        self.entries: list[HistoryEntry] = []
        self._digests: dict[int, tuple[bytes, bytes]] = {}
        self._reached: dict[int, int] = {}
        """Position of each process by id."""
        self._signed: dict[statements.Slot, bytes] = {}
        self._seen: set[bytes] = set()
        self._prepared: dict[tuple[int, int, int], bytes] = {}
        self._stable: dict[int, bytes] = {}
        self._left: dict[tuple[bytes, int], int] = {}
        """The highest view of an epoch that each key has left the earlier ones for."""
        self._views: dict[int, tuple[int, int]] = {}
        """Epoch and view of each process by id."""
        self._view_since_ms = 0
        self._books: LiveBooks | None = None
        self._epochs = Epochs(world.committee)
        self._promises = Promises(self._report, self._epochs.find_end)

    # --- what members do ----------------------------------------------------------------------

    def on_started(self, member: "Member") -> None:
        self._reached[member.id] = member.core.executed
        if self._books is None:
            genesis = member.chain.genesis_entry
            facts = tuple(member.chain.state.genesis_facts())
            self._books = LiveBooks(facts, self._report)
            head = genesis.header.hash()
            place = (self.world.network, head, genesis.header.time_ms)
            self.entries.append(HistoryEntry(0, *place, (), facts))  # type: ignore[arg-type]

    def on_sent(self, member: "Member", message: Hop) -> None:
        """S4 and S2, for every statement that an honest member lets go."""
        for data in statements.list_statements(message):
            if data in self._seen:
                continue
            self._seen.add(data)
            found = statements.read_slot(data, member.public)
            if found is None:
                continue  # another member's words, passed on
            slot, digest = found
            self.world.mix(digest)
            known = self._signed.setdefault(slot, digest)
            if known != digest:
                detail = f"{slot.kind} {slot.place}: {known.hex()[:12]}, then {digest.hex()[:12]}"
                self._report("S4 one digest per slot and key", member, detail)
            self._promises.on_statement(member, slot, digest)
            if slot.kind == VIEW_CHANGE_KIND:
                epoch, view, _ = slot.place
                place = member.public, epoch
                self._left[place] = max(view, self._left.get(place, 0))
            if slot.kind == COMMIT_KIND:
                other = self._prepared.setdefault(slot.place, digest)
                if other != digest:
                    detail = f"(epoch, view, seq) {slot.place}"
                    self._report("S2 one prepared digest per view and seq", member, detail)

    def on_persisted(self, member: "Member", rows: list[Persist]) -> None:
        """S5: stable checkpoints agree, and q members signed each."""
        if not member.is_honest:
            return
        for row in rows:
            place = member.public, row.epoch
            if row.kind == "epoch":
                self._check_entered(member, row)
            elif row.kind == "stable":
                self._check_stable(member, row)
            elif row.kind == VIEW_KIND:
                self._check_view(member, row)
                self._left[place] = max(row.view, self._left.get(place, 0))
            elif row.view < self._left.get(place, 0):
                detail = f"{row.kind} {row.view}, {row.seq} after leaving for a later view"
                self._report("S4 no vote in a view that was left", member, detail)

    def on_executed(self, member: "Member", executed: Executed) -> None:
        """S1, S3, S6 and the stake of each batch, and each member's own order."""
        if not member.is_honest:
            return
        seq, header = executed.seq, executed.entry.header
        if seq != self._reached[member.id] + 1:
            detail = f"executes {seq} after {self._reached[member.id]}"
            self._report("S7 nothing is lost", member, detail)
        self._reached[member.id] = seq
        now = (executed.digest, header.hash())
        self.world.mix(now[1])
        self._check_proof(member, executed)
        known = self._digests.get(seq)
        if known is None:
            self._digests[seq] = now
            self._on_new(member, executed, now[1])
        elif known[0] != now[0]:
            detail = f"{now[0].hex()[:12]} at {seq}, others have {known[0].hex()[:12]}"
            self._report("S1 one digest per position", member, detail)
        elif known[1] != now[1]:
            self._report("S1 one digest per position", member, f"another outcome at {seq}")
        if not self.violations:
            self._check_bounds(member)
            self._note_view(member)

    def on_transferred(self, member: "Member", transferred: Transferred) -> None:
        """A state that a member goes on from: q members certified it, and it is what executing
        gave others there."""
        if not member.is_honest:
            return
        certificate = Certificate.decode(
            transferred.certificate, self.world.network, size_max=1 << 20
        )
        checkpoint = schema.decode(certificate.payload, Checkpoint, size_max=VOTE_BYTES_MAX)
        known = self._digests.get(transferred.position)
        head = None if known is None else known[1]
        position = transferred.position
        is_certified = self._epochs.is_certified(certificate, "checkpoint", position)
        if not is_certified or checkpoint.seq != position or head != checkpoint.head:
            detail = f"goes on from a state at {transferred.position} that is not certified"
            self._report("S5 stable checkpoints agree", member, detail)
        if transferred.position <= self._reached[member.id]:
            detail = f"a state at {transferred.position} after {self._reached[member.id]}"
            self._report("S7 nothing is lost", member, detail)
        self._reached[member.id] = transferred.position

    def on_certified(self, member: "Member", certified: Certified) -> None:
        """A certificate of outcomes holds q signatures over the one head."""
        if not member.is_honest:
            return
        certificate = certified.certificate
        head = schema.decode(certificate.payload, Head, size_max=VOTE_BYTES_MAX)
        known = self._digests.get(certified.position)
        if not self._epochs.is_certified(certificate, HEAD_KIND, head.position) or (
            head.position != certified.position or known is None or head.hash != known[1]
        ):
            detail = f"a false certificate of position {certified.position}"
            self._report("S3 executed means q votes", member, detail)

    def on_blamed(self, member: "Member", fault: Fault) -> None:
        """Honest members are never blamed, unless their frames were damaged on the way."""
        accused = fault.peer
        counts = self.world.links.counts
        if member.is_honest and not counts["corrupt"] and self._is_honest_member(accused):
            name = self._name(accused)
            self._report("C5 nobody honest is blamed", member, f"{name}: {fault.reason}")

    def on_undecodable(self, member: "Member", peer: bytes, frame: bytes, reason: str) -> None:
        if not self.world.links.counts["corrupt"] and self._is_honest_member(peer):
            self._report("C5 nobody honest is blamed", member, f"{self._name(peer)}: {reason}")

    def on_evidence(self, member: "Member", evidence: Equivocation) -> None:
        """Evidence is two different statements of one liar about one slot."""
        first = statements.read_slot(evidence.first.data, evidence.first.signer)
        second = statements.read_slot(evidence.second.data, evidence.first.signer)
        is_valid = first and second and first[0] == second[0] and first[1] != second[1]
        self.world.fault_counts["evidence"] += 1
        if not member.is_honest:
            return
        if self._is_honest_member(evidence.first.signer) or not is_valid:
            name = self._name(evidence.first.signer)
            self._report("C5 nobody honest is blamed", member, f"evidence against {name}")
            return
        self.world.owners.on_evidence(member, evidence)

    def on_failure(self, member: "Member", error: Exception) -> None:
        if member.is_honest:
            self._report("a core never fails", member, describe_error(error))

    def on_healed(self) -> None:
        self.healed_at = self.commits
        self._view_since_ms = self.world.now_ms

    # --- one batch ----------------------------------------------------------------------------

    def _on_new(self, member: "Member", executed: Executed, head: bytes) -> None:
        """The first honest execution of a position: what it did is checked in full."""
        if executed.seq != len(self.entries):
            detail = f"{executed.seq} is executed before {len(self.entries)}"
            self._report("S7 nothing is lost", member, detail)
            return
        try:
            operations = tuple(self._read_operation(data) for data in executed.operations)
        except InvalidBytes as error:
            self._report(
                "S6 executes once", member, f"no account's word at {executed.seq}: {error}"
            )
            return
        time_ms = executed.entry.header.time_ms
        facts = executed.facts
        entry = HistoryEntry(
            executed.seq,
            executed.digest,
            head,
            time_ms,
            operations,
            facts,  # type: ignore[arg-type]
        )
        previous = self.entries[-1]
        self.entries.append(entry)
        self.commits += 1
        if time_ms < previous.time_ms or time_ms > self._latest_reading_ms():
            detail = f"{time_ms} at {executed.seq}, {previous.time_ms} before it"
            self._report("agreed time", member, detail)
        assert self._books is not None
        self._books.apply(member, entry, executed.entry)
        problem = self._epochs.note(executed.seq, executed.facts)
        if problem is not None:
            self._report("an epoch follows another", member, problem)
        self.operations = self._books.operations

    def _read_operation(self, data: bytes) -> Ordered:
        statement = envelope.parse(data, size_max=1 << 20)
        statement.check(self.world.network)
        nonce = decode_operation(statement.payload).nonce
        return Ordered(hashlib.sha256(data).digest(), statement.signer, nonce)

    def _check_proof(self, member: "Member", executed: Executed) -> None:
        """S3: q members of the committee signed COMMITs of one view over this very batch."""
        digests = [hashlib.sha256(data).digest() for data in executed.operations]
        signers: set[bytes] = set()
        views: set[tuple[int, int]] = set()
        is_valid = compute_batch_digest(executed.time_ms, digests) == executed.digest
        try:
            for data in executed.proof:
                statement = envelope.parse(data, size_max=VOTE_BYTES_MAX)
                statement.check(self.world.network)
                commit = schema.decode(statement.payload, Commit, size_max=VOTE_BYTES_MAX)
                place = (statement.kind, commit.seq, commit.digest)
                is_valid &= place == (COMMIT_KIND, executed.seq, executed.digest)
                signers.add(statement.signer)
                views.add((statement.epoch, commit.view))
        except InvalidBytes:
            is_valid = False
        missing = self._epochs.count_missing(min(views, default=(0, 0))[0], executed.seq, signers)
        if not is_valid or missing or len(views) != 1:
            detail = f"position {executed.seq} with {len(signers)} signers"
            self._report("S3 executed means q votes", member, detail)
            return
        self._promises.on_executed(member, executed.seq, *views.pop(), executed.digest)

    def _check_stable(self, member: "Member", row: Persist) -> None:
        certificate = Certificate.decode(row.data, self.world.network, size_max=1 << 20)
        checkpoint = schema.decode(certificate.payload, Checkpoint, size_max=VOTE_BYTES_MAX)
        known = self._stable.setdefault(checkpoint.seq, certificate.payload)
        if known != certificate.payload:
            self._report("S5 stable checkpoints agree", member, f"at {checkpoint.seq}")
        if (
            not self._epochs.is_certified(certificate, "checkpoint", checkpoint.seq)
            or row.seq != checkpoint.seq
        ):
            self._report("S5 stable checkpoints agree", member, f"no quorum at {row.seq}")

    def _check_view(self, member: "Member", row: Persist) -> None:
        """A view that has begun stands on the VIEW-CHANGEs of q members, whose bases q signed."""
        said = schema.decode(row.data, ViewRow, size_max=1 << 24)
        statements = [envelope.parse(data, size_max=1 << 20) for data in said.support]
        signers = {statement.signer for statement in statements}
        if said.new_view and self._epochs.count_missing(row.epoch, None, signers):
            detail = f"view {row.view} with {len(signers)} VIEW-CHANGEs"
            self._report("S2 a view begins with q VIEW-CHANGEs", member, detail)
        for statement in statements:
            change = schema.decode(statement.payload, ViewChange, size_max=1 << 20)
            if not change.certificate:
                continue
            base = Certificate.decode(change.certificate, self.world.network, size_max=1 << 20)
            if not self._epochs.is_certified(base, base.context.kind, change.base):
                detail = f"view {row.view} on a false base at {change.base}"
                self._report("S2 a view begins with q VIEW-CHANGEs", member, detail)

    def _check_entered(self, member: "Member", row: Persist) -> None:
        """An epoch is entered with the certificate of the former one's end."""
        certificate = Certificate.decode(row.data, self.world.network, size_max=1 << 20)
        head = schema.decode(certificate.payload, Head, size_max=VOTE_BYTES_MAX)
        is_end = head.position == row.seq == self._epochs.find_end(row.epoch - 1)
        if not is_end or not self._epochs.is_certified(certificate, HEAD_KIND, head.position):
            detail = f"enters epoch {row.epoch} at {row.seq} with a certificate of {head.position}"
            self._report("an epoch follows another", member, detail)

    def count_healed(self) -> int:
        """Batches that were committed since the world was healed."""
        return self.commits - self.healed_at if self.world.is_healed else 0

    # --- bounds and rest ----------------------------------------------------------------------

    def _check_bounds(self, member: "Member") -> None:
        """L4: what a member keeps stays bounded by its windows."""
        core = member.core
        window = core.checkpoints.window
        slots, rows = len(core.slots), member.disk.count_rows()
        limit = 2 * window + 2
        low = core.checkpoints.low
        if slots and not low < max(core.slots) <= max(low, core.executed) + window:
            detail = f"slot {max(core.slots)} with the window {low} to {low + window}"
            self._report("L4 everything is bounded", member, detail)
        if slots > limit or rows > ROWS_PER_SLOT * limit + 2 or len(core.pool) > POOL_MAX:
            detail = f"{slots} slots, {rows} rows, {len(core.pool)} operations"
            self._report("L4 everything is bounded", member, detail)

    def _note_view(self, member: "Member") -> None:
        view = (member.core.committee.epoch, member.core.view)
        if self._views.get(member.id, (0, 0)) != view:
            if view > max(self._views.values(), default=(0, 0)):
                self.view_changes += 1
            self._views[member.id] = view
            self._view_since_ms = self.world.now_ms

    def is_at_rest(self) -> bool:
        """True once everything that must come to pass in a healed world has."""
        return self._find_unrest() is None

    def _find_unrest(self) -> tuple[str, str] | None:
        """The liveness invariant that does not hold yet, and what is missing."""
        world = self.world
        honest = [m for m in world.members if m.is_honest]
        for member in honest:
            self._note_view(member)
        for client in world.clients:
            old = [n for n, at in client.submitted.items() if at + GRACE_MS < world.now_ms]
            if old:
                detail = f"nonce {old[0]} was sent {client.submitted[old[0]]} ms after the start"
                return "L1 every operation executes", detail
        if world.now_ms - self._view_since_ms < REST_MS:
            return "L2 views stop rising", f"{sorted(self._views.values())}"
        last = len(self.entries) - 1
        members = [member for member in honest if self._epochs.is_member(member.public)]
        slow = [m.name for m in members if self._reached[m.id] < last - 4]
        slow += [m.name for m in members if m.core.committee.epoch != self._epochs.get_last()]
        if slow or not all(member.is_up for member in honest):
            return "L3 laggards catch up", f"{', '.join(slow)} below position {last}"
        if self.commits < world.plan.commits_min or self.count_healed() < 1:
            return (
                "L1 every operation executes",
                f"{self.commits} commits, {world.plan.commits_min} are due",
            )
        return None

    def finish(self, *, needs_rest: bool = True) -> None:
        """At the end: what only the whole history shows, and, in a world that had the time for
        it, liveness."""
        if self.violations:
            return
        history = History("canonical", self.world.committee.id, self.entries)
        for check in (check_chain, check_deposits, check_auctions, check_results):
            self.violations += check(history)
        self.violations += check_slashes(history, self.liars)
        for member in self.world.members:
            problem = check_light(member, self._latest_reading_ms()) if member.is_honest else None
            if problem is not None:
                self._report("a light client follows the epochs", member, problem)
        unrest = self._find_unrest() if needs_rest and not self.violations else None
        if unrest is not None:
            self.violations.append(Violation(unrest[0], "healed", unrest[1]))
        for violation in self.violations:
            self.world.trace(f"VIOLATION {violation}")

    # --- small ones ---------------------------------------------------------------------------

    def get_next_nonce(self, account: bytes) -> int:
        """What f+1 members would answer: the next nonce in committed state."""
        return 1 if self._books is None else self._books.nonces.get(account, 0) + 1

    def get_stake(self) -> StakeView:
        assert self._books is not None
        return self._books.stake

    def _latest_reading_ms(self) -> int:
        """The highest reading that an honest, right clock can have given by now."""
        skews = self.world.plan.skews_ms
        latest = max(skews, default=0)
        return self.world.start_ms + self.world.now_ms + latest + CLOCK_MARGIN_MS

    def _is_honest_member(self, key: bytes) -> bool:
        return key in self.world.instances and key not in self.liars

    def _name(self, key: bytes) -> str:
        found = self.world.instances.get(key)
        return found[0].name if found else key.hex()[:8]

    def _report(self, invariant: str, member: "Member", detail: str) -> None:
        self.violations.append(Violation(invariant, member.name, detail))
        self.world.trace(f"VIOLATION {invariant} ({member.name}): {detail}")
