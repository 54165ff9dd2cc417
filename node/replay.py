"""Brings a committee's chain to where the ledger left it, by executing its batches again."""

from pathlib import Path

from identity.errors import EconodeError
from node.ledger import Ledger
from node.ledger_rows import make_genesis_batch
from protocols.economy.chain import Chain
from protocols.requests import parse_request

REPLAY_BATCHES = 256
REPLAY_BYTES = 16 * 1024 * 1024


async def replay(ledger: Ledger, path: Path, chain: Chain) -> None:
    """Execute what `ledger`, the file at `path`, holds of the committee on `chain`, which stands at
    its genesis; a ledger without the committee gets the genesis. Raises EconodeError for a damaged
    ledger."""
    committee = chain.get_committee()
    last = await ledger.get_last(committee.id)
    if last is None:
        ledger.append(make_genesis_batch(committee.network, chain.genesis_entry))
        await ledger.flush()
        return
    position = 1
    while position <= last[0]:
        found = await ledger.read_batches(
            committee.id, position, count_max=REPLAY_BATCHES, bytes_max=REPLAY_BYTES
        )
        for batch in found:
            requests = [parse_request(data, committee)[0] for data in batch.operations]
            chain.execute(batch.position, batch.time_ms, batch.digest, requests)
        position = chain.get_position() + 1
    if chain.get_head() != last[1]:
        raise EconodeError(
            f"{path}: replaying the batches gives another head than the one recorded. The file is "
            "damaged: `econode ledger verify` names the place; restore it from another member or "
            "remove it to fetch it anew."
        )
