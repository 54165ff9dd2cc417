"""Credits between committees: what crosses, what is refused, what freezes a border."""

from collections.abc import Callable

import msgspec
import pytest

from crdt import log
from crdt.facts import (
    BorderFrozen,
    BorderRenewed,
    Exported,
    Imported,
    Paid,
    Rejected,
    compute_transit_account,
    encode_fact,
)
from identity import cbor
from identity.errors import InvalidSchema
from protocols.economy.borders import EPOCHS_MAX, compute_link
from protocols.economy.operations import (
    AccuseCommittee,
    Body,
    Export,
    Import,
    JoinCommittee,
    LeaveCommittee,
    Transfer,
)
from protocols.economy.operations_upgrades import AnnounceSemantics, ConsentUpgrade
from protocols.economy.state import EconomyState
from protocols.light import decode_bundle, encode_bundle
from tests.economy.village import (
    ALICE,
    BOB,
    FREE,
    MEMBERS,
    SHARE,
    SPARE,
    Place,
    form,
    make_crossing,
    make_main,
)
from tests.economy.world import check_receipt

DAY_MS = 24 * 3_600_000


@pytest.fixture(name="main")
def _main() -> Place:
    return make_main()


@pytest.fixture(name="work")
def _work(main: Place) -> Place:
    return form(main)


def send(source: Place, target: Place, amount: int, signer: bytes = MEMBERS[0]) -> None:
    facts = source.run((signer, Export(target.id, ALICE, amount)))
    assert isinstance(facts[0], Exported), facts


def take(target: Place, body: Body) -> str:
    """How one operation of a member of `target` ends: a kind of fact, or why it is refused."""
    fact = target.run((MEMBERS[1], body))[0]
    return fact.reason if isinstance(fact, Rejected) else str(fact.__struct_config__.tag)


def get_transit(place: Place, other: Place) -> int:
    return place.state.stake.get(compute_transit_account(other.id), "transit")


def get_minted(place: Place) -> int:
    return place.state.stake.totals()["minted"]


def test_credits_cross_and_come_back(main: Place, work: Place) -> None:
    assert get_transit(main, work) == get_minted(work) == 4 * 2 * SHARE
    send(main, work, 500)
    send(main, work, 70)
    assert get_transit(main, work) == 8 * SHARE + 570
    assert take(work, main.make_import(work.id)) == "imported"
    assert work.state.stake.get(ALICE, "free") == 570
    assert get_minted(work) == 8 * SHARE + 570

    send(work, main, 300, ALICE)
    assert get_transit(work, main) == 300
    before = main.state.stake.get(ALICE, "free")
    assert take(main, work.make_import(main.id)) == "imported"
    assert main.state.stake.get(ALICE, "free") == before + 300
    assert get_transit(main, work) == 8 * SHARE + 270

    # What crosses again is minted no second time.
    send(main, work, 1_000)
    assert take(work, main.make_import(work.id, 3)) == "imported"
    assert (get_minted(work), get_transit(work, main)) == (8 * SHARE + 1_270, 0)
    assert get_transit(main, work) == get_minted(work)


def test_a_grandchild_reaches_the_founding_committee_in_two_steps(main: Place, work: Place) -> None:
    send(main, work, 50_000)
    work.run((MEMBERS[1], main.make_import(work.id)))
    work.run(*((ALICE, Transfer(key, 2 * SHARE)) for key in MEMBERS))
    inner = form(work, "inner")
    send(inner, work, 100)
    assert take(work, inner.make_import(work.id)) == "imported"
    assert take(main, Export(inner.id, ALICE, 1)) == "unknown_committee"
    send(work, main, 100, ALICE)
    assert take(main, work.make_import(main.id)) == "imported"


def test_each_transfer_counts_once_and_in_order(main: Place, work: Place) -> None:
    for amount in (1, 2, 3):
        send(main, work, amount)
    second = main.make_import(work.id, 2, 2)
    assert take(work, second) == "not_next"
    first = main.make_import(work.id, 1, 1)
    both = work.run((MEMBERS[1], first), (MEMBERS[2], first))
    assert [type(fact) for fact in both] == [Imported, Rejected]
    assert take(work, main.make_import(work.id, 1, 3)) == "already_imported"
    assert take(work, main.make_import(work.id, 2, 3)) == "imported"
    assert work.state.stake.get(ALICE, "free") == 6
    assert take(work, second) == "already_imported"


def test_a_later_certificate_proves_an_earlier_transfer(main: Place, work: Place) -> None:
    send(main, work, 5)
    for _ in range(3):
        main.run((ALICE, Transfer(BOB, 1)))
    assert take(work, main.make_import(work.id, certified=main.state.position)) == "imported"


def test_what_cannot_be_exported(main: Place, work: Place) -> None:
    assert take(main, Export(bytes(16), ALICE, 1)) == "unknown_committee"
    assert take(main, Export(main.id, ALICE, 1)) == "unknown_committee"
    assert take(main, Export(work.id, ALICE, FREE)) == "insufficient_credits"
    assert take(main, Export(work.id, bytes(32), 1)) == "unknown_account"
    assert take(main, Export(work.id, compute_transit_account(work.id), 1)) == "unknown_account"
    assert take(main, Transfer(compute_transit_account(work.id), 1)) == "unknown_account"


def damage_amount(body: Import) -> Import:
    changed = msgspec.structs.replace(body.crossings[-1], amount=body.crossings[-1].amount + 1)
    return Import(body.proof, (*body.crossings[:-1], changed))


def damage_receiver(body: Import) -> Import:
    changed = msgspec.structs.replace(body.crossings[0], to=SPARE)
    return Import(body.proof, (changed, *body.crossings[1:]))


def cut_signature(body: Import) -> Import:
    bundle = decode_bundle(body.proof)
    certificate = bundle.certificate[:-1] + bytes([bundle.certificate[-1] ^ 1])
    return Import(
        encode_bundle(msgspec.structs.replace(bundle, certificate=certificate)), body.crossings
    )


def drop_facts(body: Import) -> Import:
    bundle = decode_bundle(body.proof)
    entry = msgspec.structs.replace(bundle.entry, facts=())
    return Import(encode_bundle(msgspec.structs.replace(bundle, entry=entry)), body.crossings)


@pytest.mark.parametrize(
    "forge",
    [
        damage_amount,
        damage_receiver,
        cut_signature,
        drop_facts,
        lambda body: Import(body.proof, ()),
        lambda body: Import(body.proof[:-1], body.crossings),
        lambda body: Import(b"", body.crossings),
    ],
)
def test_a_forged_import_changes_nothing(
    main: Place, work: Place, forge: Callable[[Import], Import]
) -> None:
    send(main, work, 5)
    send(main, work, 6)
    body, border = main.make_import(work.id), work.state.get_border(main.id)
    assert take(work, forge(body)) == "invalid_proof"
    assert work.state.get_border(main.id) == border
    assert take(work, body) == "imported"


def test_too_few_signers_prove_nothing(main: Place, work: Place) -> None:
    send(main, work, 5)
    body = main.make_import(work.id)
    bundle = decode_bundle(body.proof)
    weak = main.certify(bundle.entry.header, MEMBERS[:2])
    proof = encode_bundle(msgspec.structs.replace(bundle, certificate=weak))
    assert take(work, Import(proof, body.crossings)) == "invalid_proof"


def test_another_committees_transfers_are_not_ours(main: Place, work: Place) -> None:
    other = form(main, "other")
    send(main, other, 5)
    assert take(work, main.make_import(other.id)) == "invalid_proof"
    send(work, main, 5)
    assert take(other, work.make_import(main.id)) == "unknown_committee"


def change_members(place: Place, body: Body) -> None:
    facts = place.run((SPARE, body))
    assert facts[-1].__struct_config__.tag == "epoch_began"


def test_imports_follow_the_epochs_of_the_other(main: Place, work: Place) -> None:
    for round_ in range(3):
        change_members(main, JoinCommittee(20_000 if not round_ else 0))
        send(main, work, 1)
        change_members(main, LeaveCommittee())
    send(main, work, 1)
    assert take(work, main.make_import(work.id, 1, 1)) == "imported"
    border = work.state.get_border(main.id)
    assert border is not None
    assert [each.epoch for each in border.epochs] == [0, 1]
    # Certified in an epoch before the last one that is known, a transfer waits for a later one.
    assert take(work, main.make_import(work.id, 2, 4)) == "imported"
    border = work.state.get_border(main.id)
    assert border is not None
    assert [each.epoch for each in border.epochs] == [3, 4, 5, 6]
    assert len(border.epochs) == EPOCHS_MAX


def upgrade(place: Place) -> None:
    place.run(*((member, AnnounceSemantics(2, "")) for member in MEMBERS))
    facts = place.run(*((member, ConsentUpgrade(2)) for member in MEMBERS))
    assert facts[-1].__struct_config__.tag == "epoch_began"


def test_imports_wait_until_both_follow_the_newer_semantics(main: Place, work: Place) -> None:
    upgrade(main)
    send(main, work, 5)
    body = main.make_import(work.id)
    assert take(work, body) == "newer_semantics"
    upgrade(work)
    assert take(work, body) == "imported"
    # The other way nothing was ever in the way: older semantics are known.
    send(work, main, 5)
    assert take(main, work.make_import(main.id)) == "imported"


def test_a_border_is_renewed_without_transfers_and_grows_stale_without_that(
    main: Place, work: Place
) -> None:
    send(main, work, 5)
    body = main.make_import(work.id)
    main.run(wait_ms=10 * DAY_MS)
    renewal = Import(encode_bundle(main.prove(main.state.position)), ())
    work.run(wait_ms=10 * DAY_MS)
    assert take(work, renewal) == "border_renewed"
    assert take(work, renewal) == "nothing_new"
    work.run(wait_ms=14 * DAY_MS)
    assert take(work, body) == "imported"
    work.run(wait_ms=1)
    send(main, work, 5)
    assert take(work, main.make_import(work.id, 2)) == "stale_border"


def fork(place: Place, facts: list[Exported | Paid]) -> log.Entry:
    """Another entry than the last one, at its position."""
    last = place.entries[-1].header
    items = [encode_fact(fact) for fact in facts]
    return log.append(place.id, last.position, last.previous, last.time_ms, items)


def test_two_heads_freeze_a_border_both_ways(main: Place, work: Place) -> None:
    send(main, work, 5)
    body, one = main.make_import(work.id), main.entries[-1].header
    other = fork(main, []).header
    first, second = main.certify(one), main.certify(other)
    assert take(work, AccuseCommittee(main.id, first, first)) == "no_evidence"
    assert take(work, AccuseCommittee(main.id, first, main.certify(other, MEMBERS[:2]))) == (
        "no_evidence"
    )
    assert take(work, AccuseCommittee(main.id, second, first)) == "border_frozen"
    assert take(work, AccuseCommittee(main.id, first, second)) == "frozen"
    assert take(work, body) == "frozen"
    assert take(work, Export(main.id, ALICE, 1)) == "frozen"


def export_again(main: Place, work: Place, amount: int, previous: bytes) -> Import:
    """The last transfer replaced by another one that is certified as well."""
    _, _, fact = main.list_exports(work.id)[-1]
    changed = msgspec.structs.replace(fact, amount=amount, moves=())
    crossing = make_crossing(changed)
    link = compute_link(main.first.network, main.id, work.id, previous, crossing)
    entry = fork(main, [msgspec.structs.replace(changed, link=link)])
    main.entries[-1] = entry
    proof = encode_bundle(main.prove(entry.header.position, [0]))
    return Import(proof, (crossing,))


def test_a_transfer_on_another_branch_freezes(main: Place, work: Place) -> None:
    send(main, work, 5)
    assert take(work, main.make_import(work.id)) == "imported"
    send(main, work, 6)
    body = export_again(main, work, 6, bytes(32))
    assert take(work, body) == "border_frozen"
    frozen = work.facts[-1][0]
    assert isinstance(frozen, BorderFrozen)
    assert frozen.reason == "two_transfers"


def test_a_child_takes_back_no_more_than_went_there(main: Place, work: Place) -> None:
    send(work, main, 5)
    body = export_again(work, main, get_transit(main, work) + 1, bytes(32))
    assert take(main, body) == "border_frozen"
    assert main.state.stake.get(ALICE, "free") < FREE


def test_a_parent_sends_no_more_than_the_network_has(main: Place, work: Place) -> None:
    supply = get_minted(main)
    send(main, work, 5)
    body = export_again(main, work, supply - get_minted(work) + 1, bytes(32))
    assert take(work, body) == "border_frozen"
    assert get_minted(work) == 8 * SHARE


def test_renewals_are_facts(main: Place, work: Place) -> None:
    main.run(wait_ms=1)
    work.run((MEMBERS[0], Import(encode_bundle(main.prove(main.state.position)), ())))
    assert isinstance(work.facts[-1][0], BorderRenewed)


@pytest.mark.parametrize("epochs", [[], [[0, 0, [MEMBERS[1], MEMBERS[0]], 5]]])
def test_a_state_with_a_senseless_border_is_refused(
    main: Place, work: Place, epochs: list[object]
) -> None:
    assert work.state.get_border(main.id) is not None
    plain = cbor.decode(main.state.dump(), size_max=1 << 20)
    plain["borders"][0][2] = epochs
    with pytest.raises(InvalidSchema):
        EconomyState.load(cbor.encode(plain), main.founding, main.first, check_receipt)
