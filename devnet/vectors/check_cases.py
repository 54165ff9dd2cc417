"""Judging cases: the program computes again what a case says, and compares."""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec

from crdt.facts import decode_fact
from crdt.log import verify_path
from crdt.reputation import ReputationView
from devnet.vectors.cases import (
    CASE_BYTES_MAX,
    AuctionCase,
    BatchCase,
    Case,
    CommitteeName,
    MerkleCase,
    NetworkCase,
    ReputationCase,
    SealCase,
    StateCase,
    StepCase,
)
from devnet.vectors.form import Setting
from identity import schema
from identity.errors import InvalidBytes, InvalidKey
from protocols.committee import Committee
from protocols.economy.chain import Chain
from protocols.economy.receipts import check_receipt
from protocols.genesis import Genesis, compute_committee_id
from protocols.messages import compute_batch_digest
from protocols.pbft.pool import Request
from protocols.requests import parse_request
from protocols.state_tree import compute_digest, is_chunk

T = TypeVar("T", bound=Case)


class WrongResult(InvalidBytes):
    """What a case says does not follow from its inputs."""


def _read(data: bytes, kind: type[T]) -> T:
    return schema.decode(data, kind, size_max=CASE_BYTES_MAX)


def _compare(said: object, found: object) -> None:
    if said != found:
        raise WrongResult("the result is another")


def make_seal_check(kind: type[SealCase]) -> Callable[[Setting, bytes], None]:
    """The check that the last field is the digest of the others."""

    def check(_: Setting, data: bytes) -> None:
        case = _read(data, kind)
        _compare(msgspec.structs.astuple(case)[-1], case.compute())

    return check


def check_network_id(_: Setting, data: bytes) -> None:
    case = _read(data, NetworkCase)
    genesis = schema.decode(case.genesis, Genesis, size_max=CASE_BYTES_MAX)
    _compare(case.network, genesis.compute_network_id())


def check_committee_name(_: Setting, data: bytes) -> None:
    case = _read(data, CommitteeName)
    _compare(case.committee, compute_committee_id(case.network, case.name))


def check_batch(_: Setting, data: bytes) -> None:
    case = _read(data, BatchCase)
    _compare(case.digest, compute_batch_digest(case.time_ms, case.operations))


def check_merkle(_: Setting, data: bytes) -> None:
    case = _read(data, MerkleCase)
    if not verify_path(case.item, case.index, case.count, case.path, case.root):
        raise WrongResult("the path does not prove the item")


def check_state_chunk(_: Setting, data: bytes) -> None:
    case = _read(data, StateCase)
    _compare(case.digest, compute_digest(case.size, case.root))
    if not is_chunk(case.data, case.index, case.path, case.size, case.root):
        raise WrongResult("the path does not prove the chunk")


def check_auction(_: Setting, data: bytes) -> None:
    case = _read(data, AuctionCase)
    _compare(case.awards, case.compute())


def check_reputation(_: Setting, data: bytes) -> None:
    case = _read(data, ReputationCase)
    view = ReputationView()
    for fact in case.facts:
        view.apply(decode_fact(fact))
    _compare(case.scores, view.scores())


def read_genesis(data: bytes) -> tuple[Genesis, Committee]:
    """A network's genesis and its founding committee. Raises InvalidBytes."""
    genesis = schema.decode(data, Genesis, size_max=CASE_BYTES_MAX)
    try:
        return genesis, genesis.make_committee()
    except (InvalidKey, ValueError) as error:
        raise WrongResult(f"the genesis: {error}") from None


def run_step(case: StepCase) -> tuple[Chain, bytes]:
    """The chain after a step's batch, and the entry's hash. Raises InvalidBytes."""
    genesis, committee = read_genesis(case.genesis)
    chain = Chain(genesis, committee, partial(check_receipt, committee))
    chain.load_state(case.state, case.position, case.head)
    requests = [load_request(data, chain) for data in case.operations]
    digest = compute_batch_digest(case.time_ms, [request.digest for request in requests])
    outcome = chain.execute(case.position + 1, case.time_ms, digest, requests)
    _compare(case.entry, outcome.entry)
    return chain, hashlib.sha256(schema.encode(outcome.entry.header)).digest()


def load_request(data: bytes, chain: Chain) -> Request:
    committee = chain.get_committee()
    request, statement = parse_request(data, committee)
    statement.check(committee.network)
    return request


def check_step(_: Setting, data: bytes) -> None:
    case = _read(data, StepCase)
    chain, _head = run_step(case)
    _compare(case.state_digest, chain.compute_state_digest())
