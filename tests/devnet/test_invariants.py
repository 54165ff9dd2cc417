"""Each invariant holds of a true history and is seen to fail on one that was bent."""

from dataclasses import replace

import msgspec
import pytest

from crdt import facts
from crdt.facts import COMMON, Move
from devnet import invariants
from devnet.history import HistoryEntry
from tests.devnet.stories import Once, bend, get_liar, record, tell

edit = msgspec.structs.replace


def names(found):
    return {violation.invariant.split()[0] for violation in found}


def bent_by(kind, change):
    return bend(tell(), Once(kind, change))


def check(history, liars=None):
    return names(invariants.check_all([history], {get_liar()} if liars is None else liars))


def change_entry(history, position, **changes):
    entries = list(history.entries)
    entries[position] = replace(entries[position], **changes)
    return replace(history, entries=tuple(entries))


def test_a_true_history_holds_and_has_all_that_the_checks_look_at():
    history = tell()
    assert invariants.check_all([history, tell("node-2")], {get_liar()}) == []
    seen = {type(fact) for _, fact in history.facts()}
    wanted = {facts.Awarded, facts.Slashed, facts.Accepted, facts.TaskEnded, facts.WorkRevealed}
    assert wanted <= seen
    assert invariants.list_slashed(history) == {get_liar()}
    assert history.get_last() is history.entries[-1]


@pytest.mark.parametrize("field", ["digest", "hash"])
def test_two_nodes_with_another_digest_or_head_at_one_position(field):
    other = change_entry(tell("node-2"), 3, **{field: bytes(32)})
    [found] = invariants.check_agreement([tell(), other])
    assert (found.invariant[:2], found.node) == ("S1", "node-2")
    assert "position 3" in found.detail


def test_a_gap_and_time_going_back():
    history = tell()
    gap = replace(history, entries=(*history.entries[:2], *history.entries[3:]))
    assert check(gap) >= {"S7"}
    assert "agreed" in check(change_entry(history, 4, time_ms=1))


def test_a_reported_head_that_the_ledger_lost():
    history = tell()
    reported = {entry.position: entry.hash for entry in history.entries}
    assert not list(invariants.check_kept(reported, history))
    shorter = replace(history, entries=history.entries[:-1])
    [found] = invariants.check_kept(reported, shorter)
    assert "nothing" in found.detail
    [found] = invariants.check_kept({2: bytes(32)}, history)
    assert found.invariant.startswith("S7")


def test_state_roots_that_differ_where_nodes_meet():
    same = {"a": {1: b"x", 2: b"y"}, "b": {2: b"y", 3: b"z"}}
    assert not list(invariants.check_roots(same))
    [found] = invariants.check_roots({"a": {1: b"x", 2: b"y"}, "b": {2: b"z"}})
    assert (found.node, found.invariant[:2]) == ("b", "S5")


def test_a_node_that_stays_behind():
    history = tell()
    shorter = replace(history, node="late", entries=history.entries[:-2])
    [found] = invariants.check_equal_ends([history, shorter])
    assert (found.node, found.invariant[:2]) == ("late", "L3")


def test_minting_after_genesis():
    extra = Move(COMMON, "minted", get_liar(), "free", 5)
    bent = bent_by(facts.Offered, lambda fact: edit(fact, moves=(*fact.moves, extra)))
    assert "C1" in check(bent)


def test_credits_that_come_from_nowhere():
    extra = Move(get_liar(), "transit", get_liar(), "free", 5)
    bent = bent_by(facts.Offered, lambda fact: edit(fact, moves=(*fact.moves, extra)))
    assert "C2" in check(bent)


def test_a_fee_that_is_taken_twice():
    def twice(fact):
        return edit(fact, moves=(*fact.moves, fact.moves[0]))

    assert "C3" in check(bent_by(facts.Offered, twice))


def test_an_operation_with_a_nonce_that_was_skipped_and_one_with_two_outcomes():
    history = tell()
    position = next(e.position for e in history.entries if e.operations)
    operations = history.entries[position].operations
    skipped = (replace(operations[0], nonce=9), *operations[1:])
    assert "S6" in check(change_entry(history, position, operations=skipped))
    outcome = facts.Rejected(operation=bytes(32), account=get_liar(), reason="no", detail="")
    assert "S6" in check(bent_by(facts.Offered, lambda fact: [fact, outcome, outcome]))


def test_an_offence_that_is_slashed_twice():
    def again(fact):
        return [fact, edit(fact, amount=0, moves=())]

    assert check(bent_by(facts.Slashed, again)) == {"C4"}


def test_an_honest_node_that_is_slashed():
    assert check(tell(), liars=set()) == {"C5"}


def test_a_deposit_that_never_ends_and_one_that_ends_twice():
    def keep(fact):
        return edit(fact, moves=tuple(m for m in fact.moves if m.source_bucket != "locked"))

    assert "A5" in check(bent_by(facts.Settled, keep))

    def again(fact):
        back = [m for m in fact.moves if m.source_bucket == "locked"]
        return edit(fact, moves=(*fact.moves, *back))

    assert "A5" in check(bent_by(facts.Settled, again))


def test_a_slash_that_does_not_give_back_what_was_bid_elsewhere():
    def more(fact):
        extra = Move(fact.offender, "locked", fact.offender, "free", 1)
        return edit(fact, moves=(*fact.moves, extra))

    assert "A5" in check(bent_by(facts.Slashed, more))


def test_escrow_that_stays_behind():
    def keep(fact):
        return edit(fact, moves=fact.moves[:-1])

    assert "A5" in check(bent_by(facts.TaskEnded, keep))


def test_a_winner_who_bid_too_late_or_never():
    place = next(fact for _, fact in tell().facts() if isinstance(fact, facts.Awarded))

    def is_winners(fact):
        named = (fact.task, fact.round, fact.bidder)
        return named == (place.task, place.round, place.winner)

    def forget(fact):
        seals = isinstance(fact, facts.BidCommitted) and is_winners(fact)
        return edit(fact, commitment=None) if seals else fact

    assert "A3" in check(bend(tell(), forget))

    def hide(fact):
        return None if isinstance(fact, facts.BidRevealed) and is_winners(fact) else fact

    assert "A3" in check(bend(tell(), hide))


def test_a_bid_that_is_sealed_after_the_close():
    late = facts.BidCommitted(task=b"", round=0, bidder=get_liar(), commitment=bytes(32))

    def add(fact):
        return [fact, edit(late, task=fact.task, round=fact.round)]

    assert check(bent_by(facts.BidsClosed, add)) == {"A3"}


def test_a_winner_who_is_paid_less_than_it_asked():
    bent = bent_by(facts.Awarded, lambda fact: edit(fact, price=fact.bid - 1))
    assert "A2" in check(bent)


@pytest.mark.parametrize("kind", [facts.BidsClosed, facts.WorkClosed])
def test_reveals_before_the_close(kind):
    assert "A4" in check(bent_by(kind, lambda fact: None))


def test_results_opened_before_the_members_that_were_asked_later_have_sealed():
    def draw(fact):
        drawn = facts.VerifiersDrawn(
            task=fact.task,
            round=fact.round,
            seed=bytes(32),
            verifiers=(),
            escalated=True,
            deadline_ms=0,
        )
        return [fact, drawn]

    assert "A4" in check(bent_by(facts.WorkClosed, draw))


def test_a_task_that_ends_twice_or_with_what_nobody_accepted():
    assert "one" in check(bent_by(facts.TaskEnded, lambda fact: [fact, edit(fact, moves=())]))
    assert "one" in check(bent_by(facts.TaskEnded, lambda fact: edit(fact, output=bytes(32))))


def test_violations_are_readable():
    [found] = invariants.check_slashes(replace(tell(), entries=_only(facts.Slashed)), liars=())
    assert str(found).startswith("C5 nobody honest is slashed (node-1): ")


def _only(kind) -> tuple[HistoryEntry, ...]:
    entries = [
        replace(entry, facts=tuple(fact for fact in entry.facts if isinstance(fact, kind))[:1])
        for entry in record().entries
    ]
    return tuple(entry for entry in entries if entry.facts)[:1]
