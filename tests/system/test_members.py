"""Members come and go while real processes order, and one of them is killed in the middle."""

import json
import threading

import pytest

from devnet.manifest import choose_ports
from identity.keys import PrivateKey
from node.config import Capability
from node.config_file import render_config
from node.files import write_atomic
from tests.system.conftest import FAST
from tests.system.network import Network, RealNode, econode, wait_until

JOINER = PrivateKey(bytes([140]) * 32)
CAPABILITY = Capability(name="count", kind="command", target=["wc", "-c"])
MEMBERS = 4


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """Four members, and a fifth node whose account has credits and no seat."""
    folder = tmp_path_factory.mktemp("members")
    network = Network(folder, MEMBERS, accounts=[JOINER], parameters=FAST)
    for node in network.nodes:
        network.configure(node, {}, [CAPABILITY])
    joiner = RealNode(folder / "joiner")
    joiner.home.make_folder()
    joiner.home.write_key(JOINER, None)
    joiner.home.write_token()
    joiner.home.write_genesis(network.genesis)
    (port,) = choose_ports(1)
    address = f"/ip4/127.0.0.1/tcp/{port}"
    text = render_config({("network", "listen"): (address,)})
    text += '\n[[capability]]\nname = "count"\nkind = "command"\ntarget = ["wc", "-c"]\n'
    write_atomic(joiner.home.config_path, text.encode())
    network.nodes.append(joiner)
    network.addresses.append(address)
    network.start()
    yield network
    network.end()


def wait_epoch(network, epoch):
    for node in network.nodes:
        wait_until(lambda node=node: node.client.status().epoch == epoch, f"{node.log_path}")


def do(node, *arguments):
    done = node.econode(*arguments, "--json")
    assert done.code == 0, done.out + done.err
    return json.loads(done.out)


def test_an_observer_joins_and_works(five, tmp_path):
    *founders, joiner = five.nodes
    assert joiner.client.status().roles[0] == "observer"
    wait_until(lambda: len(founders[0].client.capabilities().capabilities) == 1, "offers")
    joined = do(joiner, "member", "join", "--bond", "12000")
    assert joined["fact"]["bond"] == 12_000
    wait_epoch(five, 1)
    five.wait_equal()
    shown = do(founders[1], "member", "list")
    assert (shown["epoch"], shown["n"], shown["f"], shown["q"]) == (1, 5, 1, 4)
    assert joiner.peer_id in [member["peer_id"] for member in shown["members"]]
    assert joiner.client.status().roles[0] == "member"
    again = joiner.econode("member", "join", "--json")
    assert again.document["error"]["type"] == "urn:econode:problem:already-member"
    five.check_alive([node.pid for node in five.nodes])

    def has_offered():
        (offered,) = founders[0].client.capabilities().capabilities
        return joiner.peer_id in offered.agents

    wait_until(has_offered, "the joiner offers")
    (tmp_path / "input").write_bytes(b"one two three")
    work = founders[0].econode(
        *("task", "submit", "--capability", "count", "--input", tmp_path / "input", "--json")
    )
    assert work.code == 0, work.out


@pytest.mark.full
def test_a_leader_is_killed_while_one_leaves(five):
    *_, joiner = five.nodes
    leader = min(five.nodes, key=lambda node: node.key.public)
    leaver = next(node for node in five.nodes[:MEMBERS] if node is not leader)
    done = []
    leaving = threading.Thread(target=lambda: done.append(leaver.econode("member", "leave")))
    leaving.start()
    leader.kill()
    leaving.join(60)
    assert done
    leader.start()
    if done[0].code:  # it had waited too long for the answer; the operation is ordered all the same
        wait_until(lambda: leaver.client.status().epoch == 2, "left")
    wait_epoch(five, 2)
    wait_until(lambda: leaver.client.status().roles[0] == "observer", "an observer again")
    five.wait_linked()
    five.check_alive([node.pid for node in five.nodes])
    assert joiner.client.status().n == 4
    refused = joiner.econode("member", "leave", "--json")
    assert refused.document["error"]["type"] == "urn:econode:problem:members-needed"


@pytest.mark.full
def test_all_are_killed_in_a_change_and_come_back(five):
    leaver = next(n for n in five.nodes if n.client.status().roles[0] == "observer")
    joining = threading.Thread(target=lambda: leaver.econode("member", "join"))
    joining.start()
    wait_until(lambda: max(node.client.status().epoch for node in five.nodes) == 3, "epoch 3")
    for node in five.nodes:
        node.kill()
    joining.join(60)
    five.start()
    wait_epoch(five, 3)
    five.wait_equal()
    five.check_alive([node.pid for node in five.nodes])


def test_a_proof_of_one_node_is_checked_elsewhere(five, tmp_path):
    joiner, other = five.nodes[-1], five.nodes[0]
    (task,) = (task.id for task in other.client.tasks().tasks)
    proof, anchor = tmp_path / "task.proof", tmp_path / "anchor.json"
    made = do(joiner, "ledger", "prove", task[:12], "--out", proof)
    assert made["facts"] > 0
    words = ("ledger", "verify", "--light", proof, "--json")
    genesis = other.home.genesis_path
    checked = econode(*words, "--genesis", genesis, "--save-anchor", anchor)
    assert checked.code == 0, checked.out
    kinds = {fact["kind"] for fact in checked.document["facts"]}
    assert "task_ended" in kinds
    last = other.client.status().certified_position
    do(other, "ledger", "prove", "--position", last, "--out", proof)
    shown = econode(*words, "--anchor", anchor)
    assert shown.code == 0, shown.out
    assert shown.document["epoch"] == other.client.status().epoch >= 1
    data = bytearray(proof.read_bytes())
    data[len(data) // 2] ^= 1
    proof.write_bytes(data)
    assert econode(*words, "--anchor", anchor).code == 1


def test_every_ledger_is_whole(five):
    (epoch,) = {node.client.status().epoch for node in five.nodes}
    for node in five.nodes:
        assert node.stop() == 0
    reports = [node.verify() for node in five.nodes]
    for report in reports:
        assert report["valid"], report
        assert report["epoch"] == epoch
    assert len({report["head"] for report in reports}) == 1
