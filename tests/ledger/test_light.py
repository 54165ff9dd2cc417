"""Light proofs of a ledger that crossed three epochs: checked elsewhere, from the genesis alone."""

import json
import sqlite3
from pathlib import Path

import msgspec
import pytest
import trio
import trio_asyncio
from hypothesis import given
from hypothesis import strategies as st

from crdt.facts import EpochBegan, MemberJoined, Minted, TaskOpened, decode_fact
from identity.errors import InvalidBytes
from node.cli import run
from node.ledger import Ledger
from node.ledger_prove import prove
from node.ledger_verify import verify_ledger
from node.light_files import read_anchor, write_anchor
from node.problem import Problem
from protocols.genesis import dump_genesis
from protocols.light import (
    Bundle,
    StaleAnchor,
    decode_bundle,
    encode_bundle,
    make_anchor,
    verify_bundle,
)
from tests.ledger.network import CREATED_MS, JOINERS, Network

NETWORK = Network()
BATCHES = [
    NETWORK.make_genesis_batch(),
    *NETWORK.make_task_batches(),
    *NETWORK.make_epochs(),
    NETWORK.make_batch(2),
]
FIRSTS = [start for start, now in NETWORK.epochs.items() if now.start == start - 1 and now.epoch]
"""The first position of each epoch after the founding one."""
NOW_MS = CREATED_MS + 60_000
ANCHOR = make_anchor(NETWORK.genesis)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("light") / "ledger.sqlite3"

    async def write() -> None:
        async with trio_asyncio.open_loop(), Ledger.open(found, NETWORK.id) as ledger:
            for batch in BATCHES:
                ledger.append(batch)
                # the entry of the tasks has no certificate of its own
                if batch.position not in (0, 2):
                    proof = NETWORK.certify(batch.entry)
                    ledger.put_certificate(batch.committee, batch.position, proof)

    trio.run(write)
    return found


def open_altered(path: Path, copy: Path) -> sqlite3.Connection:
    """A copy of the ledger that somebody may alter."""
    copy.write_bytes(path.read_bytes())
    connection = sqlite3.connect(copy, isolation_level=None)
    for (name,) in connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
    ).fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    return connection


def make(path: Path, **wanted) -> Bundle:
    return prove(path, NETWORK.id, NETWORK.committee.id, **wanted)


def test_the_whole_check_follows_the_epochs(path):
    report = verify_ledger(path, NETWORK.genesis)
    assert report.findings == []
    assert report.is_valid
    assert report.epoch == 3


def test_a_certificate_beyond_its_epoch_is_none(path, tmp_path):
    """Members of an ended epoch sign the head that follows it: nobody counts that."""
    copy = tmp_path / "ledger.sqlite3"
    connection = open_altered(path, copy)
    batch = BATCHES[-1]
    NETWORK.epochs[batch.position], now = NETWORK.epochs[1], NETWORK.epochs[batch.position]
    forged = NETWORK.certify(batch.entry)
    NETWORK.epochs[batch.position] = now
    changed = (forged, batch.position)
    connection.execute("UPDATE certificates SET data = ? WHERE position = ?", changed)
    connection.close()
    report = verify_ledger(copy, NETWORK.genesis)
    assert [finding.table for finding in report.findings] == ["certificates"]


def test_a_task_is_proven_by_its_id(path):
    opened = next(f for batch in BATCHES for f in decode_items(batch) if isinstance(f, TaskOpened))
    bundle = make(path, task=opened.task.hex()[:8])
    assert bundle.headers  # its own entry is not certified, the one after it is
    proven = verify_bundle(decode_bundle(encode_bundle(bundle)), ANCHOR, NOW_MS)
    assert opened in proven.facts
    assert all(getattr(fact, "task", None) == opened.task for fact in proven.facts)


def test_an_epoch_whose_end_is_not_held_is_named(path, tmp_path):
    """As where a state was fetched: a bundle without it would convince nobody."""
    copy = tmp_path / "ledger.sqlite3"
    connection = open_altered(path, copy)
    end = FIRSTS[0] - 1
    deleted = connection.execute("DELETE FROM records WHERE position = ?", (end,))
    assert deleted.rowcount
    connection.close()
    with pytest.raises(Problem, match="ended where this node went on"):
        make(copy, position=BATCHES[-1].position)


def decode_items(batch):
    return [decode_fact(item) for item in batch.entry.items]


def test_every_position_is_proven_from_the_genesis(path):
    for batch in BATCHES[1:]:
        proven = verify_bundle(make(path, position=batch.position), ANCHOR, NOW_MS)
        assert list(proven.facts) == decode_items(batch)
        assert proven.anchor.epoch == NETWORK.epochs[proven.certified_position].epoch
        assert proven.signers >= NETWORK.epochs[proven.certified_position].q


def test_a_proof_goes_on_from_a_saved_anchor(path, tmp_path):
    first = verify_bundle(make(path, position=FIRSTS[1]), ANCHOR, NOW_MS).anchor
    assert first.epoch == 2
    file = tmp_path / "anchor.json"
    write_anchor(file, first)
    assert read_anchor(file) == first
    last = BATCHES[-1].position
    whole = make(path, position=last)
    later = msgspec.structs.replace(whole, epochs=whole.epochs[2:])
    for bundle in (whole, later):
        proven = verify_bundle(bundle, read_anchor(file), NOW_MS)
        assert proven.anchor.epoch == 3
    with pytest.raises(InvalidBytes):
        verify_bundle(later, ANCHOR, NOW_MS)


def test_an_old_anchor_is_refused(path):
    bundle = make(path, position=1)
    limit = CREATED_MS + NETWORK.genesis.parameters.unbonding_ms
    verify_bundle(bundle, ANCHOR, limit)
    with pytest.raises(StaleAnchor):
        verify_bundle(bundle, ANCHOR, limit + 1)


def test_another_networks_genesis_proves_nothing(path):
    other = msgspec.structs.replace(ANCHOR, network=bytes(32))
    with pytest.raises(InvalidBytes):
        verify_bundle(make(path, position=1), other, NOW_MS)


def test_joiners_alone_do_not_make_an_epoch(path):
    """An EpochBegan that a quorum of the former members did not sign begins nothing."""
    bundle = make(path, position=BATCHES[-1].position)
    end = bundle.epochs[0]
    assert isinstance(decode_items(BATCHES[FIRSTS[0] - 1])[-1], EpochBegan)
    forged = msgspec.structs.replace(end, certificate=bundle.certificate)
    swapped = msgspec.structs.replace(bundle, epochs=(forged, *bundle.epochs[1:]))
    with pytest.raises(InvalidBytes):
        verify_bundle(swapped, ANCHOR, NOW_MS)
    skipped = msgspec.structs.replace(bundle, epochs=bundle.epochs[1:])
    with pytest.raises(InvalidBytes):
        verify_bundle(skipped, ANCHOR, NOW_MS)


def test_a_fact_of_another_entry_is_refused(path):
    bundle = make(path, position=BATCHES[-1].position)
    other = make(path, position=1).entry.facts
    mixed = msgspec.structs.replace(
        bundle, entry=msgspec.structs.replace(bundle.entry, facts=other)
    )
    with pytest.raises(InvalidBytes):
        verify_bundle(mixed, ANCHOR, NOW_MS)


@given(data=st.data())
def test_any_altered_byte_is_found(path, data):
    proof = bytearray(encode_bundle(make(path, position=FIRSTS[2])))
    place = data.draw(st.integers(0, len(proof) - 1))
    proof[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InvalidBytes):
        verify_bundle(decode_bundle(bytes(proof)), ANCHOR, NOW_MS)


@given(data=st.data())
def test_what_is_altered_and_sealed_again_proves_no_other_fact(path, data):
    """Whoever alters a proof can also compute its checksum anew: the signatures hold the rest."""
    bundle = make(path, position=FIRSTS[2])
    payload = bytearray(msgspec.msgpack.encode(bundle))
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        altered = msgspec.msgpack.decode(bytes(payload), type=Bundle)
        proven = verify_bundle(altered, ANCHOR, NOW_MS)
    except (msgspec.DecodeError, InvalidBytes, UnicodeDecodeError):
        return
    honest = verify_bundle(bundle, ANCHOR, NOW_MS)
    assert (proven.position, proven.facts) == (honest.position, honest.facts)
    assert proven.anchor == honest.anchor


def test_what_is_not_certified_is_not_proven(path, tmp_path):
    copy = tmp_path / "ledger.sqlite3"
    connection = open_altered(path, copy)
    connection.execute("DELETE FROM certificates WHERE position >= ?", (FIRSTS[2] - 1,))
    connection.close()
    with pytest.raises(Problem, match="no quorum"):
        make(copy, position=BATCHES[-1].position)
    with pytest.raises(Problem, match="no task"):
        make(copy, task="00ff00ff")
    with pytest.raises(Problem, match="no position"):
        make(copy, position=1_000)


def test_the_commands(path, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("time.time_ns", lambda: NOW_MS * 1_000_000)
    genesis, proof, anchor = (tmp_path / name for name in ("genesis.json", "p", "anchor.json"))
    genesis.write_text(dump_genesis(NETWORK.genesis))
    data = encode_bundle(make(path, position=FIRSTS[2] - 1))
    proof.write_bytes(data)
    words = ("ledger", "verify", "--light", str(proof))
    save = ("--save-anchor", str(anchor), "--json")
    assert run([*words, "--genesis", str(genesis), *save]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["proven"]
    assert shown["epoch"] == 2
    assert shown["facts"][0]["kind"] == "member_joined"
    assert run([*words, "--anchor", str(anchor)]) == 0
    proof.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert run([*words, "--genesis", str(genesis)]) == 1
    monkeypatch.setattr("time.time_ns", lambda: 2 * CREATED_MS * 1_000_000)
    proof.write_bytes(data)
    capsys.readouterr()
    assert run([*words, "--anchor", str(anchor), "--json"]) == 1
    assert "stale-anchor" in capsys.readouterr().out
    anchor.write_text("{}")
    assert run([*words, "--anchor", str(anchor)]) == 1


def test_the_story_has_the_facts_it_needs():
    kinds = {type(fact) for batch in BATCHES for fact in decode_items(batch)}
    assert kinds >= {Minted, MemberJoined, EpochBegan}
    assert len(FIRSTS) == len(JOINERS)
