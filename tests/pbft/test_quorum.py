"""Quorum sizes, tallies and proofs against twins that only count: Castro and Liskov, sections 3
and 4.2. Sizes are tried over all subsets for small n; the laws hold for every n up to 100."""

import hashlib
from functools import cache
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity import envelope, schema
from identity.envelope import Context, Statement
from identity.errors import InvalidBytes
from protocols.committee import Committee, compute_faults, compute_quorum
from protocols.messages import COMMIT_KIND, Commit
from protocols.pbft.proof import check_commit_proof
from protocols.pbft.quorum import Tally
from tests.pbft.scenario_words import spoil
from tests.pbft.world import COMMITTEE, NETWORK, make_keys

MEMBERS_MAX = 100
DIGESTS = tuple(hashlib.sha256(text).digest() for text in (b"one", b"other"))


def masks(n: int, size: int) -> list[int]:
    return [sum(1 << index for index in chosen) for chosen in combinations(range(n), size)]


def is_safe(n: int, faults: int, size: int) -> bool:
    """Any two sets of `size` members share more than `faults` of them."""
    sets = masks(n, size)
    return all((one & other).bit_count() > faults for one in sets for other in sets)


@pytest.mark.parametrize("n", range(1, 9))
def test_a_quorum_is_the_least_safe_size_over_all_subsets(n: int) -> None:
    f, q = compute_faults(n), compute_quorum(n)
    safe = [size for size in range(1, n + 1) if is_safe(n, f, size)]
    assert q == min(safe)
    assert all(any(not chosen & silent for chosen in masks(n, q)) for silent in masks(n, f))


@pytest.mark.parametrize("n", range(1, 9))
def test_no_committee_survives_more_faults_than_f(n: int) -> None:
    faults = compute_faults(n) + 1
    assert not any(is_safe(n, faults, size) for size in range(1, n - faults + 1))


@given(st.integers(1, MEMBERS_MAX))
def test_the_laws_of_quorums(n: int) -> None:
    f, q = compute_faults(n), compute_quorum(n)
    assert n >= 3 * f + 1 > n - 3  # f is the most that n members survive
    assert 2 * q - n >= f + 1  # two quorums share an honest member
    assert 2 * (q - 1) - n < f + 1  # and no smaller size does
    assert f < q <= n - f  # one honest member in each; the honest ones are enough
    assert q - f > f or n < 4  # the honest ones of a quorum are more than the faulty


def test_a_literal_2f_plus_1_would_be_unsafe_beside_3f_plus_1() -> None:
    unsafe = [
        n for n in range(1, 9) if not is_safe(n, compute_faults(n), 2 * compute_faults(n) + 1)
    ]
    assert unsafe == [2, 3, 5, 6, 8]


# --- tallies ----------------------------------------------------------------------------------


KEYS = make_keys(MEMBERS_MAX)


@cache
def vote(signer: int, digest: int, seq: int, view: int, is_good: bool) -> Statement:
    payload = schema.encode(Commit(view, seq, DIGESTS[digest], 0))
    statement = envelope.sign(KEYS[signer], Context(NETWORK, COMMITTEE, 0, COMMIT_KIND), payload)
    return statement if is_good else spoil(statement)


def check(statement: Statement) -> None:
    statement.check(NETWORK)


Cast = tuple[int, int, bool, bool]
"""(signer, digest, whether its signature holds, whether the signer delivered it itself)"""


@st.composite
def ballots(draw: st.DrawFn) -> tuple[int, list[Cast]]:
    n = draw(st.sampled_from([1, 2, 3, 4, 5, 6, 7, 10, 31, 100]))
    signers = st.integers(0, min(n, 8) - 1)
    cast = st.tuples(signers, st.integers(0, 1), st.booleans(), st.booleans())
    return n, draw(st.lists(cast, max_size=24))


@given(ballots(), st.integers(1, 8), st.integers(0, 24))
@settings(max_examples=300)
def test_a_tally_counts_as_one_who_only_keeps_a_list(
    ballot: tuple[int, list[Cast]], size: int, collected_at: int
) -> None:
    """Counted are only signers of a good vote for the digest, each once; and everybody whose
    first vote is a good one for it. Evidence is two good votes of one signer that differ."""
    tally, heard = Tally(), list[tuple[int, int, bool]]()
    for place, (signer, digest, is_good, is_direct) in enumerate(ballot[1]):
        statement = vote(signer, digest, 1, 0, is_good)
        try:
            if not is_direct:
                check(statement)
            earlier = tally.add(statement, DIGESTS[digest], is_verified=not is_direct, check=check)
        except InvalidBytes:
            assert not is_good
            continue
        heard.append((signer, digest, is_good))
        if earlier is not None:
            check(earlier)
            assert is_good
            assert earlier.signer == statement.signer
            assert earlier.payload != statement.payload
        if place == collected_at:
            tally.collect(DIGESTS[0], size, check)
    found = tally.collect(DIGESTS[0], size, check)
    sound = {KEYS[signer].public for signer, digest, is_good in heard if is_good and not digest}
    first = {signer: (digest, is_good) for signer, digest, is_good in reversed(heard)}
    sure = [signer for signer, cast in first.items() if cast == (0, True)]
    assert found is None or (len(found) >= size and set(found) <= sound)
    assert found is not None or len(sure) < size
    for statement in (found or {}).values():
        check(statement)


# --- proofs -----------------------------------------------------------------------------------

Part = tuple[int, int, int, int, bool]
"""(signer, digest, seq, view, whether its signature holds)"""


@st.composite
def proofs(draw: st.DrawFn) -> tuple[int, list[Part]]:
    """Mostly whole proofs, with a flaw or two."""
    n = draw(st.sampled_from([1, 2, 3, 4, 5, 6, 7, 10, 31]))
    signers = draw(st.permutations(range(n)))
    count = draw(st.integers(max(0, compute_quorum(n) - 1), min(n, compute_quorum(n) + 1)))
    parts: list[Part] = [(signer, 0, 5, 0, True) for signer in signers[:count]]
    flaw = st.tuples(
        st.integers(0, min(n, 3)),
        st.integers(0, 1),
        st.integers(5, 6),
        st.integers(0, 1),
        st.booleans(),
    )
    for _ in range(draw(st.integers(0, 2))):
        if parts:
            parts[draw(st.integers(0, len(parts) - 1))] = draw(flaw)
    return n, parts


@given(proofs())
@settings(max_examples=300)
def test_a_commit_proof_holds_as_one_who_counts_names_says(proof: tuple[int, list[Part]]) -> None:
    n, parts = proof
    committee = Committee(NETWORK, COMMITTEE, 0, tuple(sorted(key.public for key in KEYS[:n])))
    all_hold = all(
        signer < n and digest == 0 and seq == 5 and is_good
        for signer, digest, seq, _, is_good in parts
    )
    names = {signer for signer, *_ in parts}
    views = {view for *_, view, _ in parts}
    expected = all_hold and len(names) >= compute_quorum(n) and len(views) == 1
    data = [vote(signer, digest, seq, view, good).data for signer, digest, seq, view, good in parts]
    try:
        check_commit_proof(committee, 5, DIGESTS[0], data, check)
    except InvalidBytes:
        assert not expected
    else:
        assert expected
