"""What a committee refused, in words for the person who asked: reason -> what it means, remedy."""

from node import refusals_auctions, refusals_market
from node.account import Refused
from node.problem import Problem

_EXPLAINED = {
    **refusals_auctions.EXPLAINED,
    **refusals_market.EXPLAINED,
    "no_evidence": ("the two statements do not contradict each other", "see docs/protocol.md"),
    "already_punished": ("its bond has burned and it is banned already", "nothing is left to do"),
    "insufficient_credits": (
        "the account has too few free credits for it and its fee",
        "see them with `econode stake show`; a task puts budget, bonus and verifiers' fees aside",
    ),
    "insufficient_bond": (
        "less is bonded than that, beside what is on its way out already",
        "see it with `econode stake show`",
    ),
    "bond_needed": (
        "a member keeps member_bond_min, and an agent bond_min while it holds agreements",
        "take less, leave the committee first (econode member leave), or wait for the agreements",
    ),
    "too_many_unbondings": (
        "an account has eight parts of its bond on their way out at most",
        "wait until one is free: econode stake show",
    ),
    "too_few_verifiers": (
        "fewer than max(2, f+1) members beside this one offer that capability to verify results",
        "have it offered by more members ([[capability]] in their config.toml)",
    ),
    "duration_too_short": (
        "the deadline leaves no time for an auction and the work",
        "give a longer one with --deadline",
    ),
    "duration_too_long": ("the deadline is too far away", "give a shorter one with --deadline"),
    "unknown_task": ("the task has ended", "`econode task show` tells how"),
    "not_requester": ("another account submitted the task", "`econode task show` names it"),
    "work_sealed": ("its work is done, and waits to be checked", "wait for the result"),
    "too_many_tasks": ("too many tasks are under way", "wait until some have ended"),
    "input_not_held": ("too few members hold an input", "submit it again"),
    "already_member": ("this account is a member already", "see `econode member list`"),
    "not_a_member": ("this account is no member", "see `econode member list`"),
    "bond_too_small": (
        "a member has more bonded than that",
        "bond more with --bond N; the genesis says how much (member_bond_min)",
    ),
    "committee_full": ("it has as many members as it may", "wait until one leaves"),
    "epoch_full": (
        "others change the members at the same time, and an epoch takes few of them",
        "try again: the next epoch has begun",
    ),
    "semantics_passed": (
        "the committee follows that version of the semantics, or a newer one; it never goes back",
        "see `econode upgrade status`",
    ),
    "semantics_missing": (
        "the committee follows a newer version of the semantics than this program executes",
        "install a newer release of Econode: econode upgrade status",
    ),
    "not_announced": (
        "this node's own program does not execute that version",
        "install a release that does, and start it: it announces the version by itself",
    ),
    "too_few_announced": (
        "fewer than a quorum of the members run a program that executes that version",
        "have them install it first: econode upgrade status shows who has",
    ),
    "already_announced": ("the committee knows that already", "nothing is left to do"),
    "newer_semantics": (
        "the other committee follows a newer version of the semantics than this one",
        "upgrade this one, too: econode upgrade status",
    ),
    "members_needed": (
        "without this one it would survive no faulty member, or have none at all",
        "have another one join first: econode member join",
    ),
    "name_taken": (
        "a committee, or a variable, of that name stands or is proposed",
        "choose another name",
    ),
    "too_few_members": ("a committee has four members at least", "name more with --member"),
    "duplicate_member": ("a member stands twice", "name each once"),
    "unknown_member": ("a member has never held credits there", "transfer some to it first"),
    "banned_member": ("a member is banned for a proven offence", "name others"),
    "share_too_small": (
        "the bond is below the network's bond_min, or the free credits pay no fee",
        "give more with --bond and --free",
    ),
    "formation_too_long": ("the time to consent is too long", "give a shorter --duration"),
    "too_many_proposals": ("too many proposals are under way", "wait until some have ended"),
    "too_many_committees": ("this committee has formed all it may", "form it in another one"),
    "unknown_proposal": (
        "no such committee is proposed now: it was formed, or its time was over",
        "see `econode committee list`",
    ),
    "not_named": ("the proposal does not name this account", "nothing is to be done"),
    "already_consented": ("this account has consented before", "wait for the others"),
    "unknown_committee": (
        "credits cross only between a committee and those that it formed",
        "see its neighbours with `econode stake show --committee NAME`; go step by step",
    ),
    "frozen": (
        "the other committee contradicted itself, so nothing crosses that border any more",
        "see `econode stake show`; what is in transit stays there",
    ),
    "stale_border": (
        "what is known of the other committee's members is older than the network's unbonding_ms",
        "nothing is imported over that border any more",
    ),
    "already_imported": ("somebody else carried these transfers", "nothing is left to do"),
    "not_next": ("transfers cross in order, and one before these is missing", "carry that first"),
    "nothing_new": ("the border knows that already", "nothing is left to do"),
    "invalid_proof": (
        "the proof does not show those transfers under signatures of members that are known there",
        "make it anew, from a node that holds the whole log",
    ),
    "proof_too_long": (
        "a proof follows eight epochs and shows one fact",
        "renew the border in steps first: an import without transfers",
    ),
    "banned": ("this account is banned for a proven offence", "nothing is left to do"),
    "unknown_account": (
        "no key belongs to that account, so the credits would be lost",
        "check the PeerId",
    ),
}


def explain_refusal(refused: Refused) -> Problem:
    """The problem to show; its type is the reason's word."""
    detail, remedy = _EXPLAINED.get(refused.reason, (str(refused), ""))
    return _make(refused.reason, f"the committee refused it: {detail}", remedy)


def explain_reason(reason: str, detail: str = "") -> Problem:
    """The problem of what was not even sent; `detail` says it better where more is known."""
    known, remedy = _EXPLAINED.get(reason, (reason.replace("_", " "), ""))
    return _make(reason, detail or known, remedy)


def _make(reason: str, detail: str, remedy: str) -> Problem:
    return Problem(reason.replace("_", "-"), detail, remedy=remedy, status=409)
