"""The directory says what each author's own log says, in its order."""

import hashlib
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt import directory, log
from crdt.directory import Directory, Place, Query, Register, Standing
from crdt.facts import OfferedCapability
from crdt.items import Card, Data, Item, WorkReceipt, decode_item, encode_item
from identity.cbor import encode
from identity.errors import InvalidBytes

A, B = bytes([1]) * 32, bytes([2]) * 32
COUNT = OfferedCapability(hashlib.sha256(b"count").digest(), "count", "1")
SORT = OfferedCapability(hashlib.sha256(b"sort").digest(), "sort", "2")


def make_log(author: bytes, *entries: list[Item | bytes]) -> list[log.Entry]:
    made: list[log.Entry] = []
    for position, items in enumerate(entries):
        previous = made[-1].header.hash() if made else log.GENESIS_PREVIOUS
        data = [item if isinstance(item, bytes) else encode_item(item) for item in items]
        made.append(log.append(author, position, previous, 0, data))
    return made


def make_directory(*logs: list[log.Entry]) -> Directory:
    made = Directory()
    for entries in logs:
        for entry in entries:
            made.apply(entry)
    return made


def make_card(price_hint: int, expires_ms: int, *capabilities: OfferedCapability) -> Card:
    return Card(capabilities, ("/ip4/127.0.0.1/tcp/4001",), price_hint, expires_ms)


@pytest.mark.parametrize(
    "item",
    [
        make_card(5, 10, COUNT, SORT),
        WorkReceipt(B, 1, A, "poor"),
        Data("app", "key", b"value"),
        Data("app", "key", None),
    ],
)
def test_items_come_back(item: Item) -> None:
    assert decode_item(encode_item(item)) == item


@pytest.mark.parametrize(
    "value",
    [
        {"kind": "unknown"},
        {"kind": "data", "namespace": "", "key": "k", "value": b""},
        {"kind": "data", "namespace": "n", "key": "k", "value": bytes(64 * 1024 + 1)},
        {"kind": "data", "namespace": "n", "key": "k", "value": b"", "more": 1},
        {"kind": "receipt", "task": B, "round": 0, "subject": A, "grade": "fine"},
        [1],
    ],
)
def test_items_out_of_bounds_are_refused(value: object) -> None:
    with pytest.raises(InvalidBytes):
        decode_item(encode(value))


def find(found: Directory, now_ms: int, **query: Any) -> list[bytes]:
    standings = {A: Standing(500, 30), B: Standing(500, 20)}
    offers = found.find(now_ms, Query(**query), standings.__getitem__)
    return [offer.agent for offer, _ in offers]


def test_the_newest_card_counts_until_it_expires() -> None:
    found = make_directory(
        make_log(A, [make_card(9, 100, COUNT)], [make_card(7, 200, COUNT, SORT)]),
        make_log(B, [make_card(3, 150, COUNT)]),
    )
    assert find(found, 0, name="count") == [B, A]
    assert find(found, 0, id=SORT.id) == [A]
    assert find(found, 150) == [A]
    assert find(found, 0, id=SORT.id, name="count") == []
    offer = found.get_offer(A)
    assert offer is not None
    assert (offer.card.price_hint, offer.position) == (7, 1)


def test_cards_are_filtered_by_score_bond_and_price_and_the_best_score_comes_first() -> None:
    found = make_directory(
        make_log(A, [make_card(9, 100, COUNT)]), make_log(B, [make_card(3, 100, COUNT)])
    )
    assert find(found, 0, bond_min=20) == [B, A]
    assert find(found, 0, bond_min=21) == [A]
    assert find(found, 0, price_max=9) == [B, A]
    assert find(found, 0, price_max=8) == [B]
    assert find(found, 0, score_min=500) == [B, A]
    assert find(found, 0, score_min=501) == []
    better = {A: Standing(501, 0), B: Standing(500, 0)}
    offers = found.find(0, Query(), better.__getitem__)
    assert [offer.agent for offer, _ in offers] == [A, B]
    banned = {A: Standing(501, 30, is_banned=True), B: Standing(500, 0)}
    offers = found.find(0, Query(), banned.__getitem__)
    assert [offer.agent for offer, _ in offers] == [B]


def test_a_forked_authors_card_is_not_found_any_more() -> None:
    entries = make_log(A, [make_card(9, 100, COUNT), Data("n", "x", b"1")], [Data("n", "y", b"2")])
    found = make_directory(entries)
    touched = found.freeze(A, entries[:1])
    assert touched.card
    assert touched.data == {Place("n", "x"), Place("n", "y")}
    assert find(found, 0) == []
    assert found.is_frozen(A)
    assert found.get_card(A) is not None
    assert found.list_data(A) == {("n", "x"): Register(b"1", 0, 0)}
    assert not found.is_frozen(B)


def test_data_is_set_replaced_and_removed_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "DATA_KEYS_MAX", 2)
    found = make_directory(
        make_log(
            A,
            [Data("n", "x", b"1"), Data("n", "y", b"2"), Data("n", "z", b"3")],
            [Data("n", "x", b"4"), Data("n", "y", None)],
            [Data("m", "w", b"5")],
        )
    )
    expected = {("m", "w"): Register(b"5", 2, 0), ("n", "x"): Register(b"4", 1, 0)}
    assert found.list_data(A) == expected
    assert found.list_namespace(A, "n") == {"x": Register(b"4", 1, 0)}
    assert found.get_data(A, "n", "z") is None
    assert found.get_data(B, "n", "x") is None
    assert not found.has_room(A, Place("n", "y"), 1)
    assert found.has_room(A, Place("n", "x"), 1)


def test_the_bytes_of_an_author_and_the_keys_of_a_namespace_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(directory, "DATA_BYTES_MAX", 5)
    monkeypatch.setattr(directory, "DATA_KEYS_NAMESPACE_MAX", 2)
    found = make_directory(
        make_log(
            A,
            [Data("n", "x", b"123"), Data("n", "y", b"456"), Data("n", "y", b"45")],
            [Data("n", "x", b"1234"), Data("n", "z", b""), Data("m", "z", b"")],
            [Data("n", "y", b""), Data("n", "x", b"12345")],
        )
    )
    values = {place: register.value for place, register in found.list_data(A).items()}
    assert values == {("m", "z"): b"", ("n", "x"): b"12345", ("n", "y"): b""}


def test_receipts_are_kept_in_order_and_nonsense_is_skipped() -> None:
    receipts = [WorkReceipt(B, number, B, "excellent") for number in range(3)]
    found = make_directory(make_log(A, [receipts[0], b"\xff", receipts[1]], [receipts[2]]))
    assert list(found.get_receipts(A)) == receipts


def test_repeats_are_skipped_gaps_refused_and_a_freeze_starts_anew() -> None:
    entries = make_log(A, [Data("n", "x", b"1")], [Data("n", "x", b"2")], [Data("n", "x", b"3")])
    found = make_directory(entries[:2], entries[:2])
    assert found.get_data(A, "n", "x") == Register(b"2", 1, 0)
    with pytest.raises(ValueError, match="after 2"):
        found.apply(make_log(A, *([[]] * 4))[3])
    found.freeze(A, entries[:1])
    assert found.get_data(A, "n", "x") == Register(b"1", 0, 0)
    committee = log.append(bytes(16), 0, log.GENESIS_PREVIOUS, 0, [encode_item(make_card(1, 9))])
    found.apply(committee)
    assert found.get_authors() == [A]


NAMES = st.sampled_from(["a", "b", "c"])
ITEMS = st.one_of(
    st.builds(Data, NAMES, NAMES, st.one_of(st.none(), st.binary(max_size=6))),
    st.builds(make_card, st.integers(0, 9), st.integers(0, 9)),
    st.binary(max_size=3),
)


@given(logs=st.lists(st.lists(ITEMS, max_size=5), max_size=8), left=st.integers(0, 8))
def test_the_map_of_an_author_follows_from_its_entries_alone(
    logs: list[list[Item | bytes]], left: int
) -> None:
    """Whatever it writes: bounds hold, what has room counts, and a fold anew gives the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(directory, "DATA_KEYS_MAX", 4)
        patch.setattr(directory, "DATA_KEYS_NAMESPACE_MAX", 2)
        patch.setattr(directory, "DATA_BYTES_MAX", 12)
        entries = make_log(A, *logs)
        found = Directory()
        for entry in entries:
            before = dict(found.list_data(A))
            touched = found.apply(entry)
            after = found.list_data(A)
            changed = {
                place for place in {*before, *after} if before.get(place) != after.get(place)
            }
            assert changed <= touched.data
            assert len(after) <= 4
            assert max(Counter(place.namespace for place in after).values(), default=0) <= 2
            assert sum(len(register.value) for register in after.values()) <= 12
            for place in (Place("a", "a"), Place("b", "c")):
                room = found.has_room(A, place, 3)
                follow = make_log(A, *logs[: entry.header.position + 1], [Data(*place, b"new")])
                tried = make_directory(follow)
                register = tried.get_data(A, *place)
                assert room == (register is not None and register.position == len(follow) - 1)
        found.freeze(A, entries[:left])
        expected = make_directory(entries[:left])
        assert found.list_data(A) == expected.list_data(A)
        assert found.get_offer(A) == expected.get_offer(A)
