"""Prices, and a variable from its opening to the reward, on four real processes."""

import json

import pytest

from node.config import Capability
from node.problem import Problem
from protocols.genesis import Parameters
from tests.system.network import Network, wait_until
from tests.system.trading import do, run

QUICK = Parameters(
    bid_phase_ms=1_500,
    work_phase_ms=4_000,
    reveal_phase_ms=1_500,
    inventory_phase_ms=4_000,
    price_interval_ms=2_000,
    variable_report_ms=120_000,  # it ends early: all speak
)
CAPABILITY = Capability(name="count", kind="command", target=["wc", "-c"])


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    network = Network(tmp_path_factory.mktemp("market"), 4, parameters=QUICK)
    for node in network.nodes:
        network.configure(node, {}, [CAPABILITY])
    try:
        network.start()
        yield network
    finally:
        network.end()


def fail(node, *arguments):
    code, out = run(node, *arguments, "--json")
    assert code == 1
    return json.loads(out)["error"]["type"].rpartition(":")[2]


def refused(node, value, kind):
    with pytest.raises(Problem) as caught:
        node.client.market.set_variable("rate", value)
    assert caught.value.type == kind


def refused_report(node, objective_ppm, kind):
    with pytest.raises(Problem) as caught:
        node.client.market.report("rate", objective_ppm)
    assert caught.value.type == kind


def test_prices_are_posted_and_the_same_at_every_node(network, tmp_path):
    first = network.nodes[0]
    wait_until(
        lambda: [len(each.agents) for each in first.client.capabilities().capabilities] == [4],
        "four offers",
    )
    (before,) = do(first, "market", "prices")["prices"]
    assert (before["name"], before["price"], before["agents"]) == ("count", None, 4)
    text = tmp_path / "text"
    text.write_text("what a market asks for")
    do(first, "task", "submit", "--capability", "count", "--input", text, "--budget", "200")
    wait_until(lambda: first.client.market.prices().prices[0].price, "a posted price")

    def agree():
        shown = {node.client.market.prices().prices[0] for node in network.nodes}
        return shown.pop() if len(shown) == 1 else None

    assert wait_until(agree, "one price everywhere").price > 0
    points = do(first, "market", "prices", "count")["points"]
    assert (points[-1]["intervals"], points[-1]["agreements"]) == (0, 1)
    assert do(first, "market", "halts")["halts"] == []
    assert do(first, "market", "screens")["evidence"] == []
    assert fail(first, "market", "prices", "nothing") == "not-found"


@pytest.mark.full
def test_variable_is_opened_won_set_and_rewarded(network):
    sponsor, holder, *others = network.nodes
    flags = ["--initial", "10", "--low", "10", "--high", "50", "--step", "10", "--pool", "1000"]
    flags += ["--deposit", "100", "--term", "20s", "--bid-for", "6s", "--reveal-for", "3s"]
    opened = do(sponsor, "variable", "open", "rate", *flags)
    wait_until(lambda: holder.client.market.variable("rate"), "the variable at the holder")
    holder.client.auctions.bid(opened["auction"], 30)
    wait_until(
        lambda: holder.client.market.variable("rate").summary.holder == holder.peer_id, "a holder"
    )
    refused(others[0], "20", "not-the-holder")
    refused(holder, "25", "value-out-of-bounds")
    assert do(holder, "variable", "set", "rate", "20")["value"] == "20"
    refused(holder, "30", "too-many-changes")
    wait_until(
        lambda: sponsor.client.market.variable("rate").summary.state == "report", "the term's end"
    )
    assert sponsor.client.market.variable(opened["id"][:12]).summary.value == "20"
    away = others[0]
    assert do(away, "variable", "report", "rate", "800000")["said"] == "sealed"
    away.kill()
    for node in (sponsor, others[1]):
        assert do(node, "variable", "report", "rate", "800000")["said"] == "sealed"
    wait_until(
        lambda: sponsor.client.market.variable("rate").summary.state == "report_reveal", "seals"
    )
    refused_report(sponsor, 700_000, "another-report")
    away.start()  # all three are needed: it opens what it sealed before it was killed
    wait_until(
        lambda: sponsor.client.market.variable("rate").summary.state == "closed", "the last report"
    )
    network.wait_linked()
    ended = [
        event["fact"]
        for event in do(holder, "variable", "history", "rate")["events"]
        if event["fact"]["kind"] == "term_ended"
    ]
    assert [(fact["outcome"], fact["value"], fact["reward"]) for fact in ended] == [("met", 20, 80)]
    assert do(sponsor, "variable", "show", "rate")["summary"]["state"] == "closed"
    network.wait_equal()
    assert all(node.verify()["valid"] for node in network.nodes)
