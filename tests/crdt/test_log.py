"""Merkle roots and paths against RFC 6962 section 2.1, written down recursively as it stands."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt import log

ITEMS = st.lists(st.binary(max_size=8), max_size=40)


def split(count: int) -> int:
    """The largest power of two below `count`."""
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def tree_hash(items: list[bytes]) -> bytes:
    if not items:
        return hashlib.sha256().digest()
    if len(items) == 1:
        return hashlib.sha256(b"\x00" + items[0]).digest()
    k = split(len(items))
    return hashlib.sha256(b"\x01" + tree_hash(items[:k]) + tree_hash(items[k:])).digest()


def tree_path(index: int, items: list[bytes]) -> list[bytes]:
    if len(items) == 1:
        return []
    k = split(len(items))
    if index < k:
        return [*tree_path(index, items[:k]), tree_hash(items[k:])]
    return [*tree_path(index - k, items[k:]), tree_hash(items[:k])]


@given(ITEMS)
def test_roots_are_those_of_the_rfc(items: list[bytes]) -> None:
    assert log.compute_root(items) == tree_hash(items)


@given(ITEMS.filter(bool), st.data())
def test_paths_are_those_of_the_rfc_and_prove_their_item_alone(
    items: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(items) - 1))
    root, path = log.compute_root(items), log.compute_path(items, index)
    assert list(path) == tree_path(index, items)
    assert log.verify_path(items[index], index, len(items), path, root)
    assert not log.verify_path(items[index] + b"x", index, len(items), path, root)
    assert not log.verify_path(items[index], len(items), len(items), path, root)
    assert not log.verify_path(items[index], -1, len(items), path, root)
    assert not log.verify_path(items[index], index, len(items), (*path, root), root)
    if path:
        assert not log.verify_path(items[index], index, len(items), path[:-1], root)
        place = data.draw(st.integers(0, len(path) - 1))
        wrong = (*path[:place], hashlib.sha256(path[place]).digest(), *path[place + 1 :])
        assert not log.verify_path(items[index], index, len(items), wrong, root)


@pytest.mark.parametrize(
    ("items", "root"),
    [  # the test vectors of Certificate Transparency's reference implementation
        ([], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ([""], "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (["", "00"], "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        (["", "00", "10"], "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
    ],
)
def test_published_roots(items: list[str], root: str) -> None:
    assert log.compute_root([bytes.fromhex(item) for item in items]).hex() == root
