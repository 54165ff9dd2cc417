"""Faults of peers: all are counted, few are told, and no crowd of strangers fills the memory."""

from identity.keys import PrivateKey
from node.faults import PEERS_MAX, Faults


def test_all_are_counted_and_fewer_and_fewer_are_told(caplog):
    faults, peer = Faults(), PrivateKey(bytes(32)).public
    for number in range(1_000):
        faults.note(peer, f"reason {number} " + "x" * 5_000)
    assert faults.total == 1_000
    assert len(caplog.records) == 10
    assert all(len(record.getMessage()) < 400 for record in caplog.records)


def test_a_crowd_of_strangers_is_forgotten_oldest_first(caplog):
    faults = Faults()
    for number in range(2 * PEERS_MAX):
        faults.note(number.to_bytes(32), "reason")
    assert faults.total == 2 * PEERS_MAX
    assert len(faults._counts) == PEERS_MAX
    assert (2 * PEERS_MAX - 1).to_bytes(32) in faults._counts
