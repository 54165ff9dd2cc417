"""Anomalies and screens of one committee, kept up to date beside the work: a look at what the
ledger took in since the last one, of bounded cost, in a thread."""

import logging
from collections import Counter
from typing import TYPE_CHECKING

import trio

from crdt.facts import decode_fact
from identity import envelope, schema
from identity.errors import InvalidBytes
from identity.keys import compute_peer_id
from node.ledger_rows import ExecutedBatch
from node.log_lines import about
from protocols.anomalies.watch import Anomaly, Watch, count_owned
from protocols.auction.screening import Evidence, Screening
from protocols.messages import VOTE_BYTES_MAX, Commit

if TYPE_CHECKING:
    from node.place import Place

logger = logging.getLogger("econode.anomalies")

LOOK_SECONDS = 30.0
POSITIONS_MAX = 2_000
"""Entries of a look at most; older ones that were not reached are left out."""
FACTS_MAX = 20_000
"""Facts of a look at most: decoding them costs a second at worst."""
BATCHES_PER_READ = 64
BYTES_PER_READ = 8 * 1024 * 1024
TOLD_MAX = 4_096
"""Anomalies that were logged and still stand."""


class AnomalyDesk:
    """What is unusual in a committee. `anomalies` and `evidence` (of the screens) stand for the
    entries from `first` to `last`, `skipped` of which were left out."""

    def __init__(self, place: "Place") -> None:
        self._place = place
        self._lock = trio.Lock()
        self._watch, self._screening = Watch(), Screening()
        self._told: set[tuple[str, bytes, bytes | None]] = set()
        self.first = self.last = -1
        self.skipped = 0
        self.anomalies: list[Anomaly] = []
        self.evidence: list[Evidence] = []

    def count(self) -> Counter[str]:
        """How many there are of each kind, as of the last look."""
        kinds = [found.kind for found in self.anomalies]
        return Counter([*kinds, *(found.screen for found in self.evidence)])

    async def run(self) -> None:
        """Look whenever something was ordered, until cancelled. Raises LedgerError."""
        while True:
            if self._place.chain.get_position() > self.last:
                await self.look()
            await trio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Take in what is new and judge anew. Raises LedgerError."""
        async with self._lock:
            await self._place.node.ledger.flush()
            last = self._place.chain.get_position()
            start = max(0, last - POSITIONS_MAX + 1)
            if self.first < 0:
                self.first, self.last = start, start - 1
            elif start > self.last + 1:
                self.skipped += start - self.last - 1
                self.last = start - 1
            await self._take_in(last)
            balances = self._place.chain.state.stake.balances()
            owned = count_owned((*key, amount) for key, amount in balances.items())
            self.anomalies = await trio.to_thread.run_sync(self._watch.list_anomalies, owned)
            self.evidence = await trio.to_thread.run_sync(self._screening.list_evidence)
            self._tell()

    async def _take_in(self, last: int) -> None:
        committee, facts = self._place.committee, 0
        members = (committee.epoch, committee.members)
        while self.last < last and facts < FACTS_MAX:
            batches = await self._place.node.ledger.read_batches(
                committee.id,
                self.last + 1,
                count_max=BATCHES_PER_READ,
                bytes_max=BYTES_PER_READ,
            )
            if not batches:
                return
            await trio.to_thread.run_sync(self._fold, batches, *members)
            facts += sum(len(batch.entry.items) for batch in batches)
            self.last = batches[-1].position

    def _fold(self, batches: list[ExecutedBatch], epoch: int, members: tuple[bytes, ...]) -> None:
        for batch in batches:
            time_ms = batch.entry.header.time_ms
            for item in batch.entry.items:
                fact = decode_fact(item)
                self._watch.apply(fact, time_ms)
                self._screening.apply(fact, time_ms)
            found = read_votes(batch)
            if found is not None and found[0] == epoch:
                self._watch.note_votes(time_ms, *found, members)

    def _tell(self) -> None:
        """A line for each that was not there at the last look."""
        now: set[tuple[str, bytes, bytes | None]] = set()
        for each in self.anomalies[:TOLD_MAX]:
            now.add((each.kind, each.subject, each.about))
            if (each.kind, each.subject, each.about) not in self._told:
                fields = {
                    "subject": compute_peer_id(each.subject) if each.subject else None,
                    "capability": each.about,
                    "observed": each.observed,
                    "low": each.low,
                    "high": each.high,
                    "unit": each.unit,
                    "committee": self._place.name,
                }
                logger.warning("", extra=about("anomaly", kind=each.kind, **fields))
        self._told = now


def read_votes(batch: ExecutedBatch) -> tuple[int, int, set[bytes]] | None:
    """Epoch and view in which a batch was committed, and who signed its proof; None for the
    genesis. The ledger holds proven batches: signatures are not checked again."""
    try:
        statements = [envelope.parse(data, size_max=VOTE_BYTES_MAX) for data in batch.proof]
        if not statements:
            return None
        commit = schema.decode(statements[0].payload, Commit, size_max=VOTE_BYTES_MAX)
    except InvalidBytes:
        return None  # `econode ledger verify` says what is damaged
    return statements[0].epoch, commit.view, {each.signer for each in statements}
