"""Brings a committee's chain to where the ledger left it: from the newest state that it holds, by
executing the batches after it again."""

import logging
from dataclasses import dataclass
from pathlib import Path

from identity.errors import EconodeError, InvalidBytes
from node.ledger import Ledger
from node.ledger_rows import LedgerError, make_genesis_batch
from node.ledger_states import StoredState, read_checkpoint
from node.log_lines import about
from protocols.economy.chain import Chain
from protocols.economy.semantics import UnsupportedSemantics
from protocols.pbft.trail import Passed, Trail
from protocols.requests import parse_request

logger = logging.getLogger("econode.replay")

REPLAY_BATCHES = 256
REPLAY_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Replayed:
    """The state that a replay began from, if not the genesis, and the checkpoints it passed."""

    start: StoredState | None
    passed: tuple[Passed, ...] = ()


async def replay(ledger: Ledger, path: Path, chain: Chain) -> Replayed:
    """Bring `chain`, which stands at its genesis, to the end of what `ledger`, the file at `path`,
    holds of the committee; a ledger without the committee gets the genesis. Raises EconodeError
    for a damaged ledger."""
    committee = chain.get_committee()
    last = await ledger.get_last(committee.id)
    if last is None:
        ledger.append(make_genesis_batch(committee.network, chain.genesis_entry))
        await ledger.flush()
        return Replayed(None)
    start = await _load_newest(ledger, path, chain)
    trail = Trail(chain.state.parameters.checkpoint_batches, last[0])
    position = chain.get_position() + 1
    while position <= last[0]:
        found = await ledger.read_batches(
            committee.id, position, count_max=REPLAY_BATCHES, bytes_max=REPLAY_BYTES
        )
        for batch in found:
            now = chain.get_committee()
            requests = [parse_request(data, now)[0] for data in batch.operations]
            chain.execute(batch.position, batch.time_ms, batch.digest, requests)
            trail.note(chain)
        if not found or chain.get_position() < position:
            break
        position = chain.get_position() + 1
    if chain.get_head() != last[1]:
        raise EconodeError(
            f"{path}: replaying the batches gives another head than the one recorded. The file is "
            "damaged: `econode ledger verify` names the place; restore it from another member or "
            "remove it to fetch it anew."
        )
    return Replayed(start, tuple(trail.passed))


async def _load_newest(ledger: Ledger, path: Path, chain: Chain) -> StoredState | None:
    """Load the newest state that proves good. A damaged one costs time, not the start, unless it
    is one that batches begin behind."""
    genesis, committee = (chain.dump_state(), 0, chain.get_head()), chain.get_committee()
    for state in await ledger.read_snapshots(committee.id):
        try:
            data = state.join(await ledger.read_chunks(committee.id, state.position))
            head = read_checkpoint(state.certificate).head
            chain.load_state(data, state.position, head)
            state.check(chain.find_committee(state.read_epoch()))
        except UnsupportedSemantics:
            raise
        except (InvalidBytes, LedgerError) as error:
            if state.kind == "begin":
                raise EconodeError(
                    f"{path}: the state at {state.position}, behind which the batches begin, is "
                    f"damaged: {error}. Restore the file from a backup, or move it away: the node "
                    "fetches it anew from its peers."
                ) from None
            logger.warning(
                "the state at %d in the ledger is damaged: %s",
                state.position,
                error,
                extra=about("state_damaged", position=state.position),
            )
            chain.load_state(*genesis)
        else:
            return state
    return None
