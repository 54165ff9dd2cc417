"""A network of real processes of two versions, one member after another, through an upgrade."""

import httpx
import pytest

from identity import cbor, envelope
from identity.envelope import Context
from node.config import Capability
from node.problem import Problem
from node.service import TaskRequest
from node.service_upgrades import UpgradeMember
from protocols.economy.operations import OPERATION_KIND, STATEMENT_EPOCH
from tests.system.conftest import ACCOUNT, FAST
from tests.system.network import Network, RealNode, econode, wait_until
from tests.system.newer import RELEASE, make_newer

pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]
CAPABILITY = Capability(name="count", kind="command", target=["wc", "-c"])


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    found = Network(tmp_path_factory.mktemp("upgrade"), 4, accounts=[ACCOUNT], parameters=FAST)
    for node in found.nodes:
        found.configure(node, {}, [CAPABILITY])
    try:
        found.start()
        yield found
    finally:
        found.end()


@pytest.fixture(scope="module")
def newer(tmp_path_factory):
    return make_newer(tmp_path_factory.mktemp("newer"))


def sign_noted(network: Network, nonce: int) -> bytes:
    """A transfer with a field that this program does not know."""
    to = network.nodes[0].key.public
    body = {"type": "transfer", "to": to, "amount": 5, "note": "for the rent"}
    main = network.genesis.make_committee()
    place = Context(network.id, main.id, STATEMENT_EPOCH, OPERATION_KIND)
    payload = cbor.encode({"nonce": nonce, "body": body})
    return envelope.sign(ACCOUNT, place, payload).data


def fail(node, kind, *arguments):
    done = node.econode("upgrade", *arguments, "--json")
    assert done.code == 1, done.out
    error = done.document["error"]
    assert error["type"] == f"urn:econode:problem:{kind}"
    assert error["remedy"]


def read_members(node) -> dict[str, UpgradeMember]:
    return {member.peer_id: member for member in node.client.upgrades().members}


def replace(network: Network, node, root) -> None:
    """Stop a member and start it with another program, while a task runs."""
    asker = next(other for other in network.nodes if other is not node).client
    digest = asker.put_blob(b"some words").digest
    request = TaskRequest(capability="count", input=digest)
    (task,) = asker.submit_tasks([request], budget=1_000, duration_ms=120_000).tasks
    assert node.stop() == 0
    node.root = root
    node.start()
    network.wait_linked()
    wait_until(lambda: asker.task(task).state == "settled", "the task", s_max=90)


def read_fees(node) -> list[tuple[int, int]]:
    """Position and amount of each fee that was paid, in order."""
    entries, page = [], node.client.facts()
    while page.entries:
        entries += page.entries
        page = node.client.facts(page.next)
    return [
        (entry.position, move["amount"])
        for entry in entries
        for fact in entry.facts
        for move in fact["moves"]
        if move["target_bucket"] == "treasury"
    ]


def test_one_newer_member_changes_nothing(network, newer):
    first, *_, last = network.nodes
    with pytest.raises(Problem, match="unknown field `note`"):
        first.client.submit_operation(sign_noted(network, 1))
    fail(first, "not-announced", "consent", "2")
    replace(network, first, newer)
    wait_until(lambda: read_members(last)[first.peer_id].semantics == 2, "announced")
    assert read_members(last)[first.peer_id].program == RELEASE
    assert first.client.upgrades().supported == 2
    with pytest.raises(Problem, match=r"transfer\.note: since version 2"):
        first.client.submit_operation(sign_noted(network, 1))
    fail(first, "too-few-announced", "consent", "2")
    fail(last, "not-announced", "consent", "2")
    network.check_alive([node.pid for node in network.nodes])


@pytest.mark.parametrize("number", [1, 2])
def test_members_are_replaced_while_tasks_run(network, newer, number):
    node, last = network.nodes[number], network.nodes[-1]
    replace(network, node, newer)
    wait_until(lambda: read_members(last)[node.peer_id].semantics == 2, "announced")
    # The newer ones say more in their messages than the older ones know.
    assert [each.client.status().faults for each in network.nodes] == [0, 0, 0, 0]


def test_the_new_rule_holds_from_the_switch_on_everywhere(network):
    first, second, third, last = network.nodes
    for node in (first, second):
        done = node.econode("upgrade", "consent", "2", "--json")
        assert done.document["fact"]["kind"] == "upgrade_consented"
    switch = third.client.consent_upgrade(2)
    assert (switch.fact["kind"], switch.fact["semantics"]) == ("epoch_began", 2)
    network.nodes.remove(last)
    wait_until(lambda: {n.client.status().epoch for n in network.nodes} == {1}, "epoch 1")
    for node in network.nodes:
        node.client.transfer(last.peer_id, 1)
    first.client.submit_operation(sign_noted(network, 1))

    def is_noted():
        return b"for the rent" in b"".join(second.read_operations())

    wait_until(is_noted, "a transfer with a note")
    network.wait_equal()
    network.nodes.append(last)
    for node in (first, second, third):
        fees = read_fees(node)
        assert {fee for at, fee in fees if at <= switch.position} == {1}
        assert {fee for at, fee in fees if at > switch.position} == {2}
    assert first.verify()["valid"]
    refused = econode("ledger", "verify", "--home", first.home.path)
    assert refused.code == 1
    assert f"from position {switch.position + 1} on the log follows version 2" in refused.err


def test_the_one_left_behind_stands_still_and_says_why(network):
    first, *_, node = network.nodes
    wait_until(lambda: node.client.status().alarms, "an alarm")
    status, position = node.client.status(), first.client.upgrades().start
    assert (status.position, status.semantics) == (position, 2)
    assert (
        f"install a release of Econode that supports version 2 (members run {RELEASE})"
        in (status.alarms[0])
    )
    info = node.home.load_info()
    answer = httpx.get(f"http://{info.api_address}:{info.api_port}/ready")
    assert answer.status_code == 503
    assert "install a release" in str(answer.json()["missing"])
    with pytest.raises(Problem, match="takes no part") as found:
        node.client.transfer(node.peer_id, 1)
    assert "install a release" in found.value.remedy
    assert node.read_log().count("it keeps and serves what it has") == 1
    assert node.client.facts(position).entries[0].facts[-1]["kind"] == "epoch_began"
    assert node.verify()["valid"]
    # A restart changes nothing: it stands where it stood.
    assert node.stop() == 0
    node.start()
    wait_until(lambda: node.client.status().alarms, "an alarm again")
    assert node.client.status().position == position


def test_it_comes_back_with_the_newer_program(network, newer):
    node = network.nodes[-1]
    assert node.stop() == 0
    node.root = newer
    node.start()
    network.wait_linked()
    network.wait_equal()
    wait_until(lambda: read_members(network.nodes[0])[node.peer_id].semantics == 2, "announced")
    network.check_alive([each.pid for each in network.nodes])
    assert node.verify()["valid"]
    fail(node, "semantics-passed", "consent", "1")


def test_there_is_no_way_back(network):
    node = network.nodes[-1]
    older = RealNode(node.home.path)
    assert node.stop() == 0
    older.start()
    wait_until(lambda: not older.is_running(), "it ends", s_max=120)
    assert "install a release of Econode that supports version 2" in older.read_log()
    node.start()
    network.wait_linked()
    network.check_alive([each.pid for each in network.nodes])
