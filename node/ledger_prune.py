"""Pruning: rows of a committee's log go, up to a state that q members certified.

What is left has the form of a ledger that began anew behind a fetched state: position 0, a gap, the
state with its certificate, and all rows behind it (docs/adr/0013-state-transfer.md). So `ledger
verify` proves the rest from the state on, and every reader knows the gap. Votes, the present state,
peers' logs, fork proofs and evidence never go.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crdt import auctions
from crdt.facts import Exported, decode_fact
from crdt.tasks import ENDED_STATES
from identity.schema import U63_MAX
from node.ledger import Ledger
from node.ledger_states import Statements, StoredState
from node.ledger_verify import make_chain
from node.replay import replay
from protocols.committee import Committee
from protocols.economy.chain import Chain
from protocols.economy.committees import derive_founding, make_formed_fact
from protocols.economy.state import EconomyState
from protocols.genesis import Founding, Genesis

PRUNE_POSITIONS = 500
"""Positions that go in one transaction: no vote waits long for the ledger's writer."""
EXPORTS_LOOKED_MAX = 1_000

__all__ = ["PRUNE_POSITIONS", "Pruned", "find_hindrance", "find_target", "open_chains", "prune"]


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went of a committee's log: positions 1 to `position`, of which `batches` were held."""

    committee: bytes
    position: int
    batches: int


async def open_chains(ledger: Ledger, path: Path, genesis: Genesis) -> dict[bytes, Chain]:
    """Every committee that the ledger holds, executed to where its log ends. Raises
    EconodeError."""
    held = set(await ledger.read_committees())
    todo: list[tuple[Founding, Committee]] = [(genesis, genesis.make_committee())]
    chains: dict[bytes, Chain] = {}
    while todo:
        founding, committee = todo.pop()
        if committee.id not in held or committee.id in chains:
            continue
        chain = make_chain(founding, committee)
        await replay(ledger, path, chain)
        chains[committee.id] = chain
        for formed in chain.state.formed():
            place = (chain.get_committee(), formed.position, make_formed_fact(formed))
            todo.append(derive_founding(*place, chain.state.parameters))
    return chains


async def find_target(
    ledger: Ledger, committee: bytes, *, before: int | None, until_ms: int | None
) -> StoredState | None:
    """The newest certified state at or below position `before`, and not younger than the agreed
    time `until_ms`; None where none is held, or nothing below it is."""
    if until_ms is not None:
        last = await ledger.find_position(committee, until_ms)
        if last is None:
            return None
        before = last if before is None else min(last, before)
    for state in await ledger.read_snapshots(committee):
        if before is None or state.position <= before:
            count = await ledger.count_batches(committee, 1, state.position)
            return state if count else None
    return None


async def find_hindrance(
    ledger: Ledger, states: Mapping[bytes, EconomyState], committee: bytes, position: int
) -> str:
    """Why rows up to `position` must stay, in words: what a neighbour still has to be shown. Empty
    where they may go. `states` has those of all committees that this node knows."""
    for target, state in states.items():
        border = state.get_border(committee)
        if border is None:
            continue
        sent = states[committee].get_border(target)
        if sent is not None and sent.exported > border.imported:
            first = await _find_export(ledger, committee, target, border.imported + 1)
            if first is None or first <= position:
                return f"transfers to committee {target.hex()[:12]} wait to be carried from there"
        rows = await ledger.read_facts(
            committee, kind="epoch_began", count_max=1, after=(border.epochs[-1].start, U63_MAX)
        )
        if rows and rows[0].position <= position:
            return f"committee {target.hex()[:12]} was not shown the epoch that began there"
    return ""


async def _find_export(ledger: Ledger, committee: bytes, target: bytes, number: int) -> int | None:
    """The position of that transfer, None where it is not among the last ones."""
    rows = await ledger.read_facts(
        committee, kind="exported", count_max=EXPORTS_LOOKED_MAX, newest_first=True
    )
    for row in rows:
        fact = decode_fact(row.data)
        if isinstance(fact, Exported) and (fact.committee, fact.number) == (target, number):
            return row.position
    return None


async def prune(ledger: Ledger, target: StoredState) -> Pruned:
    """Let all rows go that `target` stands for, but for the genesis. What is there is sound after
    each transaction: a crash leaves a smaller gap. Raises LedgerError."""
    committee, position = target.committee, target.position
    batches = await ledger.count_batches(committee, 1, position)
    if target.kind == "own":
        record_hash = await ledger.read_record_hash(committee, position)
        await ledger.change(_build_begin(committee, position, record_hash))
    high = position
    while high > 0:
        # The newest go first: what is left of the old stretch still begins with the genesis.
        low = max(0, high - PRUNE_POSITIONS)
        await ledger.change(_build_slice(committee, low, high, position))
        high = low
    await ledger.flush()
    return Pruned(committee, position, batches)


def _build_begin(committee: bytes, position: int, record_hash: bytes) -> Statements:
    """Have the log go on behind the state at `position`, and the chain of records with it."""
    return [
        (
            "INSERT OR REPLACE INTO chain_starts VALUES (?, ?, ?)",
            [(committee, position, record_hash)],
        ),
        (
            "UPDATE snapshots SET kind = 'begin' WHERE committee = ? AND position = ?",
            [(committee, position)],
        ),
    ]


def _build_slice(committee: bytes, low: int, high: int, position: int) -> Statements:
    """Delete what is of the positions above `low` up to `high`; of the state at `position` what
    belongs to it stays."""
    where = "committee = ?1 AND position > ?2 AND position <= ?3"
    marks = ", ".join(f"'{state}'" for state in ENDED_STATES)
    place = (committee, low, high)
    ended = (
        f"DELETE FROM tasks WHERE committee = ?1 AND state IN ({marks}) AND task IN "
        f"(SELECT task FROM records WHERE {where} AND kind = 'task_ended')"
    )
    sold = ", ".join(f"'{state}'" for state in auctions.ENDED_STATES)
    auctioned = (
        f"DELETE FROM auctions WHERE committee = ?1 AND state IN ({sold}) AND auction IN "
        f"(SELECT task FROM records WHERE {where}) AND NOT EXISTS (SELECT 1 FROM records r "
        "WHERE r.committee = ?1 AND r.task = auctions.auction AND r.position > ?3)"
    )
    kept = f"{where} AND position <> ?4"
    return [
        (ended, [place]),
        (auctioned, [place]),
        *(
            (f"DELETE FROM {table} WHERE {where}", [place])
            for table in ("record_accounts", "records", "entries", "batches")
        ),
        *(
            (f"DELETE FROM {table} WHERE {kept}", [(*place, position)])
            for table in ("certificates", "chunks", "snapshots", "chain_starts")
        ),
    ]
