"""Exported logs into a ledger, and their check without one.

The file becomes a ledger of its own, in a private folder, which `verify_ledger` proves from the
genesis; only then is it merged: entries that follow what is held, certificates that are missing,
peers' logs by the same union that gossip goes through. A crash leaves a ledger that holds a part of
the new entries, whole and in order, and importing again adds the rest.

Two certified heads at one position are evidence against their committee: it is kept, so that the
node halts there when it starts, and nothing of that committee is merged.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from crdt.heads import Prover
from crdt.replica import Change, ProvenEntry, Replica, ReplicaFull
from identity import schema
from identity.errors import InvalidBytes
from node.ledger import Ledger
from node.ledger_load import InvalidArchive, load_archive, make_transferred, run_with_loop
from node.ledger_states import StoredState, read_checkpoint
from node.ledger_verify import Report, verify_ledger
from node.ledger_verify_logs import check_logs
from node.problem import Problem
from protocols import evidence
from protocols.archive import LogsHeader
from protocols.evidence import Evidence
from protocols.genesis import Genesis
from protocols.step import ChunkFetched, TransferBegun

READ_BATCHES = 256
READ_BYTES = 16 * 1024 * 1024
READ_COUNT = 1_000

Progress = Callable[[str], None]
"""Told what is done next, in words."""


@dataclass(slots=True)
class Imported:
    """What a ledger was given. `skipped_authors` never held credits in a committee that it holds,
    so nobody keeps their logs."""

    batches: int = 0
    certificates: int = 0
    states: int = 0
    entries: int = 0
    forks: int = 0
    skipped_authors: int = 0
    committees: list[bytes] = field(default_factory=list)


def verify_archive(source: Path, genesis: Genesis) -> Report:
    """Check an exported file against `genesis` alone; what is wrong with its form is a finding."""
    with tempfile.TemporaryDirectory() as folder:
        _, report = _load_and_check(source, Path(folder), genesis)
    return report


def import_archive(
    source: Path, target: Path, genesis: Genesis, now_ms: int, tell: Progress = lambda _: None
) -> Imported:
    """Add what the exported file `source` proves to the ledger `target`, whose home the caller has
    locked. `now_ms` is the wall clock. Raises Problem when the file proves less than it says, or
    contradicts the ledger; what was merged of other committees until then stays."""
    for left in target.parent.glob(f"{_FOLDER}*"):
        shutil.rmtree(left)  # of an import that was killed
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=_FOLDER) as folder:
        tell("checking the file")
        header, report = _load_and_check(source, Path(folder), genesis)
        if header is None or not report.is_valid:
            first = report.findings[0] if report.findings else None
            raise Problem(
                "not-proven",
                f"the file proves nothing: {first.table} {first.row}: {first.problem}"
                if first is not None
                else "the credits in it are not conserved",
                where=str(source),
                remedy="have it exported anew; `econode ledger verify FILE` lists what is wrong",
            )
        tell("adding what is new")
        merger = _Merger(genesis, header, now_ms)
        run_with_loop(merger.run, Path(folder) / _NAME, target)
    return merger.done


_NAME, _FOLDER = "archive.sqlite3", ".import-"


def _load_and_check(
    source: Path, folder: Path, genesis: Genesis
) -> tuple[LogsHeader | None, Report]:
    made = folder / _NAME
    try:
        header = load_archive(source, made, genesis)
    except InvalidArchive as error:
        report = Report()
        report.add("file", f"record {error.record}", error.reason)
        return None, report
    report = _check_peers(made, genesis) if not header.committees else verify_ledger(made, genesis)
    missing = set(header.committees) - {part.id for part in report.parts}
    for committee in sorted(missing):
        report.add("file", committee.hex(), "a committee that the header names is not proven")
    return header, report


def _check_peers(made: Path, genesis: Genesis) -> Report:
    """A file without committees says nothing of credits."""
    report = Report(without_committees=True)
    prover = Prover(genesis.compute_network_id(), {})
    with closing(sqlite3.connect(f"{made.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        check_logs(connection, prover, report)
    return report


class _Merger:
    """Adds one checked ledger to another."""

    def __init__(self, genesis: Genesis, header: LogsHeader, now_ms: int) -> None:
        self.done = Imported(committees=list(header.committees))
        self._genesis, self._header, self._now_ms = genesis, header, now_ms
        self._network = genesis.compute_network_id()

    async def run(self, source: Path, target: Path) -> None:
        async with (
            Ledger.open(source, self._network) as told,
            Ledger.open(target, self._network) as held,
        ):
            for committee in self._header.committees:
                await self._check_agreement(committee, told, held)
            for committee in self._header.committees:
                await self._merge_committee(committee, told, held)
                await held.flush()
                await self._merge_certificates(committee, told, held)
            await self._merge_peers(told, held)
            await held.flush()

    # --- committees ---------------------------------------------------------------------------

    async def _check_agreement(self, committee: bytes, told: Ledger, held: Ledger) -> None:
        """Raises Problem where both hold an entry at one position and not the same one. Entries
        are linked, so the newest common position tells of all before it."""
        last = [await each.get_last(committee) for each in (told, held)]
        gaps = [*await told.read_gaps(committee), *await held.read_gaps(committee)]
        position = min(-1 if each is None else each[0] for each in last)
        while any(first <= position <= end for first, end in gaps):
            position = min(first for first, end in gaps if first <= position <= end) - 1
        one, other = [await each.get_entry_hash(committee, position) for each in (told, held)]
        if one == other:
            return
        found = await self._find_two_heads(committee, told, held)
        if found is None:
            raise Problem(
                "conflicting-logs",
                f"committee {committee.hex()} has another entry at position {position} or before "
                "in the file than in this ledger, and no two certificates show whose fault it is",
                remedy="ask members of that committee which of the two logs they hold",
                status=409,
            )
        claim = evidence.read_claim(found, self._network)
        held.put_evidence(claim.id, schema.encode(found), self._now_ms)
        await held.flush()
        raise Problem(
            "forked-committee",
            f"committee {committee.hex()} certified two heads at position {claim.position}: the "
            f"evidence is kept as {claim.id.hex()[:16]}, and the node takes no part in it any more",
            remedy="start the node and see `econode evidence show`; submit it where the committee "
            "has a border",
            status=409,
        )

    async def _find_two_heads(
        self, committee: bytes, told: Ledger, held: Ledger
    ) -> Evidence | None:
        start = 0
        while rows := await told.read_certificates(committee, start, count_max=READ_COUNT):
            for position, data in rows:
                other = await held.get_certificate(committee, position)
                if other is not None:
                    found = Evidence("committee", committee, min(data, other), max(data, other))
                    try:
                        evidence.read_claim(found, self._network)
                    except InvalidBytes:
                        continue  # of the same head
                    return found
            start = rows[-1][0] + 1
        return None

    async def _merge_committee(self, committee: bytes, told: Ledger, held: Ledger) -> None:
        last = await held.get_last(committee)
        position = -1 if last is None else last[0]
        begins = [s for s in await told.read_begins(committee) if s.position > position]
        while True:
            batches = await told.read_batches(
                committee, position + 1, count_max=READ_BATCHES, bytes_max=READ_BYTES
            )
            first = batches[0].position if batches else None
            if first != position + 1:
                if not begins:
                    return
                state = begins.pop(0)
                await self._begin(state, told, held)
                position = state.position
                continue
            for batch in batches:
                if batch.position != position + 1:
                    break
                await held.append_wait(batch)
                position = batch.position
                self.done.batches += 1
            begins = [state for state in begins if state.position > position]

    async def _begin(self, state: StoredState, told: Ledger, held: Ledger) -> None:
        place = (state.committee, state.position)
        chunks = await told.read_chunks(*place)
        await held.keep_state(TransferBegun(*place, state.certificate, state.size, state.root))
        for index, data in sorted(chunks.items()):
            await held.keep_state(ChunkFetched(*place, index, data))
        await held.begin(make_transferred(self._genesis, state, chunks))
        self.done.states += 1

    async def _merge_certificates(self, committee: bytes, told: Ledger, held: Ledger) -> None:
        start = 0
        while found := await told.read_certificates(committee, start, count_max=READ_COUNT):
            for position, data in found:
                is_known = await held.get_certificate(committee, position) is not None
                if not is_known and await _get_head(held, committee, position) is not None:
                    await held.wait_room(len(data))
                    held.put_certificate(committee, position, data)
                    self.done.certificates += 1
            start = found[-1][0] + 1

    # --- peers --------------------------------------------------------------------------------

    async def _merge_peers(self, told: Ledger, held: Ledger) -> None:
        forks = [await _read_forks(each) for each in (told, held)]
        authors = {author for author, _ in await told.read_log_authors()} | forks[0].keys()
        for author in sorted(authors):
            if not await held.has_account(author):
                self.done.skipped_authors += 1
                continue
            replica = Replica(Prover(self._network, {}))
            async for _ in _fold(author, held, forks[1].get(author, []), replica):
                pass
            async for change in _fold(author, told, forks[0].get(author, []), replica):
                await self._keep(author, change, held)

    async def _keep(self, author: bytes, change: Change, held: Ledger) -> None:
        for proven in change.entries:
            await held.wait_room(proven.count_bytes())
            held.append_log_entry(proven.entry, proven.proof)
            self.done.entries += 1
        if change.fork is not None:
            data = change.fork.encode()
            await held.wait_room(len(data))
            held.put_fork(author, change.fork.position, data)
            self.done.forks += 1


async def _read_forks(ledger: Ledger) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for author, _, proof in await ledger.read_forks():
        found.setdefault(author, []).append(proof)
    return found


async def _fold(
    author: bytes, ledger: Ledger, forks: list[bytes], replica: Replica
) -> AsyncIterator[Change]:
    """Merge what a checked ledger holds of an author; gives each change."""
    start = 0
    try:
        while rows := await ledger.read_log(author, start, count_max=READ_COUNT):
            for entry, proof in rows:
                yield replica.merge(ProvenEntry(entry, proof))
            start = rows[-1][0].header.position + 1
    except ReplicaFull:
        return  # the author's log is as long as any may be
    for proof in forks:
        yield replica.merge_fork(proof)


async def _get_head(ledger: Ledger, committee: bytes, position: int) -> bytes | None:
    """The head at `position`: of the entry, or of the state that a stretch begins behind."""
    found = await ledger.get_entry_hash(committee, position)
    if found is None:
        state = await ledger.get_snapshot(committee, position)
        if state is not None and state.kind == "begin":
            return read_checkpoint(state.certificate).head
    return found
