"""Merge is a union: order, repetition and loss do not matter, and a fork freezes its author."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt import log, replica
from crdt.heads import check_fork, sign_head
from crdt.replica import ProvenEntry, Replica
from identity.envelope import Context, sign
from identity.errors import InvalidBytes
from identity.schema import encode
from tests.crdt.logs import (
    COMMITTEE,
    KEYS,
    NETWORK,
    PROVER,
    exchange,
    make_chain,
    make_pool,
    make_replica,
    prove,
)

POOL = make_pool()
INDEXES = st.lists(st.integers(0, len(POOL) - 1), max_size=60)


def fill(indexes: list[int]) -> Replica:
    filled = make_replica()
    for index in indexes:
        filled.merge(POOL[index])
    return filled


@given(st.permutations(range(len(POOL))), st.permutations(range(len(POOL))))
@settings(max_examples=60)
def test_every_order_of_everything_gives_one_root(one: list[int], other: list[int]) -> None:
    first, second = fill(one), fill(other)
    assert first.get_root() == second.get_root()
    assert first.get_count(KEYS[0].public) == 6
    assert first.get_count(COMMITTEE) == 3
    assert first.get_count(KEYS[2].public) == 2  # the last entry that all branches share
    assert first.get_count(KEYS[3].public) == 0


@given(INDEXES, st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_order_and_repetition_of_anything_do_not_matter(indexes: list[int], random: object) -> None:
    shuffled = indexes * 2
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert fill(indexes).get_root() == fill(shuffled).get_root()


@given(INDEXES, INDEXES, INDEXES)
@settings(max_examples=100)
def test_replicas_that_lost_different_entries_become_equal(
    one: list[int], two: list[int], three: list[int]
) -> None:
    replicas = [fill(one), fill(two), fill(three)]
    roots: set[bytes] = set()
    for _ in range(2 * len(POOL)):
        for source in replicas:
            for target in replicas:
                if source is not target:
                    exchange(source, target)
        roots = {each.get_root() for each in replicas}
        if len(roots) == 1:
            break
    assert len(roots) == 1
    before = replicas[0].get_root()
    exchange(replicas[0], replicas[0])
    assert replicas[0].get_root() == before


def close(indexes: list[int]) -> list[int]:
    """The indexes with those of all ancestors, so that nothing waits."""
    by_hash = {proven.entry.header.hash(): i for i, proven in enumerate(POOL)}
    closed = set(indexes)
    for index in indexes:
        header = POOL[index].entry.header
        while header.position > 0:
            index = by_hash[header.previous]
            closed.add(index)
            header = POOL[index].entry.header
    return sorted(closed)


@given(INDEXES, INDEXES, INDEXES)
@settings(max_examples=100)
def test_merging_states_is_associative_and_commutative(
    one: list[int], two: list[int], three: list[int]
) -> None:
    sets = [close(each) for each in (one, two, three)]

    def merge_states(order: tuple[int, int, int], *, right_first: bool) -> Replica:
        a, b, c = (fill(sets[i]) for i in order)
        if right_first:
            exchange(c, b)
            exchange(b, a)
        else:
            exchange(b, a)
            exchange(c, a)
        return a

    union = fill(sorted({index for each in sets for index in each})).get_root()
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        for right_first in (False, True):
            merged = merge_states(order, right_first=right_first)
            assert merged.heads().keys() == fill(sets[0] + sets[1] + sets[2]).heads().keys()
            assert merged.get_root() == union


def test_a_change_names_the_entries_that_joined_and_the_fork() -> None:
    chain = make_chain(KEYS[0], 4)
    other = make_chain(KEYS[0], 3, base=chain[:2], salt=b"x")
    held = make_replica()
    assert held.merge(chain[2]).entries == ()
    assert held.merge(chain[0]).entries == (chain[0],)
    assert held.merge(chain[1]).entries == (chain[1], chain[2])
    assert held.merge(chain[1]).entries == ()
    change = held.merge(other[2])
    assert change.fork is not None
    assert (change.fork.author, change.fork.position) == (KEYS[0].public, 2)
    assert check_fork(change.fork.encode(), PROVER) == change.fork
    assert held.merge(chain[2]).entries == ()
    assert held.merge(chain[3]).entries == ()
    assert [entry.header.position for entry in held.iterate(KEYS[0].public)] == [0, 1]
    told = make_replica()
    assert told.merge_fork(change.fork.encode()).fork == change.fork
    for proven in chain:
        told.merge(proven)
    assert told.get_root() == held.get_root()


def test_two_orders_of_two_proofs_make_one_fork_proof() -> None:
    chain, other = make_chain(KEYS[0], 1), make_chain(KEYS[0], 1, salt=b"x")
    proofs = set()
    for order in ([chain[0], other[0]], [other[0], chain[0]]):
        held = make_replica()
        changes = [held.merge(proven) for proven in order]
        assert changes[1].fork is not None
        proofs.add(changes[1].fork.encode())
    assert len(proofs) == 1


def forge() -> list[tuple[str, ProvenEntry]]:
    honest = make_chain(KEYS[0], 2)
    header = honest[1].entry.header
    context = Context(NETWORK, bytes(16), 0, log.HEAD_KIND)
    head = log.Head(header.author, header.position, header.hash())
    other_kind = Context(NETWORK, bytes(16), 0, "vote")
    wrong_items = log.Entry(header, (b"other",))
    committee = log.append(COMMITTEE, 0, bytes(32), 0, [])
    unlinked = log.append(KEYS[0].public, 3, bytes(32), 0, [])
    return [
        (
            "in another's name",
            ProvenEntry(honest[1].entry, sign(KEYS[1], context, encode(head)).data),
        ),
        ("another network", ProvenEntry(honest[1].entry, sign_head(KEYS[0], bytes(32), header))),
        (
            "another kind",
            ProvenEntry(honest[1].entry, sign(KEYS[0], other_kind, encode(head)).data),
        ),
        ("the proof of another", ProvenEntry(honest[1].entry, honest[0].proof)),
        ("other items", ProvenEntry(wrong_items, honest[1].proof)),
        ("no proof", ProvenEntry(honest[1].entry, b"")),
        ("a peer for a committee", prove(committee, KEYS[0])),
        ("links to nothing", prove(unlinked, KEYS[0])),
        ("an unknown committee", prove(log.append(bytes(16), 0, bytes(32), 0, []), None)),
    ]


@pytest.mark.parametrize(("name", "forged"), forge())
def test_forged_entries_change_nothing(name: str, forged: ProvenEntry) -> None:
    held = make_replica()
    root = held.get_root()
    with pytest.raises(InvalidBytes):
        held.merge(forged)
    assert held.get_root() == root, name


def test_forged_fork_proofs_convict_nobody() -> None:
    chain, other = make_chain(KEYS[0], 2), make_chain(KEYS[0], 2, salt=b"x")
    held = make_replica()
    held.merge(chain[0])
    fork = held.merge(other[0]).fork
    assert fork is not None
    data = fork.encode()
    fresh = make_replica()
    with pytest.raises(InvalidBytes):  # one entry twice
        fresh.merge_fork(data.replace(fork.proofs[1], fork.proofs[0]))
    with pytest.raises(InvalidBytes):  # two positions
        fresh.merge_fork(data.replace(fork.proofs[1], chain[1].proof))
    for index in range(0, len(data), 7):
        flipped = bytearray(data)
        flipped[index] ^= 1
        with pytest.raises(InvalidBytes):
            fresh.merge_fork(bytes(flipped))
    assert fresh.get_forks() == []


def test_entries_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "ORPHANS_AUTHOR_MAX", 4)
    monkeypatch.setattr(replica, "ORPHANS_MAX", 6)
    chains = [make_chain(key, 12) for key in KEYS[:3]]
    held = make_replica()
    for chain in chains:
        for proven in reversed(chain[1:]):
            held.merge(proven)
    for chain in chains:
        held.merge(chain[0])
    # The nearest ones were kept: 4 of the first author, 2 of the second (the total), 0.
    assert held.get_count(KEYS[0].public) == 5
    for chain in chains:
        for proven in chain:
            held.merge(proven)
    assert [held.get_count(key.public) for key in KEYS[:3]] == [12, 12, 12]


def test_a_full_replica_says_so_and_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "AUTHORS_MAX", 1)
    held = make_replica()
    held.merge(make_chain(KEYS[0], 1)[0])
    root = held.get_root()
    with pytest.raises(replica.ReplicaFull):
        held.merge(make_chain(KEYS[1], 1)[0])
    assert held.get_root() == root


def test_one_author_does_not_fill_the_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fits is the same beginning of its log whatever came first; others go on."""
    chain = make_chain(KEYS[0], 8)
    size = chain[0].count_bytes()
    monkeypatch.setattr(replica, "LOG_BYTES_MAX", 3 * size + size // 2)
    held, other = make_replica(), make_replica()
    for proven in chain[:3]:
        held.merge(proven)
    with pytest.raises(replica.ReplicaFull):
        held.merge(chain[3])
    for proven in reversed(chain):
        other.merge(proven)
    assert held.get_root() == other.get_root()
    assert held.get_bytes(KEYS[0].public) == other.get_bytes(KEYS[0].public)
    assert held.get_bytes(KEYS[0].public) <= replica.LOG_BYTES_MAX
    held.merge(make_chain(KEYS[1], 1)[0])
    assert held.get_count(KEYS[1].public) == 1
