"""Eight real nodes, two overlapping committees, and credits that cross between them."""

import pytest

from crdt import log
from crdt.facts import Exported, TaskOpened
from crdt.heads import get_head
from devnet.history import History
from devnet.invariants import check_conservation as check_conservation_of
from devnet.invariants import check_crossing
from devnet.ledger_files import read_history
from identity import envelope, schema
from identity.certificate import Certificate
from identity.keys import PrivateKey, compute_peer_id
from node.config import Capability
from node.funding_notes import STAGES, Stage
from node.problem import Problem
from node.service import TaskRequest
from protocols.economy.operations import (
    OPERATION_KIND,
    STATEMENT_EPOCH,
    Import,
    Operation,
)
from protocols.genesis import Parameters
from protocols.light import Bundle, ProvenEntry, encode_bundle
from tests.system.network import RealNode, wait_until
from tests.system.town import Town, form

QUICK = Parameters(bid_phase_ms=1_500, work_phase_ms=4_000, reveal_phase_ms=1_500)
MEMBERS, OUTSIDE = 5, 3
"""Nodes 0 to 4 are `main`, nodes 3 to 7 are `work`."""
BOND, FREE = 2_000, 50_000
AT_HOME = {
    ("committees", "home"): "main",
    ("committees", "keep_free"): FREE,
    ("agent", "price_base"): 200,
}
"""Of the members of `work`: what they earn there beyond their share goes to main."""


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    town = Town(tmp_path_factory.mktemp("crossing"), MEMBERS, OUTSIDE, parameters=QUICK)
    count = Capability(name="count", kind="command", target=("wc", "-c"))
    town.configure(town.nodes[0], {("committees", "follow"): ("work",)})
    for node in list_work(town):
        town.configure(node, AT_HOME, [count])
    try:
        town.start()
        form(list_work(town), "work", BOND, FREE)
        wait_until(lambda: town.nodes[0].client.at("work").status(), "node 0 follows work")
        yield town
    finally:
        town.end()


def list_work(town: Town) -> list[RealNode]:
    return [*town.nodes[3:], *town.outside]


def get_free(node: RealNode, committee: str, of: RealNode | None = None) -> int:
    peer = (of or node).peer_id
    return node.client.at(committee).stake(peer).accounts[0].free


def read(town: Town, committee: str) -> History:
    """The log of a committee as a node has it that belongs to both."""
    node = town.nodes[3]
    id_ = bytes.fromhex(node.client.at(committee).status().committee)
    return read_history(node.home.ledger_path, "node 3", id_)


def check_conservation(town: Town) -> None:
    main, work = read(town, "main"), read(town, "work")
    assert not list(check_crossing(main, work))
    for history in (main, work):
        assert not list(check_conservation_of(history))


def test_credits_cross_and_come_back(town):
    node, other = town.nodes[0], town.outside[0]
    before = get_free(node, "main")
    there = ("stake", "transfer", node.peer_id, 500, "--to-committee", "work")
    done = node.econode(*there, "--json")
    assert done.code == 0, done.err
    assert done.document["state"] == "imported"
    assert get_free(node, "work") == 500
    back = ("stake", "transfer", other.peer_id, 200, "--committee", "work")
    done = node.econode(*back, "--to-committee", "main")
    assert done.code == 0, done.err
    assert "position in main" in done.out
    assert get_free(node, "work") == 300 - 1
    # the fees of the export, and of an import if no other node was faster
    assert before - get_free(node, "main") - 500 in (1, 2)
    check_conservation(town)


def wait_offered(town: Town) -> None:
    client = town.nodes[0].client.at("work")
    wait_until(
        lambda: [len(c.agents) for c in client.capabilities().capabilities] == [5],
        "all of work offer",
    )


def prepare_task(town: Town) -> TaskRequest:
    wait_offered(town)
    blob = town.nodes[0].client.put_blob(b"the other input")
    return TaskRequest(capability="count", input=blob.digest)


def submit_funded(town: Town, *flags: str):
    wait_offered(town)
    node = town.nodes[0]
    file = node.home.path / "input"
    file.write_bytes(b"8 bytes.")
    where = ("--committee", "work", "--funded-by", "main")
    terms = ("--capability", "count", "--input", file, "--budget", 1_000)
    return node.econode("task", "submit", *terms, *where, *flags)


def test_a_task_is_funded_in_one_committee_and_done_in_another(town):
    node = town.nodes[0]
    homes = {n.peer_id: n.client.stake(n.peer_id).accounts[0].free for n in list_work(town)}
    before, there = get_free(node, "main"), get_free(node, "work")
    done = submit_funded(town, "--wait", "--json")
    assert done.code == 0, done.out + done.err
    (task,) = done.document["tasks"]
    assert task["state"] == "settled"
    assert node.client.at("work").result(task["id"]).strip() == b"8"
    shown = node.econode("task", "show", task["id"], "--committee", "work", "--json").document
    funding = shown["funding"]
    assert (funding["stage"], funding["source"]) == ("done", "main")
    # What the task cost went to its executor and verifiers; nothing stays behind, but for the fee
    # of carrying own credits, which the account pays from what it had there before.
    pay = task["price"] + task["price"] * 50_000 // 1_000_000
    fees = 100 * len(task["verifiers"])
    assert funding["amount"] - funding["returned"] == pay + fees + 2
    assert before - get_free(node, "main") in (pay + fees + 3, pay + fees + 4)
    assert there - get_free(node, "work") in (0, 1)
    # The executor's pay comes home, too: nobody asked its node to.
    executor = next(n for n in list_work(town) if n.peer_id == task["executor"])
    wait_until(lambda: get_free(executor, "main") > homes[executor.peer_id], "the pay is in main")
    check_conservation(town)


def test_refused_tasks_send_the_credits_home(town):
    node = town.nodes[0]
    work, before = node.client.at("work"), get_free(node, "main")
    funding = work.fund_tasks([prepare_task(town)], 1_000, 1, "main")
    wait_until(lambda: work.funding(funding.id).stage == "failed", "it ends")
    ended = work.funding(funding.id)
    assert "duration_too_short" in ended.reason
    assert ended.returned == funding.amount - 2
    assert before - get_free(node, "main") in (3, 4)
    shown = node.econode("task", "show", funding.id[:12], "--committee", "work")
    assert "duration_too_short" in shown.out
    with pytest.raises(Problem, match="credits are needed in main"):
        work.fund_tasks([prepare_task(town)], 10**9, 60_000, "main")


@pytest.mark.full
def test_a_halted_committee_stops_no_other_and_a_killed_node_finishes_what_it_began(town):
    """f+1 and one more of `work` are stopped, none of them in main: a transfer and a funded task
    are under way when their sender is killed, too."""
    sender, away = town.nodes[0], town.outside
    request = prepare_task(town)
    for node in away:
        node.kill()
    main = sender.client.at("main")
    sent = main.export(sender.peer_id, 100, "work")
    funding = sender.client.at("work").fund_tasks([request], 1_000, 60_000, "main")
    halted = town.nodes[3].client.at("work").status().position
    for number, node in enumerate(town.members):
        node.client.transfer(town.members[number - 1].peer_id, 1)
    assert town.nodes[3].client.at("work").status().position == halted
    sender.kill()
    for node in [*away, sender]:
        node.start()
    wait_until(lambda: find_crossing(sender, sent.operation).state == "imported", "it arrives")
    for stage in ("working", "returning"):
        wait_until(lambda stage=stage: has_reached(sender, funding.id, stage), stage)
        sender.kill()
        sender.start()
    wait_until(lambda: has_reached(sender, funding.id, "done"), "done")
    log = [f for e in read(town, "main").entries for f in e.facts if isinstance(f, Exported)]
    assert [f.operation.hex() for f in log].count(funding.id) == 1
    opened = [
        f.task.hex()
        for e in read(town, "work").entries
        for f in e.facts
        if isinstance(f, TaskOpened) and f.requester == sender.key.public
    ]
    noted = [t for f in sender.client.at("work").fundings().fundings for t in f.tasks]
    assert sorted(opened) == sorted(noted)
    assert len(set(opened)) == len(opened)
    check_conservation(town)


def has_reached(node: RealNode, funding: str, stage: Stage) -> bool:
    now = node.client.at("work").funding(funding).stage
    assert now != "failed"
    return STAGES.index(now) >= STAGES.index(stage)


def find_crossing(node: RealNode, operation: str):
    return node.client.at("main").crossing(operation)


def test_an_account_that_is_new_there_is_carried_for(town):
    """Its own node does not even follow the other committee."""
    sender = town.nodes[1]
    with pytest.raises(Problem, match="does not see committee"):
        sender.client.export(sender.peer_id, 5, "work")
    with pytest.raises(Problem, match="not cross from 'main' to 'nowhere'"):
        sender.client.export(sender.peer_id, 5, "nowhere")
    payer = town.nodes[3]
    done = payer.client.export(sender.peer_id, 5, "work")
    wait_until(lambda: find_crossing(payer, done.operation).state == "imported", "it arrives")
    assert get_free(payer, "work", sender) == 5


def forge_renewal(town: Town) -> Import:
    """A quorum of main certifies another head at a position that is certified already."""
    place = town.nodes[3].client.status()
    network, main = town.id, bytes.fromhex(place.committee)
    header = log.Header(
        main, place.certified_position, bytes(32), place.agreed_time_ms + 1, bytes(32)
    )
    context = envelope.Context(network, main, 0, log.HEAD_KIND)
    payload = schema.encode(get_head(header))
    signers = [node.key for node in town.members[: place.q]]
    signatures = {key.public: envelope.sign(key, context, payload).signature for key in signers}
    certificate = Certificate.collect(context, payload, signatures).encode()
    bundle = Bundle(network, main, (), ProvenEntry(header, 0, ()), (), certificate)
    return Import(encode_bundle(bundle), ())


def test_a_contradiction_is_found_and_freezes_the_border(town):
    liar, node = PrivateKey.generate(), town.outside[0]
    work = node.client.at("work")
    work.transfer(compute_peer_id(liar.public), 10)
    wait_until(lambda: town.nodes[3].client.status().certified_position, "a certificate")
    context = envelope.Context(
        town.id, bytes.fromhex(work.status().committee), STATEMENT_EPOCH, OPERATION_KIND
    )
    operation = Operation(1, forge_renewal(town))
    work.submit_operation(envelope.sign(liar, context, schema.encode(operation)).data)
    for member in list_work(town):
        wait_until(
            lambda member=member: member.client.at("work").status().frozen_borders == ("main",),
            "the border is frozen",
        )
    kinds = [f["kind"] for e in work.facts(limit=200).entries for f in e.facts]
    assert kinds.count("border_renewed") == kinds.count("border_frozen") == 1
    done = node.econode(
        "stake", "transfer", node.peer_id, 1, "--committee", "work", "--to-committee", "main"
    )
    assert done.code == 1
    assert "contradicted itself" in done.err
    assert "FROZEN" in node.econode("stake", "show", "--committee", "work").out
    assert "ALARM" in node.econode("status", "--committee", "work").out
    check_halted(town)


def check_halted(town):
    """Everybody is told of the two certificates, and takes no part in main any more."""
    for node in [*town.nodes, *town.outside]:
        wait_until(lambda node=node: node.client.list_evidence().total, f"{node.log_path}")
        (item,) = node.client.list_evidence().evidence
        assert (item.kind, item.offender, item.halted) == ("committee", "main", True)
        assert item.state == "punished" or node not in list_work(town)
        with pytest.raises(Problem, match="halted"):
            node.client.transfer(town.nodes[0].peer_id, 1)
