"""Two committees under any interleaving of transfers, replays, forged proofs, changes of members:
every credit is in one place, and each transfer counts once."""

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crdt.facts import BorderFrozen, Imported
from devnet.history import History, HistoryEntry
from devnet.invariants import check_conservation, check_crossing
from protocols.economy.operations import (
    Body,
    Export,
    Import,
    JoinCommittee,
    LeaveCommittee,
)
from protocols.light import decode_bundle, encode_bundle
from tests.economy.test_borders import cut_signature, damage_amount, damage_receiver, drop_facts
from tests.economy.village import ALICE, MEMBERS, SPARE, Place, form, make_main

FORGERIES = (cut_signature, damage_amount, damage_receiver, drop_facts)
KINDS = ("export", "export", "import", "import", "replay", "forge", "renew", "members", "wait")


def read_history(place: Place, node: str) -> History:
    entries = [
        HistoryEntry(entry.header.position, b"", entry.header.hash(), 0, (), facts)
        for entry, facts in zip(place.entries, place.facts, strict=True)
    ]
    return History(node, place.id, entries)


class Checker:
    def __init__(self) -> None:
        self.main = make_main(epoch_changes_max=2)
        self.work = form(self.main)
        self.former: list[tuple[Place, Import]] = []

    def run(self, place: Place, *bodies: Body) -> None:
        place.run(*((MEMBERS[index % 4], body) for index, body in enumerate(bodies)))
        self.check()

    def check(self) -> None:
        main, work = read_history(self.main, "main"), read_history(self.work, "work")
        found = [*check_crossing(main, work), *check_conservation(main), *check_conservation(work)]
        assert found == []
        for place in (self.main, self.work):
            assert not any(isinstance(fact, BorderFrozen) for fact in place.facts[-1])

    def step(self, data: st.DataObject) -> None:
        source, target = data.draw(st.permutations([self.main, self.work]))
        kind = data.draw(st.sampled_from(KINDS))
        if kind == "export":
            amounts = data.draw(st.lists(st.sampled_from([1, 50, 2_000, 1 << 62]), max_size=3))
            self.run(source, *(Export(target.id, ALICE, amount) for amount in amounts))
        elif kind in ("import", "forge"):
            self.carry(data, source, target, kind)
        elif kind == "replay" and self.former:
            place, body = data.draw(st.sampled_from(self.former))
            self.run(place, body)
        elif kind == "renew":
            self.run(target, Import(encode_bundle(source.prove(source.state.position)), ()))
        elif kind == "members":
            self.change_members()
        else:
            source.run(wait_ms=data.draw(st.sampled_from([1, 3_600_000])))

    def carry(self, data: st.DataObject, source: Place, target: Place, kind: str) -> None:
        """Carry some transfers, which may be old or too far ahead, perhaps twice or forged."""
        count = len(source.list_exports(target.id))
        if not count:
            return
        first = data.draw(st.integers(1, count))
        last = data.draw(st.integers(first, count))
        later = data.draw(st.sampled_from([None, source.state.position]))
        body = source.make_import(target.id, first, last, certified=later)
        if kind == "forge":
            before = target.state.get_border(source.id)
            self.run(target, data.draw(st.sampled_from(FORGERIES))(body))
            assert target.state.get_border(source.id) == before
            return
        self.former.append((target, body))
        self.run(target, *[body] * data.draw(st.integers(1, 2)))

    def change_members(self) -> None:
        now = self.main.state
        body = (
            LeaveCommittee()
            if now.committee.is_member(SPARE)
            else JoinCommittee(max(0, 10_000 - now.get_standing_bond(SPARE)))
        )
        self.main.run((SPARE, body))
        self.check()

    def finish(self) -> None:
        """Everything that was sent arrives."""
        for source, target in ((self.main, self.work), (self.work, self.main)):
            self.run(source, Export(target.id, ALICE, 1))
            border = target.state.get_border(source.id)
            assert border is not None
            self.bring_up(source, target)
            self.run(target, source.make_import(target.id, border.imported + 1))
            border = target.state.get_border(source.id)
            exports = source.list_exports(target.id)
            assert border is not None
            assert border.imported == len(exports)
            arrived = [f for facts in target.facts for f in facts if isinstance(f, Imported)]
            assert len(arrived) == len(exports)

    def bring_up(self, source: Place, target: Place) -> None:
        """Follow the other's epochs, a few with each operation, as one that was away does."""
        for epoch, start in [(each.epoch, each.start) for each in source.epochs]:
            border = target.state.get_border(source.id)
            assert border is not None
            if epoch > border.epochs[-1].epoch and source.state.position > start:
                bundle = source.prove(start + 1)
                ends = bundle.epochs[-8:]
                self.run(
                    target, Import(encode_bundle(msgspec.structs.replace(bundle, epochs=ends)), ())
                )


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], database=None)
@given(st.data())
def test_credits_of_two_committees_are_conserved(data: st.DataObject) -> None:
    checker = Checker()
    for _ in range(data.draw(st.integers(1, 20))):
        checker.step(data)
    checker.finish()


def test_a_bundle_of_the_village_is_whole() -> None:
    checker = Checker()
    checker.run(checker.main, Export(checker.work.id, ALICE, 1))
    body = checker.main.make_import(checker.work.id)
    assert encode_bundle(decode_bundle(body.proof)) == body.proof
