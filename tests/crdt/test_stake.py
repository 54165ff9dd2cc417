"""The stake view conserves credits, never goes negative and applies a fact whole or not at all."""

from hypothesis import given, settings
from hypothesis import strategies as st

from crdt.facts import COMMON, Charged, Move
from crdt.stake import COMMON_BUCKETS, OWNED_BUCKETS, StakeView, Unbalanced

ACCOUNTS = [bytes([i]) * 32 for i in (1, 2, 3)]
PLACES = [
    *((account, bucket) for account in ACCOUNTS for bucket in OWNED_BUCKETS),
    *((COMMON, bucket) for bucket in COMMON_BUCKETS),
    *((COMMON, "free"), (ACCOUNTS[0], "treasury")),  # places that do not exist
]
AMOUNTS = st.integers(0, 20) | st.sampled_from([1 << 40, (1 << 63) - 1])
MINTS = st.builds(
    lambda account, amount: Move(COMMON, "minted", account, "free", amount),
    st.sampled_from(ACCOUNTS),
    st.integers(0, 50),
)
MOVES = MINTS | st.builds(
    lambda source, target, amount: Move(*source, *target, amount),
    st.sampled_from(PLACES),
    st.sampled_from(PLACES),
    AMOUNTS,
)
FACTS = st.lists(st.lists(MOVES, max_size=4), max_size=30)


@given(FACTS)
@settings(max_examples=300)
def test_whatever_is_applied_credits_are_conserved(all_moves: list[list[Move]]) -> None:
    view = StakeView()
    for moves in all_moves:
        before, accounts = view.balances(), list(view.accounts())
        try:
            view.apply(Charged(operation=bytes(32), moves=tuple(moves)))
        except Unbalanced:
            assert view.balances() == before
            assert set(view.accounts()) >= set(accounts)
        assert view.is_conserved()
        assert all(amount > 0 for amount in view.balances().values())


@given(FACTS)
@settings(max_examples=200)
def test_it_agrees_with_a_plain_dict(all_moves: list[list[Move]]) -> None:
    view, plain = StakeView(), {}
    for moves in all_moves:
        trial = dict(plain)
        valid = all(apply_plainly(trial, move) for move in moves)
        try:
            view.apply(Charged(operation=bytes(32), moves=tuple(moves)))
            assert valid
            plain = trial
        except Unbalanced:
            assert not valid
    assert view.balances() == {place: amount for place, amount in sorted(plain.items()) if amount}


def apply_plainly(balances: dict[tuple[bytes, str], int], move: Move) -> bool:
    source, target = (move.source, move.source_bucket), (move.target, move.target_bucket)
    if source in PLACES[-2:] or target in PLACES[-2:] or move.target_bucket == "minted":
        return False
    if move.source_bucket == "minted":
        balances[source] = balances.get(source, 0) + move.amount
    else:
        if balances.get(source, 0) < move.amount:
            return False
        balances[source] = balances.get(source, 0) - move.amount
    balances[target] = balances.get(target, 0) + move.amount
    return True
