"""What judges a vector: the program's own decoding and checking, one function for each check.

Each raises InvalidBytes (with the layer that refused) or another EconodeError; whatever it returns
without raising is taken. Nothing is checked here that the program does not check itself.
"""

from collections.abc import Callable

from crdt.facts import decode_fact
from crdt.heads import Prover
from crdt.items import decode_item
from crdt.log import Head
from devnet.vectors import cases, check_cases, check_proofs, check_views
from devnet.vectors.check_proofs import get_place
from devnet.vectors.form import InvalidVectors, Layer, Setting
from identity import cbor, envelope, keys, schema
from identity.errors import EconodeError, InvalidBytes, InvalidKey, InvalidSchema
from node.framing import FrameSplitter, FrameViolation
from node.router import decode_frame
from protocols.economy.operations import RECEIPT_KIND, Receipt
from protocols.messages import (
    NEW_VIEW_KIND,
    VIEW_CHANGE_KIND,
    VOTE_TYPES,
    NewView,
    ViewChange,
)
from protocols.requests import parse_request

Check = Callable[[Setting, bytes], object]
_CONTENTS = {
    **VOTE_TYPES,
    VIEW_CHANGE_KIND: ViewChange,
    NEW_VIEW_KIND: NewView,
    RECEIPT_KIND: Receipt,
}


class Refused(Exception):
    """The program refuses the bytes, in this layer."""

    def __init__(self, layer: Layer, reason: str) -> None:
        super().__init__(f"{layer}: {reason}")
        self.layer = layer


def run_check(name: str, setting: Setting, data: bytes) -> None:
    """Raises Refused for bytes that the program refuses, InvalidVectors for an unknown check."""
    check = CHECKS.get(name)
    if check is None:
        raise InvalidVectors(f"no check is called {name}; there are {', '.join(sorted(CHECKS))}")
    try:
        check(setting, data)
    except InvalidVectors:
        raise
    except FrameViolation as error:
        raise Refused("frame", str(error)) from None
    except InvalidBytes as error:
        raise Refused(error.layer, error.reason) from None  # type: ignore[arg-type]
    except (InvalidKey, EconodeError) as error:
        raise Refused("semantics", str(error)) from None


def check_statement(setting: Setting, data: bytes) -> None:
    """A member's statement, in the order in which `node/router.py` and `protocols/pbft` look."""
    place = get_place(setting)
    kind = _CONTENTS.get(setting.kind)
    if kind is None:
        raise InvalidVectors(f"no statement is called {setting.kind[:64]}")
    statement = envelope.parse(data, size_max=setting.size_max)
    if (statement.kind, statement.committee) != (setting.kind, place.id):
        raise InvalidSchema("of another type or committee")
    if statement.epoch != place.epoch:
        raise InvalidSchema("of another epoch")
    schema.decode(statement.payload, kind, size_max=setting.size_max)
    if not place.is_member(statement.signer):
        raise InvalidSchema("the signer is no member")
    statement.check(place.network)


def check_operation(setting: Setting, data: bytes) -> None:
    place = get_place(setting)
    _, statement = parse_request(data, place)
    statement.check(place.network)


def check_peer_head(setting: Setting, data: bytes) -> Head:
    place = get_place(setting)
    return Prover(place.network, {}).check_proof(place.members[0], data)


def check_cbor(setting: Setting, data: bytes) -> object:
    return cbor.decode(data, size_max=setting.size_max)


def check_cbor_hop(setting: Setting, data: bytes) -> object:
    return cbor.decode_hop(data, size_max=setting.size_max)


def check_peer_id(setting: Setting, data: bytes) -> None:
    """A PeerId as text, of a key that may own anything."""
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        raise InvalidKey("not ASCII") from None
    keys.check_public_key(keys.parse_peer_id(text))


def check_hop(setting: Setting, data: bytes) -> object:
    return decode_frame(data)


def check_frames(setting: Setting, data: bytes) -> None:
    """A stream of frames; what is left over at its end is cut off."""
    splitter = FrameSplitter()
    for frame in splitter.feed(data):
        decode_frame(frame)
    if splitter.is_partial:
        raise FrameViolation("the stream ends in the middle of a frame")


def check_fact(setting: Setting, data: bytes) -> object:
    return decode_fact(data)


def check_item(setting: Setting, data: bytes) -> object:
    return decode_item(data)


CHECKS: dict[str, Check] = {
    "statement": check_statement,
    "operation": check_operation,
    "peer_head": check_peer_head,
    "cbor": check_cbor,
    "cbor_hop": check_cbor_hop,
    "peer_id": check_peer_id,
    "hop": check_hop,
    "frames": check_frames,
    "fact": check_fact,
    "item": check_item,
    "certificate": check_proofs.check_certificate,
    "entry": check_proofs.check_entry,
    "fork": check_proofs.check_fork_proof,
    "evidence": check_proofs.check_evidence,
    "light": check_proofs.check_light,
    "auction_result": check_proofs.check_auction_result,
    "view_change": check_views.check_view_change,
    "new_view": check_views.check_new_view,
    "bid_seal": check_cases.make_seal_check(cases.BidSeal),
    "auction_seal": check_cases.make_seal_check(cases.AuctionSeal),
    "work_seal": check_cases.make_seal_check(cases.WorkSeal),
    "score_seal": check_cases.make_seal_check(cases.ScoreSeal),
    "report_seal": check_cases.make_seal_check(cases.ReportSeal),
    "task_name": check_cases.make_seal_check(cases.TaskName),
    "auction_name": check_cases.make_seal_check(cases.AuctionName),
    "network_id": check_cases.check_network_id,
    "committee_name": check_cases.check_committee_name,
    "batch": check_cases.check_batch,
    "merkle": check_cases.check_merkle,
    "state_chunk": check_cases.check_state_chunk,
    "auction": check_cases.check_auction,
    "reputation": check_cases.check_reputation,
    "step": check_cases.check_step,
}
