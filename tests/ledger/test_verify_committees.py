"""The offline check of a ledger with several committees: each is proven from its parent's log."""

import sqlite3
from pathlib import Path

import msgspec
import pytest
import trio
import trio_asyncio

from crdt.facts import CommitteeFormed, decode_fact, encode_fact
from node.ledger import Ledger
from node.ledger_rows import ExecutedBatch
from node.ledger_verify import Report, verify_ledger
from protocols.committee import Committee
from protocols.economy.committees import FormedGenesis, derive_founding
from protocols.economy.operations import ConsentCommittee, FormCommittee
from protocols.genesis import compute_formed_id
from protocols.requests import parse_request
from tests.ledger.network import MEMBERS, Network

BOND = 1_000


def form(
    network: Network, name: str, free: int
) -> tuple[list[ExecutedBatch], FormedGenesis, Committee]:
    """The batches that form a committee of the four members, and what it begins with."""
    named = tuple(key.public for key in MEMBERS)
    proposed = network.order((MEMBERS[0], FormCommittee(name, named, BOND, free, 60_000)))
    request, _ = parse_request(proposed.operations[0], network.committee)
    id_ = compute_formed_id(network.id, network.committee.id, request.digest)
    consents = network.order(*((key, ConsentCommittee(id_)) for key in MEMBERS))
    fact = decode_fact(consents.entry.items[-1])
    assert isinstance(fact, CommitteeFormed)
    rules = network.founding.parameters
    return [proposed, consents], *derive_founding(network.committee, consents.position, fact, rules)


def write(path: Path, *parts: tuple[Network, list[ExecutedBatch]]) -> None:
    async def run() -> None:
        async with trio_asyncio.open_loop(), Ledger.open(path, parts[0][0].id) as ledger:
            for network, batches in parts:
                for batch in batches:
                    ledger.append(batch)
                    certificate = network.certify(batch.entry)
                    ledger.put_certificate(batch.committee, batch.position, certificate)

    trio.run(run)


class Village:
    """A network whose founding committee formed `work`, which formed `inner`."""

    def __init__(self) -> None:
        self.main = Network()
        batches = [self.main.make_genesis_batch(), self.main.make_batch()]
        formed, self.founding, self.committee = form(self.main, "work", 50_000)
        self.main_batches = [*batches, *formed]
        self.work = Network((self.founding, self.committee))
        formed, founding, committee = form(self.work, "inner", 1_000)
        self.work_batches = [self.work.make_genesis_batch(), *formed, self.work.make_batch()]
        self.inner = Network((founding, committee))
        self.inner_batches = [self.inner.make_genesis_batch(), self.inner.make_batch()]


VILLAGE = Village()


def verify(path: Path) -> Report:
    return verify_ledger(path, VILLAGE.main.genesis)


def write_all(path: Path, **changed: tuple[Network, list[ExecutedBatch]] | None) -> None:
    """The honest ledger, but for the committees that are given anew, or None."""
    parts = {
        "main": (VILLAGE.main, VILLAGE.main_batches),
        "work": (VILLAGE.work, VILLAGE.work_batches),
        "inner": (VILLAGE.inner, VILLAGE.inner_batches),
    }
    write(path, *(part for part in (parts | changed).values() if part is not None))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


def test_every_committee_is_proven_and_has_its_part(path: Path) -> None:
    write_all(path)
    report = verify(path)
    assert report.findings == []
    assert report.is_valid
    parts = {part.name: part for part in report.parts}
    assert list(parts) == ["main", "work", "work/inner"]
    assert [part.position for part in report.parts] == [3, 3, 1]
    assert parts["work"].totals["minted"] == parts["main"].totals["transit"] == 4 * 51_000
    assert parts["work/inner"].totals["minted"] == parts["work"].totals["transit"] == 4 * 2_000
    assert report.batches == report.certificates == 10
    assert (report.position, report.totals) == (3, parts["main"].totals)


def test_a_committee_that_is_not_followed_is_no_fault(path: Path) -> None:
    write_all(path, work=None, inner=None)
    report = verify(path)
    assert report.is_valid
    assert [part.name for part in report.parts] == ["main"]


def test_a_committee_that_nobody_formed_is_found(path: Path) -> None:
    write_all(path, work=None)
    report = verify(path)
    assert not report.is_valid
    assert {finding.problem for finding in report.findings} == {"of an unknown committee"}


@pytest.mark.parametrize(
    "change",
    [
        {
            "members": tuple(
                msgspec.structs.replace(m, bond=BOND + 1) for m in VILLAGE.founding.members
            )
        },
        {"created_ms": VILLAGE.founding.created_ms + 1},
        {"origin": msgspec.structs.replace(VILLAGE.founding.origin, position=2)},
        {"origin": msgspec.structs.replace(VILLAGE.founding.origin, fact=bytes(32))},
    ],
    ids=["more credits", "another time", "another position", "another fact"],
)
def test_a_beginning_that_its_parent_did_not_say_is_found(path: Path, change: dict) -> None:
    forged = msgspec.structs.replace(VILLAGE.founding, **change)
    work = Network((forged, VILLAGE.committee))
    write_all(path, work=(work, [work.make_genesis_batch(), work.make_batch()]), inner=None)
    report = verify(path)
    assert not report.is_valid
    assert report.parts[0].position == 3  # the founding committee's own part stands


def test_a_forged_fact_of_formation_is_a_finding_and_no_crash(path: Path) -> None:
    """Members that stand twice make no committee; whoever writes that into a file is told."""
    write_all(path)
    fact = decode_fact(VILLAGE.main_batches[-1].entry.items[-1])
    assert isinstance(fact, CommitteeFormed)
    forged = msgspec.structs.replace(fact, members=fact.members[:1] * 4)
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER records_update")
    connection.execute(
        "UPDATE records SET data = ? WHERE kind = 'committee_formed' AND committee = ?",
        (encode_fact(forged), VILLAGE.main.committee.id),
    )
    connection.commit()
    connection.close()
    report = verify(path)
    assert not report.is_valid
    assert any("no committee" in finding.problem for finding in report.findings)
