"""Judging view changes as `protocols/pbft` does: by its checks, and by a core that hears them."""

from functools import partial

from devnet.vectors.cases import CASE_BYTES_MAX, NewViewCase
from devnet.vectors.check_cases import WrongResult, read_genesis
from devnet.vectors.check_proofs import get_place
from devnet.vectors.form import Setting
from identity import envelope, schema
from identity.errors import InvalidSchema
from identity.keys import PrivateKey
from node.router import Seat
from protocols.economy.chain import Chain
from protocols.economy.receipts import check_receipt
from protocols.messages import (
    VIEW_CHANGE_BYTES_MAX,
    VIEW_CHANGE_KIND,
    CarryNewView,
    CarryViewChange,
    ViewChange,
)
from protocols.pbft.core import Core
from protocols.pbft.new_view import check_view_change as check_proofs

_OBSERVER = PrivateKey(bytes(32))
"""Of no member: it hears everybody, and says nothing itself."""


def check_view_change(setting: Setting, data: bytes) -> None:
    """A member's VIEW-CHANGE, and all that it claims."""
    place = get_place(setting)
    statement = envelope.parse(data, size_max=setting.size_max)
    if (statement.kind, statement.committee) != (VIEW_CHANGE_KIND, place.id):
        raise InvalidSchema("of another type or committee")
    if statement.epoch != place.epoch or not place.is_member(statement.signer):
        raise InvalidSchema("of another epoch, or of no member")
    message = schema.decode(statement.payload, ViewChange, size_max=VIEW_CHANGE_BYTES_MAX)
    statement.check(place.network)
    check_proofs(place, message, setting.window, lambda inner: inner.check(place.network))


def check_new_view(_: Setting, data: bytes) -> None:
    """The VIEW-CHANGEs and then the NEW-VIEW, as somebody hears them who has executed nothing."""
    case = schema.decode(data, NewViewCase, size_max=CASE_BYTES_MAX)
    genesis, committee = read_genesis(case.genesis)
    core = Core(
        committee,
        _OBSERVER,
        Chain(genesis, committee, partial(check_receipt, committee)),
        lambda statement: statement.check(committee.network),
        checkpoint_batches=genesis.parameters.checkpoint_batches,
    )
    seat, place = Seat(core), committee.id
    for statement in case.view_changes:
        change = CarryViewChange(committee=place, statement=statement)
        seat.handle(committee.members[0], change, genesis.created_ms)
    new_view = CarryNewView(committee=place, statement=case.new_view)
    seat.handle(committee.members[0], new_view, genesis.created_ms)
    if not (core.view and core.views.is_active):
        raise WrongResult("the view does not begin")
