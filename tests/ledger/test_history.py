"""The past read out of a ledger file: newest first, page by page, by state, by a part of an id."""

from pathlib import Path

import pytest
import trio
import trio_asyncio

from crdt.auctions import AuctionRow
from crdt.tasks import TaskRow
from node.ledger import Ledger
from node.ledger_history import Newest, find_ids, parse_place, read_newest
from node.problem import Problem
from tests.ledger.network import Network

NETWORK = Network()
BATCHES = [
    NETWORK.make_genesis_batch(),
    *NETWORK.make_task_batches(),
    *NETWORK.make_task_batches(),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("history") / "ledger.sqlite3"

    async def write() -> None:
        async with trio_asyncio.open_loop(), Ledger.open(found, NETWORK.id) as ledger:
            for batch in BATCHES:
                ledger.append(batch)

    trio.run(write)
    return found


def read(path: Path, limit: int = 10, **wanted: str | None) -> Newest[TaskRow]:
    given = {"state": None, "before": None, **wanted}
    return read_newest(path, NETWORK.committee.id, TaskRow, limit=limit, **given)


def test_what_was_opened_last_comes_first(path):
    found = read(path)
    assert len(found.rows) == 4
    times = [row.opened_ms for row in found.rows]
    assert times == sorted(times, reverse=True)
    assert times[0] > times[-1]
    assert sum(found.counts.values()) == 4
    assert found.next is None


def test_pages_hold_each_task_once(path):
    whole = [row.task for row in read(path).rows]
    pages, cursor = [], None
    while True:
        page = read(path, 1, before=cursor)
        pages += [row.task for row in page.rows]
        cursor = page.next
        if cursor is None:
            break
    assert pages == whole


def test_a_state_chooses_and_the_counts_stay_whole(path):
    (state,) = read(path).counts
    assert len(read(path, state=state).rows) == 4
    settled = read(path, state="settled")
    assert (settled.rows, settled.counts) == ([], {state: 4})


def test_there_are_no_auctions(path):
    found = read_newest(path, NETWORK.committee.id, AuctionRow, state=None, limit=9, before=None)
    assert (found.rows, found.next, found.counts) == ([], None, {})


@pytest.mark.parametrize("digits", [4, 7, 64])
def test_ids_are_found_by_their_first_digits(path, digits):
    for row in read(path).rows:
        prefix = row.task.hex()[:digits]
        assert row.task in find_ids(path, NETWORK.committee.id, TaskRow, prefix, 9)
    assert find_ids(path, NETWORK.committee.id, AuctionRow, "abcd", 9) == []


@pytest.mark.parametrize("cursor", ["", "1", "1.", ".1", "a.b", "-1.0", "1.2.3", "9" * 19 + ".0"])
def test_other_cursors_are_refused(path, cursor):
    with pytest.raises(Problem, match="cursor"):
        read(path, before=cursor)


def test_a_cursor_is_a_place():
    assert parse_place("12.3") == (12, 3)
