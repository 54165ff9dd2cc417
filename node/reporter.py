"""This node's reports on variables in one committee: what it sealed is opened when it is time,
also after a restart."""

import hashlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

from identity.errors import EconodeError, InvalidBytes
from node import report_notes
from node.account import Ordered, Refused
from node.agent import compute_agent_secret
from node.driver import read_clock_ms
from node.log_lines import about
from node.problem import Problem
from node.report_notes import ReportNote
from node.woken import Woken
from protocols.auction.commit_reveal import compute_report_commitment
from protocols.economy.market_model import Variable
from protocols.economy.operations_market import RevealReport

if TYPE_CHECKING:
    from node.place import Place

logger = logging.getLogger("econode.reporter")

LOOK_SECONDS = 5.0
"""Longest time between two looks at what is under way."""
OPEN_MAX = 1_000
"""Reports of one node on terms that have not ended."""


class Reporter(Woken):
    """A driver's listener; `run` acts."""

    def __init__(self, place: "Place") -> None:
        super().__init__()
        self._place = place
        self._me = place.node.key.public
        self._secret = compute_agent_secret(place.node.key)
        self._notes: dict[bytes, ReportNote] = {}
        self._refused: set[bytes] = set()
        """Notes whose opening was refused: again it would be, for another fee."""

    # --- by hand ------------------------------------------------------------------------------

    async def keep(self, variable: Variable, objective_ppm: int) -> None:
        """Note a report before its seal is sent; returns when it is on disk. Raises Problem,
        LedgerError."""
        note = ReportNote(
            committee=self._place.id,
            variable=variable.id,
            round=variable.round,
            objective_ppm=objective_ppm,
            created_ms=read_clock_ms(),
        )
        id_ = note.compute_id()
        if id_ in self._notes:
            return
        if len(self._notes) >= OPEN_MAX:
            raise Problem(
                "too-many-reports",
                f"this node has {OPEN_MAX} reports under way",
                remedy="wait until some terms have ended",
                status=409,
            )
        self._notes[id_] = note
        self._place.node.ledger.put_report(id_, note)
        await self._place.node.ledger.flush()

    def compute_seal(self, variable: Variable, objective_ppm: int) -> bytes:
        """The commitment of this node's report on the present term."""
        place = self._place.committee
        salt = self.derive_salt(variable, objective_ppm)
        return compute_report_commitment(
            place.network, place.id, variable.id, variable.round, self._me, objective_ppm, salt
        )

    def derive_salt(self, variable: Variable, objective_ppm: int) -> bytes:
        """The same after a restart, and nobody else's guess."""
        said = variable.round.to_bytes(4) + objective_ppm.to_bytes(4)
        return hashlib.sha256(b"econode/report-salt" + self._secret + variable.id + said).digest()

    # --- running ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Act until cancelled. Raises LedgerError."""
        await self._load()
        async with trio.open_nursery() as nursery:
            self._news.set()
            while True:
                with trio.move_on_after(LOOK_SECONDS):
                    await self._news.wait()
                self._news = trio.Event()
                if self._notes and not self._place.seat.catch_up.is_behind():
                    await self._act(nursery)

    async def _load(self) -> None:
        for data in await self._place.node.ledger.read_reports_open(count_max=OPEN_MAX):
            try:
                note = report_notes.decode(data)
            except InvalidBytes as error:
                logger.error(
                    "a note of a report is damaged: %s", error, extra=about("report_note_damaged")
                )
            else:
                if note.committee == self._place.id:
                    self._notes[note.compute_id()] = note

    async def _act(self, nursery: trio.Nursery) -> None:
        variables = {each.id: each for each in self._place.chain.state.variables()}
        for id_, note in list(self._notes.items()):
            variable = variables.get(note.variable)
            if variable is None or variable.round > note.round:
                await self._close(id_, note)
        for id_, body in list(self._list_due(variables)):
            ordered = self._place.account.try_submit(body)
            if ordered is not None:
                nursery.start_soon(self._await, id_, ordered)

    def _list_due(self, variables: dict[bytes, Variable]) -> Iterator[tuple[bytes, RevealReport]]:
        """What is to be opened now: notes whose seal is the one that was ordered."""
        under_way = {
            (operation.body.variable, operation.body.round)
            for operation in self._place.account.get_pending()
            if isinstance(operation.body, RevealReport)
        }
        for id_, note in self._notes.items():
            variable = variables[note.variable]
            if variable.stage != "report_reveal" or id_ in self._refused:
                continue
            mine = next((each for each in variable.reports if each.member == self._me), None)
            if mine is None or mine.objective_ppm is not None:
                continue
            if mine.commitment != self.compute_seal(variable, note.objective_ppm):
                continue
            if (note.variable, note.round) not in under_way:
                salt = self.derive_salt(variable, note.objective_ppm)
                yield id_, RevealReport(note.variable, note.round, note.objective_ppm, salt)

    async def _await(self, id_: bytes, ordered: Ordered) -> None:
        try:
            await ordered.wait()
        except Refused as refused:
            logger.warning("a report was not opened: %s", refused, extra=about("report_refused"))
            self._refused.add(id_)
        except EconodeError as error:  # its nonce went to another operation: `_act` looks again
            logger.info("a report may not be opened: %s", error, extra=about("report_refused"))
            self._news.set()

    async def _close(self, id_: bytes, note: ReportNote) -> None:
        del self._notes[id_]
        self._refused.discard(id_)
        await self._place.node.ledger.wait_room(0)
        self._place.node.ledger.put_report(id_, replace(note, is_open=False))
