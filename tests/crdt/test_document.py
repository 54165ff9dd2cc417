"""The document shows the views, and equal facts give equal bytes in every process."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from pycrdt import Doc, Map

from crdt import document, facts
from crdt.document import Document
from crdt.facts import COMMON, Fact, Move, OfferedCapability, Score
from crdt.items import Card

A, B, TASK = (hashlib.sha256(name).digest() for name in (b"a", b"b", b"task"))
INPUTS = {"budget": 9, "seed": bytes(32), "bids": ()}
BIG = (1 << 62) + 1

ENTRIES: list[list[Fact]] = [
    [facts.Minted(account=A, moves=(Move(COMMON, "minted", A, "free", BIG),))],
    [
        facts.Paid(account=A, to=B, amount=7, moves=(Move(A, "free", B, "free", 7),)),
        facts.TaskOpened(
            task=TASK,
            requester=A,
            capability=B,
            input=B,
            input_bytes=1,
            budget=50,
            deadline_ms=9,
            moves=(Move(A, "free", A, "escrow", 50),),
        ),
        facts.AuctionOpened(task=TASK, round=0, bidders=(B,), weights_ppm=(1,), deadline_ms=9),
    ],
    [
        facts.Awarded(task=TASK, round=0, winner=B, bid=3, price=4, deadline_ms=9, **INPUTS),
        facts.Snapshot(number=1, root=B, scores=(Score(B, 10, 1, 900_000), Score(A, 1, 1, 5))),
    ],
    [
        facts.Settled(
            task=TASK, round=0, executor=B, grade="excellent", price=4, rater=A, allowance=9
        ),
        facts.TaskEnded(
            task=TASK,
            outcome="settled",
            output=A,
            moves=(Move(A, "escrow", B, "free", 4), Move(A, "escrow", A, "free", 46)),
        ),
    ],
]
CARD = Card((OfferedCapability(B, "count", "1"),), ("/ip4/1.2.3.4/tcp/1",), 5, 99)


def make_document() -> Document:
    made = Document(7)
    for number, entry in enumerate(ENTRIES):
        made.apply_facts(entry, number)
    made.apply_card(B, CARD)
    made.apply_data(B, "n", "x", b"1")
    made.apply_data(A, "n", "y", b"\xff\x00")
    made.apply_data(A, "m", "y", bytes(document.VALUE_BYTES_SHOWN_MAX + 1))
    return made


def test_it_shows_stake_tasks_reputation_and_directory() -> None:
    content = make_document().to_dict()
    assert content["stake"] == {
        "common": {"minted": str(BIG)},
        A.hex(): {"free": str(BIG - 11), "escrow": "0"},
        B.hex(): {"free": "11"},
    }
    tasks = content["tasks"]
    assert isinstance(tasks, dict)
    expected = {
        "requester": A.hex(),
        "capability": B.hex(),
        "state": "settled",
        "round": "0",
        "budget": "50",
        "winner": B.hex(),
        "price": "4",
        "grade": "excellent",
        "output": A.hex(),
        "opened_ms": "1",
        "ended_ms": "3",
    }
    assert tasks[TASK.hex()].items() >= expected.items()
    assert content["reputation"] == {
        A.hex(): {"good": "1", "bad": "1", "score_ppm": "5"},
        B.hex(): {"good": "10", "bad": "1", "score_ppm": "900000"},
    }
    assert content["directory"] == {
        B.hex(): {
            "price_hint": "5",
            "expires_ms": "99",
            "addresses": ["/ip4/1.2.3.4/tcp/1"],
            "capabilities": [f"count 1 {B.hex()}"],
        }
    }
    assert content["data"] == {
        A.hex(): {"n": {"y": b"\xff\x00"}, "m": {"y": "1025"}},
        B.hex(): {"n": {"x": b"1"}},
    }


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_another_process_makes_the_same_bytes(seed: str) -> None:
    script = (
        "from tests.crdt.test_document import make_document; "
        "print(make_document().snapshot().hex())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONHASHSEED": seed},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=True,
    ).stdout
    assert bytes.fromhex(printed.decode()) == make_document().snapshot()


def test_deltas_make_up_the_whole() -> None:
    """A reader that starts empty and applies each delta holds what the snapshot holds."""
    source, reader = Document(7), Doc[object]()
    subscription = source.observe(reader.apply_update)
    for number, entry in enumerate(ENTRIES):
        source.apply_facts(entry, number)
    source.apply_card(A, CARD)
    source.apply_card(B, CARD)
    source.apply_card(A, None)
    source.apply_data(A, "n", "x", b"1")
    source.apply_data(A, "n", "y", b"2")
    source.apply_data(A, "n", "x", None)
    source.apply_data(B, "n", "x", b"1")
    source.apply_data(B, "n", "x", None)
    for name, content in source.to_dict().items():
        assert reader.get(name, type=Map).to_py() == content
    source.unobserve(subscription)
    before = reader.get_update()
    source.apply_card(A, CARD)
    assert reader.get_update() == before


def test_what_a_new_round_undoes_is_shown_no_longer() -> None:
    shown = Document(1)
    shown.apply_facts(ENTRIES[0], 0)
    shown.apply_facts(ENTRIES[1], 1)
    shown.apply_facts(ENTRIES[2][:1], 2)
    shown.apply_facts([ENTRIES[1][2]], 3)
    tasks = shown.to_dict()["tasks"]
    assert isinstance(tasks, dict)
    assert (tasks[TASK.hex()]["state"], tasks[TASK.hex()]["winner"]) == ("bidding", "")


def test_the_tasks_shown_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "TASKS_MAX", 3)
    shown = Document(1)
    ids = [hashlib.sha256(bytes([i])).digest() for i in range(10)]
    for task in ids:
        shown.apply_facts(
            [
                facts.TaskOpened(
                    task=task,
                    requester=A,
                    capability=B,
                    input=B,
                    input_bytes=1,
                    budget=1,
                    deadline_ms=1,
                )
            ],
            0,
        )
    tasks = shown.to_dict()["tasks"]
    assert isinstance(tasks, dict)
    assert set(tasks) == {task.hex() for task in ids[-3:]}


@pytest.mark.parametrize("text", ["", "\0", "\u202e/../", "\U0010ffff", "__proto__", "é" * 64])
def test_what_strangers_write_is_shown_as_it_is(text: str) -> None:
    """Names, addresses and values come from other peers; a Yjs client reads them back."""
    shown, reader = Document(1), Doc[object]()
    card = Card((OfferedCapability(B, text or "x", text or "x"),), (text or "x",), 5, 99)
    shown.apply_card(A, card)
    shown.apply_data(A, text or "x", text or "x", text.encode())
    reader.apply_update(shown.snapshot())
    data = reader.get("data", type=Map).to_py()
    assert data == {A.hex(): {text or "x": {text or "x": text.encode()}}}
    assert shown.list_data() == [(A, text or "x", text or "x")]
    directory = reader.get("directory", type=Map).to_py()
    assert directory is not None
    assert directory[A.hex()]["addresses"] == [text or "x"]
    shown.apply_data(A, text or "x", text or "x", None)
    assert shown.to_dict()["data"] == {}


def test_what_changes_nothing_makes_no_delta() -> None:
    shown = make_document()
    heard: list[bytes] = []
    subscription = shown.observe(heard.append)
    shown.apply_data(B, "n", "x", b"1")
    shown.apply_data(B, "n", "absent", None)
    shown.apply_card(TASK, None)
    assert heard == []
    shown.unobserve(subscription)
