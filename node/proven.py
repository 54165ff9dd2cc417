"""What the local API answers to `?proof=1`: what a quorum has certified of something, and proof.

Everything in the document follows from the proof and from what was asked: whoever checks it makes
it anew (`check_document`) and compares the bytes, so that nothing in it can be altered.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from crdt.auctions import get_subject
from crdt.facts import AnyFact, MarketHalted, Slashed, TaskEnded
from identity.errors import EconodeError, InvalidBytes, InvalidSchema
from identity.keys import compute_peer_id, parse_peer_id
from node.answer import Answer, FactDocument
from node.describe import describe_fact
from node.ledger_verify import make_chain
from protocols.economy.chain import Chain
from protocols.genesis import Genesis
from protocols.light import Anchor, decode_bundle, verify_bundle
from protocols.light_state import decode_state, verify_state

About = Literal[
    "task", "result", "auction", "variable", "halt", "evidence", "members", "account", "reputation"
]
STATES: tuple[About, ...] = ("account", "reputation")
"""What a whole state proves; the others are proven by facts."""
DOCUMENT_BYTES_MAX = 96 * 1024 * 1024


class ProvenAccount(Answer, frozen=True):
    """Credits of an account by bucket, and its score, in the certified state."""

    free: int
    bonded: int
    locked: int
    escrow: int
    score_ppm: int
    banned: bool


class Proven(Answer, frozen=True, forbid_unknown_fields=True):
    """What is certified `about` the thing or account called `id`: `facts` of the entry at
    `position`, or the `account` in the state behind it. `signers` of the `members` of the epoch
    certified the position `certified_position`. `proof` holds the bytes (base64) that all of it
    follows from: `econode proof verify` makes this document anew from them and the genesis."""

    about: About
    id: str
    committee: str
    position: int
    epoch: int
    certified_position: int
    signers: int
    members: tuple[str, ...]
    facts: tuple[FactDocument, ...]
    account: ProvenAccount | None
    proof: Annotated[str, msgspec.Meta(max_length=DOCUMENT_BYTES_MAX)]


@dataclass(frozen=True, slots=True)
class Trust:
    """What is trusted: the genesis, and who the members are as of some time since."""

    genesis: Genesis
    anchor: Anchor


def make_document(about: About, id_: str, proof: bytes, trust: Trust, now_ms: int) -> Proven:
    """What `proof` says about `id_`. Raises StaleAnchor, or InvalidBytes when that is nothing."""
    if about in STATES:
        return _prove_account(about, id_, proof, trust, now_ms)
    proven = verify_bundle(decode_bundle(proof), trust.anchor, now_ms)
    _check_about(about, id_, proven.facts)
    return Proven(
        about=about,
        id=id_,
        committee=trust.anchor.committee.hex(),
        position=proven.position,
        epoch=proven.anchor.epoch,
        certified_position=proven.certified_position,
        signers=proven.signers,
        members=tuple(map(compute_peer_id, proven.anchor.members)),
        facts=tuple(map(describe_fact, proven.facts)),
        account=None,
        proof=base64.b64encode(proof).decode(),
    )


def check_document(data: bytes, trust: Trust, now_ms: int) -> Proven:
    """The document that `data` is. Raises StaleAnchor, or InvalidBytes where any byte of it does
    not follow from its proof."""
    try:
        told = msgspec.json.decode(data, type=Proven)
        proof = base64.b64decode(told.proof, validate=True)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InvalidSchema(f"not an answer with a proof: {error}") from None
    made = make_document(told.about, told.id, proof, trust, now_ms)
    if msgspec.json.encode(made) != data.rstrip(b"\n"):
        raise InvalidSchema("it says something else than its proof")
    return made


def _prove_account(about: About, id_: str, proof: bytes, trust: Trust, now_ms: int) -> Proven:
    bundle = decode_state(proof)
    proven = verify_state(bundle, trust.anchor, now_ms)
    chain = _load(trust.genesis, bundle.state, proven.position, proven.head)
    key, state = parse_peer_id(id_), chain.state
    view = state.stake
    return Proven(
        about=about,
        id=id_,
        committee=trust.anchor.committee.hex(),
        position=proven.position,
        epoch=proven.committee.epoch,
        certified_position=proven.position,
        signers=proven.signers,
        members=tuple(map(compute_peer_id, proven.committee.members)),
        facts=(),
        account=ProvenAccount(
            free=view.get(key, "free"),
            bonded=view.get(key, "bonded"),
            locked=view.get(key, "locked"),
            escrow=view.get(key, "escrow"),
            score_ppm=state.reputation.score_ppm(key),
            banned=state.is_banned(key),
        ),
        proof=base64.b64encode(proof).decode(),
    )


def _load(genesis: Genesis, state: bytes, position: int, head: bytes) -> Chain:
    chain = make_chain(genesis, genesis.make_committee())
    try:
        chain.load_state(state, position, head)
    except InvalidBytes:
        raise
    except EconodeError as error:
        raise InvalidSchema(f"a state of another version: {error}") from None
    return chain


def _check_about(about: About, id_: str, facts: Sequence[AnyFact]) -> None:
    """Raise InvalidSchema unless these facts, and nothing else, are about what was asked."""
    if about == "members":
        is_right = not facts and id_ == ""
    elif about == "evidence":
        is_right = len(facts) == 1 and all(
            isinstance(fact, Slashed) and fact.offence.hex() == id_ for fact in facts
        )
    else:
        is_right = bool(facts) and all((get_subject(fact) or b"").hex() == id_ for fact in facts)
    if about == "result":
        is_right &= any(isinstance(fact, TaskEnded) and fact.output for fact in facts)
    if about == "halt":
        is_right &= all(isinstance(fact, MarketHalted) for fact in facts)
    if not is_right:
        raise InvalidSchema(f"its facts are not those about {about} {id_}")
