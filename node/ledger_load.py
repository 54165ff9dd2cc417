"""From an exported file to a ledger of its own, which can then be checked like any other.

Here only the form is checked, and that each thing follows the one before it. What the file says is
believed by nobody before `verify_ledger` has been over the ledger that it makes.
"""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import trio
import trio_asyncio

from crdt.facts import decode_fact
from crdt.heads import Prover, check_fork
from identity.errors import EconodeError, InvalidBytes, InvalidSchema
from node.ledger import Ledger
from node.ledger_rows import ExecutedBatch, LedgerError
from node.ledger_states import StoredState, read_checkpoint
from node.ledger_verify import make_chain
from protocols.archive import (
    AnyRecord,
    BatchRecord,
    CertificateRecord,
    ChunkRecord,
    EntryRecord,
    ForkRecord,
    LogsHeader,
    StateRecord,
    read_records,
)
from protocols.committee import Committee
from protocols.genesis import Genesis
from protocols.state_tree import count_chunks
from protocols.step import ChunkFetched, TransferBegun, Transferred


class InvalidArchive(EconodeError):
    """The file is not what an export writes; `record` is the number of the one at fault."""

    def __init__(self, record: int, reason: str) -> None:
        super().__init__(f"record {record}: {reason}")
        self.record = record
        self.reason = reason


def load_archive(source: Path, target: Path, genesis: Genesis) -> LogsHeader:
    """Make the ledger `target`, which is not there yet, of the exported file `source`. Raises
    InvalidArchive; OSError when a file cannot be read or written."""
    loader = _Loader(genesis)
    with source.open("rb") as file:
        try:
            run_with_loop(loader.run, file, target)
        except (InvalidBytes, LedgerError) as error:
            reason = error.reason if isinstance(error, InvalidBytes) else str(error)
            raise InvalidArchive(loader.count, reason) from None
    assert loader.header is not None
    return loader.header


def run_with_loop(function: Callable[..., Awaitable[None]], *arguments: object) -> None:
    """Run an async function that opens ledgers. What it raises on purpose comes out as it is: the
    nurseries on the way wrap it."""

    async def run() -> None:
        async with trio_asyncio.open_loop():
            await function(*arguments)

    try:
        trio.run(run)
    except BaseExceptionGroup as group:
        meant, _ = group.split(EconodeError)
        raise _find_leaf(meant or group) from group


def _find_leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class _Loader:
    def __init__(self, genesis: Genesis) -> None:
        self.count = 0
        self.header: LogsHeader | None = None
        self._genesis = genesis
        self._network = genesis.compute_network_id()
        self._state: tuple[StateRecord, dict[int, bytes]] | None = None

    async def run(self, file: BinaryIO, target: Path) -> None:
        async with Ledger.open(target, self._network) as ledger:
            await self._load(read_records(file.read), ledger)
            await ledger.flush()

    async def _load(self, records: Iterator[AnyRecord], ledger: Ledger) -> None:
        for record in records:
            if self._state is not None and not isinstance(record, ChunkRecord):
                raise InvalidSchema("a state without all its chunks")
            await self._take(record, ledger)
            self.count += 1
        if self._state is not None:
            raise InvalidSchema("a state without all its chunks")

    async def _take(self, record: AnyRecord, ledger: Ledger) -> None:
        match record:
            case LogsHeader():
                if record.network != self._network:
                    raise InvalidSchema(f"logs of another network, {record.network.hex()[:16]}")
                self.header = record
            case BatchRecord():
                await ledger.append_wait(self._make_batch(record))
            case CertificateRecord():
                self._check_committee(record.committee)
                await ledger.wait_room(len(record.certificate))
                ledger.put_certificate(record.committee, record.position, record.certificate)
            case StateRecord():
                self._check_committee(record.committee)
                self._state = (record, {})
                await ledger.keep_state(
                    TransferBegun(
                        *(record.committee, record.position, record.certificate),
                        *(record.size, record.root),
                    )
                )
            case ChunkRecord():
                await self._take_chunk(record, ledger)
            case EntryRecord():
                self._check_author(record.entry.header.author)
                await ledger.wait_room(sum(map(len, record.entry.items)))
                ledger.append_log_entry(record.entry, record.proof)
            case ForkRecord():
                fork = check_fork(record.proof, Prover(self._network, {}))
                self._check_author(fork.author)
                await ledger.wait_room(len(record.proof))
                ledger.put_fork(fork.author, fork.position, record.proof)

    def _make_batch(self, record: BatchRecord) -> ExecutedBatch:
        header = record.entry.header
        self._check_committee(header.author)
        return ExecutedBatch(
            committee=header.author,
            position=header.position,
            digest=record.digest,
            time_ms=record.time_ms,
            operations=record.operations,
            proof=record.proof,
            entry=record.entry,
            facts=tuple(map(decode_fact, record.entry.items)),
        )

    def _check_committee(self, committee: bytes) -> None:
        assert self.header is not None
        if committee not in self.header.committees:
            raise InvalidSchema("of a committee that the header does not name")

    def _check_author(self, author: bytes) -> None:
        assert self.header is not None
        if self.header.peers == "none" or self.header.author not in (None, author):
            raise InvalidSchema("of a peer that the header does not name")

    async def _take_chunk(self, record: ChunkRecord, ledger: Ledger) -> None:
        if self._state is None:
            raise InvalidSchema("a chunk of no state")
        state, chunks = self._state
        place = (state.committee, state.position)
        await ledger.keep_state(ChunkFetched(*place, len(chunks), record.data))
        chunks[len(chunks)] = record.data
        if len(chunks) == count_chunks(state.size):
            self._state = None
            await ledger.begin(make_transferred(self._genesis, to_stored(state), chunks))


def to_stored(record: StateRecord) -> StoredState:
    place = (record.committee, record.position, "begin", record.certificate)
    return StoredState(*place, record.size, record.root, record.leaves)


def make_transferred(genesis: Genesis, state: StoredState, chunks: dict[int, bytes]) -> Transferred:
    """What a fetched state says, for the ledger. Its form is checked, its certificate not. Raises
    InvalidBytes, or LedgerError."""
    network = genesis.compute_network_id()
    checkpoint = read_checkpoint(state.certificate)
    # Any committee's state can be read by a chain of the founding one: it names its own members.
    members = genesis.get_member_keys()
    chain = make_chain(genesis, Committee(network, state.committee, 0, members))
    chain.load_state(state.join(chunks), state.position, checkpoint.head)
    return Transferred(
        *(state.committee, state.position, state.certificate, checkpoint.head, checkpoint.state),
        *(state.size, state.root, state.leaves, chain.list_balances(), chain.list_tasks()),
        chain.list_auctions(),
    )
