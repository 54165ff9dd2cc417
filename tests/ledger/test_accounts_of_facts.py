"""Which accounts the ledger files a fact under."""

from types import NoneType
from typing import get_args, get_type_hints

import pytest

from crdt.facts import AnyFact, SolutionAwaited, SolutionSubmitted
from crdt.facts_solutions import ChosenBundle
from node.projections import _ACCOUNT_FIELDS, _ACCOUNTS_FIELDS, list_accounts

FACTS = get_args(AnyFact)


@pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.__name__)
def test_every_field_that_names_accounts_holds_keys(kind):
    hints = get_type_hints(kind)
    for field in _ACCOUNT_FIELDS:
        if field in hints:
            assert set(get_args(hints[field]) or [hints[field]]) <= {bytes, NoneType}, field
    for field in _ACCOUNTS_FIELDS:
        if field in hints:
            assert get_args(hints[field])[0] in (bytes, ChosenBundle), field


def test_who_wins_a_bundle_is_an_account():
    chosen = (ChosenBundle(b"b" * 32, b"\0"), ChosenBundle(b"a" * 32, b"\1"))
    awaited = SolutionAwaited(auction=bytes(32), winners=chosen, gap_ppm=1, deadline_ms=1)
    assert list_accounts(awaited) == [b"a" * 32, b"b" * 32]
    submitted = SolutionSubmitted(
        auction=bytes(32), account=b"c" * 32, winners=chosen, improved=True
    )
    assert list_accounts(submitted) == [b"a" * 32, b"b" * 32, b"c" * 32]
