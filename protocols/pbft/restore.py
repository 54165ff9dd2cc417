"""Continue after a restart from what the vote log holds, or in another epoch.

Everything that this member may have signed was durable before it was sent, so after `restore` it
never signs a second digest for a slot: its slots hold the very proposals and votes of before.
"""

from collections.abc import Iterable

from identity import cbor, envelope, schema
from identity.certificate import Certificate
from protocols.committee import Committee
from protocols.messages import FRAME_BYTES_MAX, VOTE_BYTES_MAX, Checkpoint, PrePrepare, Propose
from protocols.pbft.core import Core, Load
from protocols.pbft.slot import Prepared, PreparedRow, Proposal
from protocols.pbft.view_change import ViewRow
from protocols.step import Persist, Step

ROW_BYTES_MAX = 2 * FRAME_BYTES_MAX


def make_core(former: Core, committee: Committee) -> Core:
    """The same member's core for another epoch. What waits to be ordered goes with it."""
    core = Core(
        committee,
        former.key,
        former.application,
        former.check,
        checkpoint_batches=former.checkpoints.interval,
        snapshot_checkpoints=former.checkpoints.snapshot_checkpoints,
    )
    core.memory.follow(former.memory)
    core.pool, core.clock.offset_ms = former.pool, former.clock.offset_ms
    core.pool.begin_view()
    return core


def restore(core: Core, rows: Iterable[Persist], load: Load, now_ms: int) -> Step:
    """Put the vote log's rows of this committee and epoch back into a fresh core.

    Rows of other epochs are not its own, and none is beyond its end. Rows up to the application's
    position are history; the later ones become slots again. The step holds what can be executed at
    once.
    """
    by_kind: dict[str, list[Persist]] = {"stable": [], "view": [], "accepted": [], "prepared": []}
    for row in rows:
        if row.kind == "restored":  # of whatever epoch the lost rows were
            core.memory.mark_restored()
        is_open = core.end is None or row.seq <= core.end
        if row.epoch == core.committee.epoch and row.kind in by_kind and is_open:
            by_kind[row.kind].append(row)
    for row in by_kind["stable"]:
        _restore_stable(core, row)
    for row in by_kind["view"]:
        core.views.restore(schema.decode(row.data, ViewRow, size_max=ROW_BYTES_MAX))
    for row in sorted(by_kind["accepted"], key=lambda row: row.seq):
        _restore_accepted(core, row, load)
    for row in by_kind["prepared"]:
        _restore_prepared(core, row, load)
    step = Step()
    core.resume(now_ms, step)
    return step


def _restore_stable(core: Core, row: Persist) -> None:
    network = core.committee.network
    certificate = Certificate.decode(row.data, network, size_max=ROW_BYTES_MAX)
    checkpoint = schema.decode(certificate.payload, Checkpoint, size_max=VOTE_BYTES_MAX)
    core.checkpoints.restore(certificate, checkpoint.seq)


def _restore_accepted(core: Core, row: Persist, load: Load) -> None:
    hop = schema.convert(cbor.decode_hop(row.data, size_max=ROW_BYTES_MAX), Propose)
    statement = envelope.parse(hop.pre_prepare, size_max=VOTE_BYTES_MAX)
    message = schema.decode(statement.payload, PrePrepare, size_max=VOTE_BYTES_MAX)
    if message.view != core.view or not core.views.is_active:
        return
    core.next_seq = max(core.next_seq, message.seq + 1)
    if message.seq <= core.checkpoints.low:
        return
    slot = core.get_slot(message.seq)
    slot.proposal = Proposal(message, statement, hop, load(hop.operations))
    if statement.signer != core.me:
        core.vote_prepare(slot, message)


def _restore_prepared(core: Core, row: Persist, load: Load) -> None:
    prepared = schema.decode(row.data, PreparedRow, size_max=ROW_BYTES_MAX)
    if row.seq <= core.checkpoints.low:
        return
    hop = schema.convert(cbor.decode_hop(prepared.hop, size_max=ROW_BYTES_MAX), Propose)
    slot = core.get_slot(row.seq)
    slot.prepared = Prepared(prepared.proof, hop, load(hop.operations))
    if row.view == core.view and core.views.is_active and slot.proposal is not None:
        slot.own_commit = envelope.parse(prepared.own_commit, size_max=VOTE_BYTES_MAX)
        digest = prepared.proof.digest
        slot.commits.add(slot.own_commit, digest, is_verified=True, check=core.check)
