"""`econode ledger prune`: prunes the ledger of a home whose node does not run."""

import sqlite3
import time
from contextlib import closing
from typing import Any

from node.blob_store import BlobAbsent, BlobStore
from node.config_file import load_config
from node.home import Home
from node.ledger import Ledger
from node.ledger_load import run_with_loop
from node.ledger_prune import Pruned, find_hindrance, find_target, open_chains, prune
from node.ledger_states import StoredState
from node.problem import Problem
from protocols.economy.chain import Chain


def prune_home(
    home: Home,
    committee: bytes,
    *,
    keep_ms: int | None,
    before: int | None,
    with_blobs: bool,
    give_up_proofs: bool,
) -> dict[str, Any]:
    """Prune the log of `committee` in `home`, whose lock the caller holds. What went, as plain
    data. Raises Problem, naming why, where nothing may go."""
    size = home.ledger_path.stat().st_size
    done: list[Pruned] = []
    blobs: list[int] = []

    async def run() -> None:
        genesis = home.load_genesis()
        network = genesis.compute_network_id()
        async with Ledger.open(home.ledger_path, network) as ledger:
            chains = await open_chains(ledger, home.ledger_path, genesis)
            until_ms = None if keep_ms is None else time.time_ns() // 1_000_000 - keep_ms
            target = await find_target(ledger, committee, before=before, until_ms=until_ms)
            if target is None:
                raise await _explain_nothing(ledger, home, committee)
            await _check(ledger, chains, home, target, give_up_proofs)
            done.append(await prune(ledger, target))
            if with_blobs and keep_ms is not None:
                blobs.append(_expire_blobs(home, chains, keep_ms))

    run_with_loop(run)
    _compact(home)
    return {
        "committee": committee.hex(),
        "verified_from": done[0].position,
        "batches": done[0].batches,
        "blobs": sum(blobs),
        "bytes_before": size,
        "bytes_after": home.ledger_path.stat().st_size,
    }


async def _check(
    ledger: Ledger,
    chains: dict[bytes, Chain],
    home: Home,
    target: StoredState,
    give_up_proofs: bool,
) -> None:
    states = {id_: chain.state for id_, chain in chains.items()}
    hindrance = await find_hindrance(ledger, states, target.committee, target.position)
    if hindrance:
        raise Problem(
            "still-needed",
            f"nothing went: {hindrance}",
            where=str(home.ledger_path),
            remedy="start the node and let it carry and renew, then stop and prune again",
            status=409,
        )
    rows = await ledger.read_facts(target.committee, kind="epoch_began", count_max=1)
    if rows and rows[0].position <= target.position and not give_up_proofs:
        raise Problem(
            "proofs-needed",
            f"nothing went: the members changed at position {rows[0].position}, and without it "
            "`econode ledger prove` cannot show others who they are",
            where=str(home.ledger_path),
            remedy="leave that to nodes that keep everything: --give-up-proofs; or prune "
            f"--before {rows[0].position}",
            status=409,
        )


async def _explain_nothing(ledger: Ledger, home: Home, committee: bytes) -> Problem:
    states = await ledger.read_snapshots(committee)
    positions = ", ".join(str(state.position) for state in reversed(states)) or "none"
    return Problem(
        "nothing-to-prune",
        "nothing is as old as that and has a certified state behind it to go on from",
        where=str(home.ledger_path),
        remedy=f"certified states are held at positions: {positions}; with [ledger] "
        "retention_hours the node keeps older ones to prune by",
        status=409,
    )


def _expire_blobs(home: Home, chains: dict[bytes, Chain], keep_ms: int) -> int:
    """Let blobs as old go, but for those of tasks under way. How many went."""
    storage = load_config(home.config_path).storage
    store = BlobStore(home.blobs_path, bytes_max=storage.blob_store_bytes_max)
    for chain in chains.values():
        for task in chain.list_tasks():
            for digest in filter(None, (task.input, task.output)):
                try:
                    store.pin(digest)
                except BlobAbsent:
                    continue  # not held here
    return store.expire(time.time(), keep_ms / 1_000)


def _compact(home: Home) -> None:
    """Give the room back to the disk. Where there is too little to do that, the file keeps it."""
    with closing(sqlite3.connect(home.ledger_path, isolation_level=None)) as ledger:
        try:
            ledger.execute("VACUUM")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
        ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
