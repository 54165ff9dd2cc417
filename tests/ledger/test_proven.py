"""Answers with their proof: sound ones are made anew from the proof, any other byte is refused."""

import base64
import random
from pathlib import Path

import msgspec
import pytest
import trio
import trio_asyncio

from crdt.facts import OfferedCapability, TaskOpened
from identity import envelope, schema
from identity.certificate import Certificate
from identity.envelope import Context
from identity.errors import EconodeError
from identity.keys import compute_peer_id
from node.ledger import Ledger
from node.ledger_prove import prove_about
from node.problem import Problem
from node.proven import Proven, Trust, check_document, make_document
from protocols.economy.operations import Offer
from protocols.genesis import Genesis
from protocols.light import StaleAnchor, make_anchor
from protocols.light_state import decode_state, encode_state
from protocols.messages import CHECKPOINT_KIND, Checkpoint
from protocols.state_tree import digest_state
from protocols.step import Snapshot
from tests.ledger.network import CREATED_MS, KEYS, MEMBERS, Network

NOW_MS = CREATED_MS + 60_000
ALTERED = 120
"""Alterations of one document; `random` chooses where, from a fixed seed."""
PEER = compute_peer_id(MEMBERS[0].public)


@pytest.fixture(scope="module")
def network() -> Network:
    return Network()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, network: Network) -> Path:
    """A ledger with tasks, three changes of the members, and a certified state in the last one."""
    found = tmp_path_factory.mktemp("proven") / "ledger.sqlite3"
    batches = [network.make_genesis_batch(), *network.make_task_batches(), *network.make_epochs()]

    async def write() -> None:
        async with trio_asyncio.open_loop(), Ledger.open(found, network.id) as ledger:
            for batch in batches:
                ledger.append(batch)
                if batch.position:
                    proof = network.certify(batch.entry)
                    ledger.put_certificate(batch.committee, batch.position, proof)
            await ledger.keep_state(certify_state(network))

    trio.run(write)
    return found


@pytest.fixture(scope="module")
def trust(network: Network) -> Trust:
    return Trust(network.genesis, make_anchor(network.genesis))


def certify_state(network: Network) -> Snapshot:
    """The state of now, certified by the members of now."""
    committee, state = network.chain.get_committee(), network.chain.dump_state()
    position = network.chain.get_position()
    payload = schema.encode(Checkpoint(position, network.chain.get_head(), digest_state(state)))
    place = Context(network.id, committee.id, committee.epoch, CHECKPOINT_KIND)
    signatures = {
        key: envelope.sign(KEYS[key], place, payload).signature
        for key in committee.members[: committee.q]
    }
    certificate = Certificate.collect(place, payload, signatures).encode()
    return Snapshot(committee.id, position, certificate, state)


def find_task(network: Network) -> str:
    row = next(iter(network.chain.state.task_rows()))
    return row.task.hex()


def prove(network: Network, path: Path, trust: Trust, about: str, id_: str) -> Proven:
    proof = prove_about(path, network.id, network.committee.id, about, id_)
    return make_document(about, id_, proof, trust, NOW_MS)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=["task", "members", "account", "reputation"])
def document(
    request: pytest.FixtureRequest, network: Network, path: Path, trust: Trust
) -> tuple[str, Proven]:
    about = request.param
    ids = {"task": find_task(network), "members": ""}
    return about, prove(network, path, trust, about, ids.get(about, PEER))


def test_a_document_says_what_the_committee_certified(
    document: tuple[str, Proven], network: Network, trust: Trust
) -> None:
    about, proven = document
    assert check_document(msgspec.json.encode(proven) + b"\n", trust, NOW_MS) == proven
    committee = network.epochs[proven.position]
    assert proven.members == tuple(map(compute_peer_id, committee.members))
    assert (proven.epoch, proven.signers) == (committee.epoch, committee.q)
    assert (proven.epoch == 3) is (about != "task")
    if about == "task":
        assert {fact["kind"] for fact in proven.facts} >= {"task_opened"}
    elif about == "members":
        assert proven.facts == ()
    else:
        assert proven.account is not None
        stake = network.chain.state.stake
        assert proven.account.free == stake.get(MEMBERS[0].public, "free")
        assert proven.account.bonded == stake.get(MEMBERS[0].public, "bonded")


def test_any_altered_byte_is_refused(document: tuple[str, Proven], trust: Trust) -> None:
    data = msgspec.json.encode(document[1])
    choose = random.Random(1)
    head = data.index(b'"proof":') + 9
    places = [*range(min(head, ALTERED)), *choose.sample(range(head, len(data)), ALTERED // 4)]
    for place in places:
        for value in {data[place] ^ 1, choose.randrange(256)} - {data[place]}:
            altered = data[:place] + bytes([value]) + data[place + 1 :]
            with pytest.raises(EconodeError):
                check_document(altered, trust, NOW_MS)
    for cut in choose.sample(range(len(data)), 20):
        with pytest.raises(EconodeError):
            check_document(data[:cut], trust, NOW_MS)


def test_a_proof_of_something_else_is_refused(network: Network, path: Path, trust: Trust) -> None:
    proven = prove(network, path, trust, "task", find_task(network))
    other = list(network.chain.state.task_rows())[1].task.hex()
    for change in ({"id": other}, {"about": "auction", "id": other}, {"about": "result"}):
        told = msgspec.structs.replace(proven, **change)
        with pytest.raises(EconodeError, match="are not those about"):
            check_document(msgspec.json.encode(told), trust, NOW_MS)
    members = prove(network, path, trust, "members", "")
    told = msgspec.structs.replace(members, about="task", id=proven.id)
    with pytest.raises(EconodeError, match="are not those about"):
        check_document(msgspec.json.encode(told), trust, NOW_MS)


def test_a_state_that_nobody_certified_is_refused(
    network: Network, path: Path, trust: Trust
) -> None:
    proven = prove(network, path, trust, "account", PEER)
    bundle = decode_state(base64.b64decode(proven.proof))
    forged = Network()
    forged.order(*((key, Offer((OfferedCapability(bytes(32), "x", "1"),))) for key in MEMBERS))
    other = msgspec.structs.replace(bundle, state=forged.chain.dump_state())
    with pytest.raises(EconodeError, match="of another state"):
        make_document("account", PEER, encode_state(other), trust, NOW_MS)
    early = msgspec.structs.replace(bundle, epochs=bundle.epochs[:1])
    with pytest.raises(EconodeError, match="checkpoint of this epoch"):
        make_document("account", PEER, encode_state(early), trust, NOW_MS)


def test_another_network_and_an_old_anchor_prove_nothing(
    document: tuple[str, Proven], network: Network, trust: Trust
) -> None:
    data = msgspec.json.encode(document[1])
    genesis = Genesis("other", CREATED_MS, network.genesis.members)
    with pytest.raises(EconodeError, match="another network"):
        check_document(data, Trust(genesis, make_anchor(genesis)), NOW_MS)
    late = NOW_MS + network.genesis.parameters.unbonding_ms
    with pytest.raises(StaleAnchor):
        check_document(data, trust, late)


def test_what_is_not_there_is_not_proven(network: Network, path: Path, trust: Trust) -> None:
    absent = "ab" * 32
    for about in ("task", "auction", "variable", "halt", "evidence"):
        with pytest.raises(Problem) as caught:
            prove(network, path, trust, about, absent)
        assert caught.value.type == "not-found"
    with pytest.raises(Problem, match="there is no fact about"):
        prove(network, path, trust, "result", find_task(network))


def test_facts_of_the_task_are_decoded(network: Network, path: Path, trust: Trust) -> None:
    proven = prove(network, path, trust, "task", find_task(network))
    assert proven.facts[0]["task"] == find_task(network)
    assert TaskOpened.__struct_config__.tag == proven.facts[0]["kind"]
