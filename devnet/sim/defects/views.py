"""Defects of view changes, retransmission and catching up."""

from devnet.sim.defects.patch import make
from devnet.sim.defects.relevance import (
    both,
    changes_views,
    deaf_to,
    habit,
    hides_clients,
    lies,
    no_plan,
    pipelines,
    starts_again,
)
from devnet.sim.plan import VIEW_LIES

_VIEWS = "protocols.pbft.view_change:ViewChanger"
_NEW_VIEW = "protocols.pbft.new_view"
_CORE = "protocols.pbft.core:Core"
_CATCH_UP = "protocols.pbft.catch_up:CatchUp"


DEFECTS = (
    make(
        "no_p_set",
        "a VIEW-CHANGE carries no prepared certificates",
        (f"{_VIEWS}._leave", "slot.prepared is not None", "False"),
    ),
    make(
        "lowest_view_o",
        "O takes the certificate of the lowest view",
        (f"{_NEW_VIEW}:compute_proposals", "proof.view > known.view", "proof.view < known.view"),
        shows=no_plan,
    ),
    make(
        "unchecked_o",
        "backups believe the proposals of a NEW-VIEW",
        (f"{_VIEWS}.on_new_view", "if proposals != message.proposals:", "if False:"),
        (
            f"{_VIEWS}.on_new_view",
            "now_ms, step)\n    return",
            "now_ms, step); self.expected = {a.seq: a.digest for a in message.proposals}; return",
        ),
        shows=both(habit(*VIEW_LIES), changes_views),
    ),
    make(
        "o_not_enforced",
        "what a primary proposes again need not be what its NEW-VIEW announced",
        (f"{_CORE}.on_propose", "if expected not in (None, message.digest):", "if False:"),
        shows=both(habit("another_batch"), changes_views),
    ),
    make(
        "no_null_request",
        "a gap in O is left open",
        (
            f"{_NEW_VIEW}:compute_proposals",
            "for seq in range(base + 1, last + 1)",
            "for seq in range(base + 1, last + 1) if seq in best",
        ),
        shows=both(pipelines, deaf_to("odd_prepare")),
    ),
    make(
        "blames_whoever_passes_on",
        "a passed-on proposal that does not fit one's NEW-VIEW is blamed on the peer",
        (
            f"{_CORE}.on_propose",
            "return step  # no blame",
            'raise InvalidSchema("a proposal other than announced")  #',
        ),
        shows=no_plan,
    ),
    make(
        "lowest_base",
        "the lowest of the proven bases is chosen",
        (f"{_NEW_VIEW}:compute_proposals", "base = max(", "base = min("),
    ),
    make(
        "view_changes_unchecked",
        "the certificates in a VIEW-CHANGE are believed",
        (f"{_VIEWS}.on_view_change", "check_view_change(", "(lambda *_: None)("),
        shows=both(habit("false_base", "false_certificates"), changes_views),
    ),
    make(
        "base_unchecked",
        "a base needs no q signatures",
        (
            f"{_NEW_VIEW}:_check_base",
            "certificate.check(committee.members, committee.q)",
            "pass",
        ),
        shows=both(habit("false_base"), changes_views),
    ),
    make(
        "prepared_without_prepares",
        "a prepared certificate needs no PREPAREs",
        (
            f"{_NEW_VIEW}:check_prepared",
            "if len(signers) < committee.q - 1:",
            "if False:",
        ),
        shows=both(habit("false_certificates"), changes_views),
    ),
    make(
        "new_view_without_quorum",
        "a NEW-VIEW stands on one VIEW-CHANGE",
        (
            f"{_VIEWS}.on_new_view",
            "core.committee.q:",
            "1:",
        ),
        shows=both(habit("no_certificates", "false_base"), changes_views),
    ),
    make(
        "begins_without_quorum",
        "a new primary begins with one VIEW-CHANGE less",
        (
            f"{_VIEWS}._try_begin",
            "len(known) < core.committee.q",
            "len(known) < core.committee.q - 1",
        ),
        (f"{_VIEWS}.on_new_view", "core.committee.q:", "core.committee.q - 1:"),
    ),
    make(
        "old_view_votes",
        "votes of former views count in the present one",
        (f"{_CORE}._on_slot_vote", "if vote.view < self.view:", "if False:"),
    ),
    make(
        "future_view_votes",
        "votes of later views count in the present one",
        (
            f"{_CORE}._on_slot_vote",
            "if vote.view > self.view or (vote.view == self.view and not self.views.is_active):",
            "if False:",
        ),
    ),
    make(
        "votes_survive_the_view",
        "a slot keeps its votes when a new view begins",
        (
            "protocols.pbft.slot:Slot.begin_view",
            "self.prepares, self.commits = Tally(), Tally()",
            "pass",
        ),
    ),
    make(
        "certificates_end_with_the_view",
        "a slot forgets its prepared certificate when a new view begins",
        (
            "protocols.pbft.slot:Slot.begin_view",
            "self.proposal = self.own_prepare",
            "self.prepared = self.proposal = self.own_prepare",
        ),
    ),
    make(
        "votes_after_leaving",
        "a member goes on voting in a view that it has left",
        (f"{_VIEWS}._leave", "core.view, self.is_active = view, False", "self.is_active = True"),
    ),
    make(
        "missing_join",
        "f+1 members in later views move nobody",
        (f"{_VIEWS}._join", "len(highest) > core.committee.f", "False"),
        shows=hides_clients,
    ),
    make(
        "joins_anyone",
        "a single VIEW-CHANGE makes others follow",
        (f"{_VIEWS}._join", "len(highest) > core.committee.f", "highest"),
        shows=habit("restless"),
    ),
    make(
        "forgets_checkpoints",
        "a member that starts again votes on no checkpoint that its ledger is beyond",
        ("protocols.pbft.checkpoint:Checkpoints.recall", "each.checkpoint.seq > self.low", "False"),
        shows=both(starts_again, deaf_to("checkpoint")),
    ),
    make(
        "proposes_again_what_is_stable",
        "a primary that starts again proposes below its window",
        ("protocols.pbft.reproposals:Reproposals.begin", "low < seq <= high", "seq <= high"),
        shows=both(starts_again, changes_views),
    ),
    make(
        "passes_on_one_by_one",
        "a backup passes one operation at a time on to the primary, also what it has",
        ("protocols.pbft.pool:Pool.list_oldest", "len(found) >= count_max", "found"),
        (
            "protocols.pbft.pool:Pool.list_oldest",
            "self._get_unproposed(account)",
            "self._get_nonce(account)",
        ),
        shows=hides_clients,
    ),
    make(
        "no_view_timer",
        "nobody blames a primary",
        (
            f"{_VIEWS}.on_timer",
            "is_starving or (self._deadline_ms is not None and now_ms >= self._deadline_ms)",
            "False",
        ),
    ),
    make(
        "starvation_unseen",
        "a primary may leave a client out as long as it executes something",
        (f"{_CORE}.is_starving", "now_ms - max(oldest, since_ms) > patience_ms", "False"),
        shows=lies("censor"),
    ),
    make(
        "view_changes_sent_once",
        "a VIEW-CHANGE is not repeated",
        (f"{_VIEWS}._broadcast_own", "if self._own is not None:", "if False:"),
        (f"{_VIEWS}.resend", "elif self._own is not None:", "elif False:"),
    ),
    make(
        "proposes_again_after_leaving",
        "what the former view was to propose again is proposed in the next",
        (f"{_VIEWS}._leave", "core.again.clear()", "pass"),
        equivalent_because="a member that is not active in its view proposes nothing, and "
        "entering the next view begins the list anew",
    ),
    make(
        "fetched_bodies_unchecked",
        "a fetched batch may have another digest",
        (
            "protocols.pbft.reproposals:Reproposals.on_give_body",
            "if compute_batch_digest(answer.time_ms, [r.digest for r in requests]) != digest:",
            "if False:",
        ),
        shows=lies("mutate"),
    ),
    make(
        "proposed_once_and_for_all",
        "operations that a former primary proposed are not proposed again",
        ("protocols.pbft.pool:Pool.begin_view", "self._proposed.clear()", "pass"),
    ),
    # --- catching up --------------------------------------------------------------------------
    make(
        "catch_up_unproven",
        "fetched batches are executed without their proof",
        (f"{_CATCH_UP}.on_batches", "check_commit_proof(", "(lambda *_: None)("),
        shows=lies("mutate"),
    ),
    make(
        "catch_up_counts_copies",
        "one COMMIT may stand q times in a proof",
        (
            "protocols.pbft.proof:check_commit_proof",
            "if len(signers) < committee.q or len(views) != 1:",
            "if len(proof) < committee.q:",
        ),
        shows=lies("mutate"),
    ),
    make(
        "catch_up_of_another_batch",
        "the COMMITs of a proof may be for another digest",
        (
            "protocols.pbft.proof:check_commit_proof",
            "(COMMIT_KIND, committee.id, committee.epoch, seq, digest)",
            "(COMMIT_KIND, committee.id, committee.epoch, seq, commit.digest)",
        ),
        shows=lies("mutate"),
    ),
    make(
        "believes_claimed_heights",
        "one member's claim makes another think it is behind",
        (
            f"{_CATCH_UP}._get_lead",
            "claims[f] - self._core.executed if len(claims) > f else 0",
            "claims[0] - self._core.executed if claims else 0",
        ),
        shows=habit("boast"),
    ),
    make(
        "never_fetches",
        "who is behind does not ask for what it missed",
        (f"{_CATCH_UP}._start_fetch", "step.sends.append(Send(peer, fetch))", "pass"),
    ),
    make(
        "votes_sent_once",
        "lost votes are not repeated",
        (f"{_CATCH_UP}._resend", "if votes:", "if False:"),
    ),
)
