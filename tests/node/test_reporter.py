"""Sealed reports are on disk before they are sent, and opened by the node that has them, once."""

import contextlib
import hashlib
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import trio
import trio.testing
import trio_asyncio
from msgspec.structs import replace

from crdt.facts import Rejected
from identity.keys import PrivateKey
from node.account import Refused
from node.ledger import Ledger
from node.problem import Problem
from node.reporter import Reporter
from protocols.auction.commit_reveal import compute_report_commitment
from protocols.economy.market_model import SealedReport, Variable
from protocols.economy.operations_market import RevealReport
from tests.economy.market_commands import make_variable

KEY = PrivateKey(hashlib.sha256(b"reporter").digest())
NETWORK, COMMITTEE, ID = bytes([1] * 32), bytes([2] * 16), bytes([3] * 32)
TERMS = make_variable("rate")
ASKED = Variable(ID, KEY.public, TERMS, 1, 100, stage="report")


class Place:
    """A committee's state with one variable, and an account that keeps what it is given."""

    def __init__(self, ledger: Ledger, refuses: bool = False) -> None:
        self.id = COMMITTEE
        self.committee = SimpleNamespace(network=NETWORK, id=COMMITTEE)
        self.node = SimpleNamespace(key=KEY, ledger=ledger)
        self.seat = SimpleNamespace(catch_up=SimpleNamespace(is_behind=lambda: False))
        self.chain = SimpleNamespace(state=self)
        self.account = self
        self.shown: list[Variable] = [ASKED]
        self.submitted: list[RevealReport] = []
        self.refuses = refuses

    def variables(self):
        return iter(self.shown)

    def get_pending(self):
        return []

    def try_submit(self, body):
        self.submitted.append(body)
        return self

    async def wait(self) -> None:
        if self.refuses:
            rejected = Rejected(
                operation=bytes(32), account=KEY.public, reason="too_late", detail="", moves=()
            )
            raise Refused(rejected)
        # It was executed: the state has what was opened.
        mine = replace(self.shown[0].reports[0], objective_ppm=self.submitted[-1].objective_ppm)
        self.shown = [replace(self.shown[0], reports=(mine,))]

    def seal(self, commitment: bytes) -> None:
        report = SealedReport(KEY.public, commitment)
        self.shown = [replace(ASKED, stage="report_reveal", reports=(report,))]


@contextlib.asynccontextmanager
async def open_ledger(folder):
    async with trio_asyncio.open_loop(), Ledger.open(folder / "ledger", NETWORK) as ledger:
        yield ledger


async def act(reporter: Reporter, is_done: Callable[[], object]) -> None:
    """Run it until that is so, and then through one more look."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reporter.run)
        with trio.fail_after(30):
            while not is_done():
                await trio.sleep(0.01)
        reporter._news.set()
        await trio.testing.wait_all_tasks_blocked(0.05)
        nursery.cancel_scope.cancel()


async def test_a_restarted_node_opens_what_it_sealed(tmp_path):
    async with open_ledger(tmp_path) as ledger:
        place = Place(ledger)
        before = Reporter(place)
        await before.keep(ASKED, 800_000)
        await before.keep(ASKED, 800_000)  # again is no other report
        place.seal(before.compute_seal(ASKED, 800_000))
        assert len(await ledger.read_reports_open(count_max=10)) == 1
        await act(Reporter(place), lambda: place.submitted)
        (opened,) = place.submitted
        assert (opened.variable, opened.round, opened.objective_ppm) == (ID, 1, 800_000)
        expected = compute_report_commitment(
            NETWORK, COMMITTEE, ID, 1, KEY.public, opened.objective_ppm, opened.salt
        )
        assert expected == before.compute_seal(ASKED, 800_000)


async def test_notes_go_with_the_term(tmp_path):
    async with open_ledger(tmp_path) as ledger:
        place = Place(ledger)
        reporter = Reporter(place)
        await reporter.keep(ASKED, 5)
        place.shown = [replace(ASKED, round=2, stage="auction")]
        await act(reporter, lambda: not reporter._notes)
        await ledger.flush()
        assert place.submitted == []
        assert await ledger.read_reports_open(count_max=10) == []
        assert await ledger.read_bids_open(count_max=10) == []


async def test_only_the_seal_that_was_ordered_is_opened_and_a_refusal_is_the_end(tmp_path):
    async with open_ledger(tmp_path) as ledger:
        place = Place(ledger, refuses=True)
        reporter = Reporter(place)
        await reporter.keep(ASKED, 1)
        await reporter.keep(ASKED, 2)
        place.seal(reporter.compute_seal(ASKED, 2))
        await act(reporter, lambda: reporter._refused)
        assert [body.objective_ppm for body in place.submitted] == [2]


async def test_reports_are_bounded(tmp_path, monkeypatch):
    async with open_ledger(tmp_path) as ledger:
        monkeypatch.setattr("node.reporter.OPEN_MAX", 1)
        reporter = Reporter(Place(ledger))
        await reporter.keep(ASKED, 1)
        with pytest.raises(Problem, match="under way"):
            await reporter.keep(ASKED, 2)
