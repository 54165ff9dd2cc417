"""Defects of quorums, votes, proposals, execution and durability."""

from devnet.sim.defects.patch import make
from devnet.sim.defects.relevance import both, lies, lies_alike, pipelines, starts_again

_CORE = "protocols.pbft.core:Core"
_TALLY = "protocols.pbft.quorum:Tally"
_QUORUM = "protocols.committee:compute_quorum"
_CLOCK = "protocols.pbft.clock:ClockReadings"


DEFECTS = (
    make("quorum_too_small", "q is one less", (_QUORUM, "// 2 + 1", "// 2")),
    make(
        "quorum_literal_2f_1",
        "q is 2f+1 where n is not 3f+1",
        (_QUORUM, "(n + compute_faults(n)) // 2 + 1", "2 * compute_faults(n) + 1"),
        nodes=6,
    ),
    make(
        "votes_without_digest",
        "votes for any digest count",
        (f"{_TALLY}.collect", "if vote.digest == digest", ""),
    ),
    make(
        "duplicate_votes",
        "each statement counts, not each signer",
        (f"{_TALLY}.add", "[statement.signer]", "[statement.data]"),
        (f"{_TALLY}.add", ".get(statement.signer)", ".get(statement.data)"),
        (f"{_TALLY}.collect", "[vote.statement.signer]", "[vote.statement.data]"),
    ),
    make(
        "votes_unverified",
        "no signature of a counted vote is checked",
        (f"{_TALLY}.collect", "check(vote.statement)", "pass"),
        shows=lies("mutate"),
    ),
    make(
        "relayed_votes_unverified",
        "a vote that another member passed on is taken as its signer's",
        (f"{_CORE}._on_slot_vote", "self.check(statement)", "pass"),
        shows=lies("mutate"),
    ),
    make(
        "unchecked_evidence",
        "evidence is made of votes that nobody checked",
        (f"{_CORE}._on_slot_vote", "not (direct or known)", "not direct"),
        nodes=7,
        shows=lies("mutate"),
    ),
    make(
        "prepared_too_early",
        "one PREPARE less makes a prepared certificate",
        (f"{_CORE}._try_prepare", "self.committee.q - 1", "self.committee.q - 2"),
    ),
    make(
        "commits_before_prepared",
        "a COMMIT needs no PREPAREs",
        (f"{_CORE}._try_prepare", "self.committee.q - 1", "0"),
    ),
    make(
        "committed_too_early",
        "one COMMIT less commits",
        (
            f"{_CORE}._try_commit",
            "self.committee.q, self.check",
            "self.committee.q - 1, self.check",
        ),
    ),
    make(
        "primary_prepares",
        "the primary's PREPARE counts beside its proposal",
        (
            f"{_CORE}._on_slot_vote",
            "if statement.signer == self.committee.get_primary(self.view):",
            "if False:",
        ),
    ),
    make(
        "anyone_proposes",
        "a proposal of any member is accepted",
        (
            f"{_CORE}._is_acceptable",
            "statement.signer == self.committee.get_primary(self.view)",
            "True",
        ),
        shows=lies("mutate"),
    ),
    make(
        "no_watermarks",
        "votes and proposals of any slot are kept",
        (f"{_CORE}._is_in_window", "self.checkpoints.low < seq <= self.checkpoints.high", "True"),
        shows=lies("mutate"),
    ),
    make(
        "second_proposal_replaces",
        "a later proposal replaces the accepted one",
        (f"{_CORE}.on_propose", "if slot.proposal is not None:", "if False:"),
    ),
    make(
        "batch_digest_unchecked",
        "the batch may be another than its digest says",
        (
            f"{_CORE}.on_propose",
            "if message.digest != compute_batch_digest(hop.time_ms, [r.digest for r in requests]):",
            "if False:",
        ),
        shows=both(lies("mutate"), lies_alike),
    ),
    make(
        "operations_unverified",
        "a proposed operation's signature is not checked",
        ("protocols.requests:_load", "core.check(statement)", "pass"),
        shows=both(lies("mutate"), lies_alike),
    ),
    make(
        "no_clock_check",
        "the proposed time need not be the median of its readings",
        (f"{_CLOCK}.check", "if compute_median(readings.values()) != hop.time_ms:", "if False:"),
        shows=both(lies("mutate"), lies_alike),
    ),
    make(
        "clock_readings_repeat",
        "one reading may stand q times",
        (
            f"{_CLOCK}.check",
            "if len(readings) != committee.q or len(hop.clock) != committee.q:",
            "if not readings:",
        ),
        shows=both(lies("mutate"), lies_alike),
    ),
    make(
        "clock_readings_unverified",
        "readings need no valid signature",
        (f"{_CLOCK}.check", "if not self.is_known(statement):", "if False:"),
        shows=both(lies("mutate"), lies_alike),
    ),
    make(
        "executes_out_of_order",
        "a committed slot executes before those below it",
        (
            f"{_CORE}.execute_ready",
            "slot = self.slots.get(self.executed + 1)",
            "slot = next((s for s in self.slots.values() if s.proof), None)",
        ),
    ),
    make(
        "time_goes_back",
        "the agreed time follows each proposal",
        (
            "protocols.economy.state:EconomyState.execute",
            "max(books.time_ms, time_ms)",
            "time_ms",
        ),
    ),
    make(
        "executes_twice",
        "a nonce is not used up by its operation",
        (
            "protocols.economy.accounts:take_nonce",
            "operation.nonce != books.nonces.get(signer, 0) + 1",
            "operation.nonce > books.nonces.get(signer, 0) + 1",
        ),
        shows=lies("mutate"),
    ),
    make(
        "certificate_without_quorum",
        "f+1 signatures certify an outcome",
        (
            "protocols.pbft.heads:Heads._try_certify",
            "core.committee.q, core.check",
            "core.committee.f + 1, core.check",
        ),
    ),
    make(
        "checkpoint_without_quorum",
        "f+1 signatures make a checkpoint stable",
        (
            "protocols.pbft.checkpoint:Checkpoints._try_stabilise",
            "core.committee.q, core.check",
            "core.committee.f + 1, core.check",
        ),
    ),
    make(
        "checkpoint_forgets_open_slots",
        "a stable checkpoint drops slots above it, too",
        (
            "protocols.pbft.checkpoint:Checkpoints._forget",
            "for old in [s for s in known if s <= seq]:",
            "for old in [s for s in known if s <= seq + (known is self._core.slots)]:",
        ),
        shows=pipelines,
    ),
    make(
        "never_truncates",
        "slots below the stable checkpoint are kept",
        ("protocols.pbft.checkpoint:Checkpoints._forget", "if s <= seq", "if False"),
    ),
    make(
        "heads_before_durable",
        "a head is signed before the ledger holds what it covers",
        (
            "protocols.pbft.heads:Heads.note_executed",
            "self._try_certify(position, step)",
            "self.sign(position, step)",
        ),
        shows=starts_again,
    ),
    # --- durability ---------------------------------------------------------------------------
    make(
        "amnesia",
        "a restart begins with nothing",
        ("protocols.pbft.restore:restore", "for row in rows:", "for row in ():"),
        shows=starts_again,
    ),
    make(
        "forgets_accepted_rows",
        "an accepted proposal is not durable before its PREPARE",
        (
            f"{_CORE}._accept",
            'step.persist.append(self._row("accepted", message, schema.encode(slot.proposal.hop)))',
            "pass",
        ),
        shows=starts_again,
    ),
    make(
        "forgets_prepared_rows",
        "a prepared certificate is not durable before its COMMIT",
        (
            f"{_CORE}._try_prepare",
            'step.persist.append(self._row("prepared", message, schema.encode(row)))',
            "pass",
        ),
        shows=starts_again,
    ),
    make(
        "forgets_view",
        "the choice to leave a view is not durable",
        (
            "protocols.pbft.view_change:ViewChanger._persist",
            'step.persist.append(Persist(core.committee.id, "view", core.view, 0, data, epoch))',
            "pass",
        ),
        shows=starts_again,
    ),
    make(
        "forgets_stable_row",
        "a stable checkpoint is not recorded",
        (
            "protocols.pbft.checkpoint:Checkpoints._persist",
            "step.persist.append(row)",
            "pass",
        ),
    ),
    make(
        "reuses_sequence_numbers",
        "a restarted primary counts from what it has executed",
        (
            "protocols.pbft.restore:_restore_accepted",
            "core.next_seq = max(core.next_seq, message.seq + 1)",
            "pass",
        ),
        (
            "protocols.pbft.restore:_restore_accepted",
            "slot.proposal = Proposal(message, statement, hop, load(hop.operations))",
            "pass",
        ),
        shows=starts_again,
    ),
)
