"""What waits for the own log leaves in order, in entries within their bounds."""

import pytest

from crdt.items import VALUE_BYTES_MAX, Data, decode_item
from crdt.replica import ITEM_OVERHEAD
from node import outbox
from node.outbox import ENTRY_ITEM_BYTES_MAX, ENTRY_ITEMS_MAX, Outbox, OutboxFull


def make_item(number: int, size: int = 1) -> Data:
    return Data("n", str(number), bytes(size))


def take_all(box: Outbox) -> list[list[int]]:
    entries = []
    while taken := box.take():
        entries.append([int(decode_item(each.data).key) for each in taken])
    return entries


def test_entries_are_bounded_by_items_and_by_bytes() -> None:
    box, half = Outbox(), ENTRY_ITEM_BYTES_MAX // 2 - 100 - 2 * ITEM_OVERHEAD
    box.put([make_item(n) for n in range(ENTRY_ITEMS_MAX + 2)])
    box.put([make_item(n, half) for n in range(3)])
    box.put([make_item(n, VALUE_BYTES_MAX) for n in range(3, 5)])
    assert take_all(box) == [
        list(range(ENTRY_ITEMS_MAX)),
        [ENTRY_ITEMS_MAX, ENTRY_ITEMS_MAX + 1, 0, 1],
        [2],
        [3],
        [4],
    ]
    assert len(box) == 0


def test_what_nobody_waits_for_is_dropped_beyond_its_bound(monkeypatch) -> None:
    monkeypatch.setattr(outbox, "ITEMS_WAITING_MAX", 3)
    box = Outbox()
    box.put_tracked(make_item(0))
    box.put([make_item(n) for n in range(1, 4)])
    box.put_tracked(make_item(4))
    box.put([make_item(5), make_item(6)])
    assert take_all(box) == [[0, 3, 4, 5, 6]]


def test_tickets_are_bounded_and_can_be_given_back(monkeypatch) -> None:
    monkeypatch.setattr(outbox, "TICKETS_MAX", 2)
    box = Outbox()
    tickets = [box.put_tracked(make_item(n)) for n in range(2)]
    with pytest.raises(OutboxFull):
        box.put_tracked(make_item(2))
    box.withdraw(tickets[0])
    box.withdraw(tickets[0])
    box.put_tracked(make_item(3))
    assert take_all(box) == [[1, 3]]
    box.withdraw(tickets[1])
    for number in range(2):
        box.put_tracked(make_item(number))
    with pytest.raises(OutboxFull):
        box.put_tracked(make_item(2))
