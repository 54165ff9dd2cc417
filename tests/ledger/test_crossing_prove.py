"""Imports made out of a real ledger, believed by the committee they are for."""

from collections.abc import Container
from pathlib import Path

import pytest
import trio
import trio_asyncio
from msgspec.structs import replace

from crdt.facts import BorderRenewed, Imported
from node.crossing_prove import prove_import, prove_renewal
from node.ledger import ExecutedBatch, Ledger
from protocols.economy.operations import (
    IMPORT_EPOCHS_MAX,
    ITEMS_MAX,
    Export,
    Import,
    JoinCommittee,
    LeaveCommittee,
    Transfer,
)
from protocols.light import decode_bundle
from tests.economy.village import ALICE, BOB, MEMBERS, SPARE, Place, form, make_main


@pytest.fixture(name="main")
def _main() -> Place:
    return make_main()


@pytest.fixture(name="work")
def _work(main: Place) -> Place:
    return form(main)


def write(path: Path, place: Place, uncertified: Container[int] = ()) -> Path:
    """The ledger of a node that has executed all of it."""

    async def run() -> None:
        async with trio_asyncio.open_loop(), Ledger.open(path, place.first.network) as ledger:
            for position, entry in enumerate(place.entries):
                time_ms = entry.header.time_ms
                ledger.append(ExecutedBatch(place.id, position, bytes(32), time_ms, (), (), entry))
                if position not in uncertified:
                    proof = place.certify(entry.header)
                    ledger.put_certificate(place.id, position, proof)

    trio.run(run)
    return path


def change_members(place: Place, count: int) -> None:
    """So many epochs more: one account joins and leaves."""
    for number in range(count):
        bond = 20_000 if place.state.get_standing_bond(SPARE) == 0 else 0
        place.run((SPARE, LeaveCommittee() if number % 2 else JoinCommittee(bond)))


def send(place: Place, target: Place, count: int = 1) -> None:
    for _ in range(count):
        place.run((MEMBERS[0], Export(target.id, ALICE, 5)))


def make(path: Path, source: Place, target: Place) -> Import | None:
    border = target.state.get_border(source.id)
    assert border is not None
    return prove_import(path, source.first.network, source.id, target.id, border)


def renew(path: Path, source: Place, target: Place) -> Import | None:
    border = target.state.get_border(source.id)
    assert border is not None
    return prove_renewal(path, source.first.network, source.id, border)


def take(target: Place, body: Import | None) -> list[type]:
    assert body is not None
    return [type(fact) for fact in target.run((MEMBERS[1], body))]


def test_transfers_of_several_epochs_are_carried_at_once(tmp_path, main, work):
    send(main, work)
    change_members(main, 3)
    send(main, work, 2)
    body = make(write(tmp_path / "l", main), main, work)
    assert take(work, body) == [Imported] * 3
    assert body is not None
    assert len(decode_bundle(body.proof).epochs) == 3
    assert make(tmp_path / "l", main, work) is None


def test_a_transfer_of_an_epoch_gone_by_is_proven_by_headers(tmp_path, main, work):
    send(main, work)
    change_members(main, 1)
    main.run((ALICE, Transfer(BOB, 1)))
    path = write(tmp_path / "l", main)
    # the border learns of the new epoch before the transfer is carried
    assert take(work, renew(path, main, work)) == [BorderRenewed]
    body = make(path, main, work)
    assert body is not None
    assert len(decode_bundle(body.proof).headers) == 2
    assert take(work, body) == [Imported]


def test_a_border_far_behind_is_renewed_in_steps(tmp_path, main, work):
    change_members(main, 2 * IMPORT_EPOCHS_MAX + 1)
    send(main, work)
    path, found = write(tmp_path / "l", main), []
    while not found or found[-1] is not Imported:
        found += take(work, make(path, main, work))
    assert found == [BorderRenewed, BorderRenewed, Imported]


def test_a_renewal_far_behind_goes_in_steps_and_ends(tmp_path, main, work):
    change_members(main, 2 * IMPORT_EPOCHS_MAX + 1)
    main.run(wait_ms=1_000)
    path, found = write(tmp_path / "l", main), []
    while (body := renew(path, main, work)) is not None:
        found += take(work, body)
    assert found == [BorderRenewed] * 3
    border = work.state.get_border(main.id)
    assert border is not None
    assert (border.epochs[-1].epoch, border.time_ms) == (17, main.state.time_ms)


def test_one_import_carries_what_fits_and_the_next_goes_on(tmp_path, main, work):
    send(main, work, ITEMS_MAX + 2)
    path = write(tmp_path / "l", main)
    assert take(work, make(path, main, work)) == [Imported] * ITEMS_MAX
    assert take(work, make(path, main, work)) == [Imported] * 2


def test_what_is_not_certified_waits(tmp_path, main, work):
    send(main, work)
    last = len(main.entries) - 1
    assert make(write(tmp_path / "a", main, uncertified=[last]), main, work) is None
    main.run((ALICE, Transfer(BOB, 1)))
    body = make(write(tmp_path / "b", main, uncertified=[last]), main, work)
    assert take(work, body) == [Imported]


def test_credits_come_back_by_the_same_way(tmp_path, main, work):
    work.run((MEMBERS[2], Export(main.id, BOB, 7)))
    assert take(main, make(write(tmp_path / "l", work), work, main)) == [Imported]
    assert main.state.stake.get(BOB, "free") == 7


def test_a_ledger_without_the_first_that_waits_proves_nothing(tmp_path, main, work):
    send(main, work, 2)
    position, _, _ = main.list_exports(work.id)[0]
    main.entries[position] = replace(main.entries[position], items=())
    assert make(write(tmp_path / "l", main), main, work) is None
