"""Evidence among real processes: told, ordered, kept over restarts, filed; and what it halts."""

import hashlib
import json
import shutil

import pytest
import trio

from crdt import log
from crdt.heads import sign_head
from identity import envelope, schema
from identity.certificate import Certificate
from identity.envelope import Context
from identity.keys import PrivateKey, compute_peer_id, parse_peer_id
from node.links import PeerAddress, Transport
from node.problem import Problem
from node.router import encode_frame
from protocols import evidence
from protocols.committee import Committee
from protocols.economy.operations import Accuse, decode_operation
from protocols.evidence import Evidence, TellEvidence
from protocols.genesis import Parameters
from protocols.messages import PREPARE_KIND, Prepare
from tests.system.network import BOND, POLL_S, Network, RealNode, econode, wait_until

LIAR, *FELLOWS = (PrivateKey(bytes([n]) * 32) for n in (161, 162, 163))
"""Keys of members that no process holds: they sign what the tests want."""
TELLER = PrivateKey(bytes([164]) * 32)
"""An account that is no member."""
ONE, OTHER = (hashlib.sha256(text).digest() for text in (b"one", b"other"))
NODES = 3


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Three nodes of four members (f = 1); the fourth is LIAR. Bonds are free at once."""
    network = Network(
        tmp_path_factory.mktemp("three"),
        NODES,
        outsiders=[LIAR],
        accounts=[TELLER],
        parameters=Parameters(unbonding_ms=1),
    )
    try:
        network.start()
        yield network
    finally:
        network.end()


def get_committee(network: Network) -> Committee:
    return network.genesis.make_committee()


def make_votes(network: Network, *, key: PrivateKey = LIAR, seq: int = 9) -> Evidence:
    committee = get_committee(network)
    place = Context(network.id, committee.id, 0, PREPARE_KIND)
    votes = [
        envelope.sign(key, place, schema.encode(Prepare(0, seq, digest))).data
        for digest in (ONE, OTHER)
    ]
    return Evidence("votes", committee.id, *votes)


def make_certificates(network: Network, signers: list[PrivateKey], position: int) -> Evidence:
    committee = get_committee(network)
    place = Context(network.id, committee.id, 0, log.HEAD_KIND)
    made = []
    for digest in (ONE, OTHER):
        payload = schema.encode(log.Head(committee.id, position, digest))
        signed = {key.public: envelope.sign(key, place, payload).signature for key in signers}
        made.append(Certificate.collect(place, payload, signed).encode())
    return Evidence("committee", committee.id, *made)


def write(folder, network: Network, told: Evidence):
    path = folder / f"{told.kind}.evidence"
    path.write_bytes(evidence.encode_file(told, network.id))
    return path


def run(node: RealNode, *arguments: object):
    done = node.econode("evidence", *arguments, "--json")
    return done.code, json.loads(done.out)


def refuse(node: RealNode, told: Evidence, network: bytes) -> str:
    """The type of the problem that submitting it is."""
    with pytest.raises(Problem) as problem:
        node.client.submit_evidence(evidence.encode_file(told, network))
    return problem.value.type


def test_frivolous_evidence_is_refused_before_it_costs_a_fee(three):
    node = three.nodes[0]
    before = node.client.stake(node.peer_id).accounts[0].free
    good = make_votes(three)
    same = Evidence("votes", good.subject, good.first, good.first)
    assert refuse(node, same, three.id) == "no-evidence"
    assert refuse(node, good, ONE) == "invalid-evidence"
    stranger = make_votes(three, key=PrivateKey(bytes(32)))
    assert refuse(node, stranger, three.id) == "no-evidence"
    bent = good.second[:-1] + bytes([good.second[-1] ^ 1])
    spoilt = Evidence("votes", good.subject, good.first, bent)
    assert refuse(node, spoilt, three.id) == "no-evidence"
    unknown = Evidence("votes", bytes(16), good.first, good.second)
    assert refuse(node, unknown, three.id) == "no-evidence"
    fork = make_log_fork(three, PrivateKey(bytes(32)))
    assert refuse(node, fork, three.id) == "unknown-account"
    with pytest.raises(Problem, match="not a file of evidence"):
        node.client.submit_evidence(b"\x00" * 100)
    assert node.client.stake(node.peer_id).accounts[0].free == before
    assert node.client.list_evidence().total == 0


def make_log_fork(network: Network, key: PrivateKey, position: int = 0) -> Evidence:
    previous = log.GENESIS_PREVIOUS if position == 0 else ONE
    heads = [
        sign_head(key, network.id, log.append(key.public, position, previous, 1, [item]).header)
        for item in (b"one", b"other")
    ]
    return Evidence("log", key.public, *heads)


async def tell(network: Network, node: RealNode, *told: Evidence) -> None:
    """Say it to one node, as an account that is no member."""
    transport = Transport(TELLER.seed, ["/ip4/127.0.0.1/tcp/0"], network_id=network.id)
    peer = parse_peer_id(node.peer_id)
    address = network.addresses[network.nodes.index(node)]
    async with trio.open_nursery() as nursery:
        await nursery.start(transport.run)
        transport.set_peers([PeerAddress(peer, address)])
        frames = [encode_frame(TellEvidence(each)) for each in told]
        with trio.fail_after(20):
            while not node.client.list_evidence().total:
                for frame in frames:
                    transport.send(peer, frame)
                await trio.sleep(POLL_S)
        nursery.cancel_scope.cancel()


async def test_what_one_node_is_told_is_punished_once_and_known_everywhere(three, tmp_path):
    first, *others = three.nodes
    good = make_votes(three)
    bent = good.second[:-1] + bytes([good.second[-1] ^ 1])
    spoilt = Evidence("votes", good.subject, good.first, bent)
    before = first.client.status().faults
    await tell(three, first, spoilt, good)
    for node in three.nodes:
        wait_until(lambda node=node: is_punished(node), f"{node.log_path}")
    assert first.client.status().faults > before
    three.wait_equal()
    accusations = [
        operation
        for operation in map(read_body, first.read_operations(first.client.status().position))
        if isinstance(operation, Accuse)
    ]
    assert 1 <= len(accusations) < NODES
    (item,) = others[0].client.list_evidence().evidence
    (punishment,) = item.punished
    assert (punishment.committee, punishment.amount) == ("main", BOND)
    assert (item.statement, item.slot) == ("prepare", (0, 9))
    assert item.offender == compute_peer_id(LIAR.public)
    assert refuse(first, good, three.id) == "already-punished"
    assert refuse(first, make_votes(three, seq=10), three.id) == "already-punished"
    filed = tmp_path / "liar.evidence"
    code, shown = run(others[0], "show", item.id[:12], "--out", filed)
    assert (code, shown["state"]) == (0, "punished")
    genesis = tmp_path / "genesis.json"
    shutil.copy(first.home.genesis_path, genesis)
    verified = econode("evidence", "verify", filed, "--genesis", genesis, "--json")
    assert (verified.code, verified.document["id"]) == (0, item.id)
    data = filed.read_bytes()
    filed.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert econode("evidence", "verify", filed, "--genesis", genesis).code == 1


def read_body(operation: bytes) -> object:
    return decode_operation(envelope.parse(operation, size_max=1 << 20).payload).body


def is_punished(node: RealNode) -> bool:
    return [item.state for item in node.client.list_evidence().evidence] == ["punished"]


def test_certificates_of_members_whose_bonds_are_free_halt_nobody(three):
    """LIAR was expelled, so another epoch has begun, and the former one ended long ago."""
    node = three.nodes[0]
    wait_until(lambda: node.client.status().epoch == 1, f"{node.log_path}")
    node.client.transfer(three.nodes[1].peer_id, 1)  # agreed time goes on
    former = make_certificates(three, [each.key for each in three.nodes], 2)
    assert refuse(node, former, three.id) == "expired"
    assert node.client.status().alarms == ()
    node.client.transfer(three.nodes[1].peer_id, 1)


def test_evidence_outlives_a_restart(three):
    node = three.nodes[2]
    node.kill()
    node.start()
    wait_until(lambda: is_punished(node), f"{node.log_path}")
    three.wait_linked()
    assert node.verify()["valid"]


def test_a_forked_log_that_is_submitted_is_frozen_everywhere(three, tmp_path):
    path = write(tmp_path, three, make_log_fork(three, TELLER))
    code, item = run(three.nodes[1], "submit", path)
    assert (code, item["state"]) == (0, "punished")
    for node in three.nodes:
        wait_until(
            lambda node=node: "log" in [each.kind for each in node.client.list_evidence().evidence],
            f"{node.log_path}",
        )
    shown = three.nodes[0].client.show_evidence(item["id"][:16])
    (punishment,) = shown.punished
    assert (punishment.what, punishment.position) == ("frozen-log", 0)
    assert three.nodes[0].verify()["valid"]
