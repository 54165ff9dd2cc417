"""The part of the ledger's check that is about certified states: see `node.ledger_verify`."""

import sqlite3
from collections.abc import Callable, Sequence

from identity.errors import EconodeError, InvalidSchema
from node.ledger_states import StoredState
from protocols.committee import Committee
from protocols.economy.semantics import UnsupportedSemantics
from protocols.messages import Checkpoint
from protocols.pbft.application import Application
from protocols.state_tree import StateTree, cut, digest_state, hash_chunks

Add = Callable[[str, str, str], None]
"""Reports a problem: table, row, words."""


class StateCheck:
    """Checks the states of one committee; of a fetched one the replay goes on."""

    def __init__(
        self, connection: sqlite3.Connection, committees: Sequence[Committee], add: Add
    ) -> None:
        """`committees` grows with the epochs that the replay reaches."""
        self._connection = connection
        self._committees = committees
        self._id = committees[0].id
        self._add = add
        self._chain_starts = self._read_chain_starts()
        self.heads: dict[int, bytes] = {}
        """Heads at which a stretch begins."""
        self._states = {
            state.position: state
            for state in (
                StoredState(row[0], row[1], bytes(row[2]).decode(errors="replace"), *row[3:])
                for row in connection.execute(
                    "SELECT * FROM snapshots WHERE committee = ? AND kind <> 'coming' "
                    "ORDER BY position",
                    (self._id,),
                )
            )
        }

    def _read_chain_starts(self) -> dict[int, bytes]:
        """Empty in a file from before there was pruning."""
        found = self._connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'chain_starts'")
        if found.fetchone() is None:
            return {}
        return dict(
            self._connection.execute(
                "SELECT position, hash FROM chain_starts WHERE committee = ?", (self._id,)
            )
        )

    def get_chain_start(self, position: int, checkpoint: Checkpoint) -> bytes:
        """What the first record behind the state at `position` is chained to."""
        return self._chain_starts.pop(position, checkpoint.state)

    def find_begin(self, position: int) -> int | None:
        """The first position from `position` on at which a fetched state stands."""
        begins = (p for p, state in self._states.items() if state.kind == "begin")
        return min((p for p in begins if p >= position), default=None)

    def begin(self, position: int, application: Application) -> Checkpoint | None:
        """Load the fetched state at `position`; None when it is not there or not proven."""
        state = self._states.pop(position, None)
        if state is None:
            return None
        try:
            checkpoint, data = self._check(state)
            application.load_state(data, position, checkpoint.head)
        except UnsupportedSemantics:
            raise
        except EconodeError as error:
            self._add("snapshots", f"{position}", str(error))
            return None
        self.heads[position] = checkpoint.head
        return checkpoint

    def compare(self, position: int, application: Application | None) -> None:
        """Check an own state against what the replay gives at its position."""
        state = self._states.pop(position, None)
        if state is None:
            return
        try:
            checkpoint, _ = self._check(state)
        except EconodeError as error:
            self._add("snapshots", f"{position}", str(error))
            return
        if application is None:
            return  # the replay stopped before; that has been reported
        found = (application.get_head(), digest_state(application.dump_state()))
        if found != (checkpoint.head, checkpoint.state):
            self._add("snapshots", f"{position}", "the replay gives another state")

    def finish(self) -> None:
        """Report what belongs to nothing."""
        for position in self._states:
            self._add("snapshots", f"{position}", "of a position that is not held")
        for position in self._chain_starts:
            self._add("chain_starts", f"{position}", "of no state that rows begin behind")
        for position, count in self._connection.execute(
            "SELECT position, count(*) FROM chunks WHERE committee = ?1 AND position NOT IN "
            "(SELECT position FROM snapshots WHERE committee = ?1) GROUP BY position",
            (self._id,),
        ):
            self._add("chunks", f"{position}", f"{count} chunks of no state")

    def _check(self, state: StoredState) -> tuple[Checkpoint, bytes]:
        epoch = state.read_epoch()
        known = {committee.epoch: committee for committee in self._committees}
        checkpoint = state.check(known.get(epoch))
        rows = self._connection.execute(
            "SELECT item, data FROM chunks WHERE committee = ? AND position = ? ORDER BY item",
            (self._id, state.position),
        )
        data = state.join(dict(rows))
        if hash_chunks(cut(data)) != state.leaves or StateTree(state.leaves).root != state.root:
            raise InvalidSchema("its leaves are not those of its chunks")
        return checkpoint, data
