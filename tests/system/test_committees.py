"""Several committees side by side on real nodes: formed by consent, sharing members and links."""

import pytest

from node.config import Capability
from node.problem import Problem
from protocols.genesis import Parameters
from tests.system.network import Network, RealNode, wait_until

QUICK = Parameters(bid_phase_ms=1_500, work_phase_ms=4_000, reveal_phase_ms=1_500)
EAST, WEST = range(4), range(2, 6)
"""Members by number of node: nodes 2 and 3 are in both, and all six are in the founding one."""
BOND, FREE = 2_000, 50_000


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    network = Network(tmp_path_factory.mktemp("committees"), 6, parameters=QUICK)
    count = Capability(name="count", kind="command", target=("wc", "-c"))
    for node in network.nodes:
        network.configure(node, {}, [count])
    try:
        network.start()
        form(network, "east", EAST)
        form(network, "west", WEST)
        yield network
    finally:
        network.end()


def form(network: Network, name: str, numbers: range) -> None:
    """By the commands, where the last member consents; the others ask their API."""
    nodes = [network.nodes[number] for number in numbers]
    named = [part for node in nodes for part in ("--member", node.peer_id)]
    terms = ("--bond", BOND, "--free", FREE)
    do(network.nodes[0], "form", name, *named, *terms)
    for node in nodes:
        wait_until(lambda node=node: find(node, name), f"{name} is proposed")
        if node is not nodes[-1]:
            node.client.consent_committee(find(node, name).id)
    done = do(nodes[-1], "consent", name)
    assert done["fact"]["kind"] == "committee_formed"
    for node in nodes:
        wait_until(lambda node=node: node.client.at(name).status(), f"a place in {name}")


def do(node: RealNode, *arguments: object):
    done = node.econode("committee", *arguments, "--json")
    assert done.code == 0, done.out + done.err
    return done.document


def find(node: RealNode, name: str):
    return next((c for c in node.client.committees().committees if c.name == name), None)


def pay(network: Network, committee: str, source: int, to: int) -> int:
    """The position of a payment of 7 credits."""
    client = network.nodes[source].client.at(committee)
    return client.transfer(network.nodes[to].peer_id, 7).position


def wait_equal(network: Network, committee: str, numbers: range | list[int]) -> None:
    def read(number: int):
        status = network.nodes[number].client.at(committee).status()
        return (status.position, status.head, status.state_root)

    wait_until(lambda: len({read(number) for number in numbers}) == 1, f"one head in {committee}")


def work(network: Network, committee: str, source: int) -> None:
    """A task from its opening to its settlement."""
    node = network.nodes[source]
    client = node.client.at(committee)
    wait_until(
        lambda: [len(c.agents) for c in client.capabilities().capabilities] == [4], "all offer"
    )
    from node.service import TaskRequest

    blob = client.put_blob(f"for {committee}".encode())
    request = TaskRequest(capability="count", input=blob.digest)
    (task,) = client.submit_tasks([request], budget=1_000, duration_ms=60_000).tasks
    wait_until(lambda: client.task(task).state == "settled", f"a task of {committee}")
    assert client.result(task).strip() == b"8"


def test_two_overlapping_committees_pay_and_work(network):
    pay(network, "east", 0, 1)
    pay(network, "west", 5, 4)
    work(network, "east", 1)
    work(network, "west", 3)
    wait_equal(network, "east", EAST)
    wait_equal(network, "west", WEST)
    wait_equal(network, "main", range(6))
    stakes = {name: network.nodes[2].client.at(name).stake() for name in ("main", "east", "west")}
    assert all(stake.conserved for stake in stakes.values())
    minted = stakes["east"].minted + stakes["west"].minted
    assert minted == 8 * (BOND + FREE) == stakes["main"].transit
    with pytest.raises(Problem, match="no committee"):
        network.nodes[0].client.at("west").status()
    # one link to each peer, whatever is shared with it
    peers = network.nodes[2].client.peers().peers
    assert len(peers) == len({peer.peer_id for peer in peers}) == 5
    assert find(network.nodes[0], "west").role == "none"
    assert find(network.nodes[3], "west").role == "member"


def test_a_halted_committee_leaves_the_others_working(network):
    west = network.nodes[2].client.at("west").status().position
    for number in (4, 5):
        network.nodes[number].kill()
    for number in EAST:
        pay(network, "east", number, (number + 1) % 4)
        pay(network, "main", number, 5)
    assert network.nodes[2].client.at("west").status().position == west
    for number in (4, 5):
        network.nodes[number].start()
    wait_until(lambda: pay(network, "west", 4, 5) > west, "west goes on")
    wait_equal(network, "west", WEST)


@pytest.mark.full
def test_a_node_with_three_places_comes_back_into_each(network):
    shared = network.nodes[3]
    shared.kill()
    for name, source, to in (("main", 0, 1), ("east", 0, 1), ("west", 4, 5)):
        pay(network, name, source, to)
    shared.start()
    wait_until(lambda: shared.client.status(), "ready")
    for name, numbers in (("main", range(6)), ("east", EAST), ("west", WEST)):
        wait_equal(network, name, numbers)
        shared.client.at(name).transfer(network.nodes[2].peer_id, 1)


@pytest.mark.full
def test_a_member_that_was_away_finds_what_was_formed(network):
    members = network.nodes[2:6]
    peers = [node.peer_id for node in members]
    id_ = network.nodes[0].client.form_committee("south", peers, BOND, FREE, 60_000).fact
    for node in members:
        wait_until(lambda node=node: find(node, "south"), "south is proposed")
    away, *others = reversed(members)
    away.client.consent_committee(id_["committee"])
    away.kill()
    for node in others:
        done = node.client.consent_committee(id_["committee"])
    assert done.fact["kind"] == "committee_formed"
    wait_until(lambda: pay(network, "south", 2, 3), "three of four order")
    away.start()
    wait_until(lambda: away.client.at("south").status(), "a place in south")
    wait_equal(network, "south", range(2, 6))
    pay(network, "south", 5, 2)


@pytest.mark.full
def test_a_proposal_that_nobody_answers_lapses(network):
    nodes = network.nodes
    peers = [node.peer_id for node in nodes[:4]]
    before = nodes[1].client.stake(nodes[1].peer_id)
    proposed = nodes[0].client.form_committee("late", peers, BOND, FREE, 8_000)
    wait_until(lambda: find(nodes[1], "late"), "late is proposed")
    done = nodes[1].client.consent_committee(proposed.fact["committee"])
    assert done.fact["kind"] == "committee_consented"
    wait_until(lambda: find(nodes[1], "late") is None, "it lapses without another operation")
    after = nodes[1].client.stake(nodes[1].peer_id)
    assert after.transit == before.transit
    assert after.accounts[0].free == before.accounts[0].free - 1


def test_every_committee_of_a_ledger_is_verified(network):
    stopped = network.nodes[2]
    known = {each.name for each in stopped.client.committees().committees}
    assert {"main", "east", "west"} <= known
    assert stopped.stop() == 0
    report = stopped.verify()
    assert report["valid"]
    parts = {part["name"]: part for part in report["committees"]}
    assert set(parts) == known
    assert all(part["conserved"] and part["position"] > 0 for part in parts.values())
    log = stopped.econode("ledger", "log", "--committee", "west", "--limit", 1, "--json").document
    founded = log["entries"][0]["facts"][0]
    assert founded["kind"] == "founded"
    assert founded["parent"] == parts["main"]["id"]
    by_id = ("--committee", parts["west"]["id"], "--limit", 1, "--json")
    assert stopped.econode("ledger", "log", *by_id).document == log
    assert stopped.econode("ledger", "log", "--committee", "north", "--json").code == 1
