"""Every verb of the market with input that makes no sense, on four real nodes: a clear error, its
exit code, and a log and a state that are as before."""

import json

import pytest

from node.config import Capability
from tests.system.network import FREE, read_place, wait_until
from tests.system.trading import do, list_awards, make_traders, open_auction, run, wait_known

HUGE, BEYOND, UNKNOWN = str(FREE * 2), str(1 << 63), "ffff0000ffff"
SELL = ("auction", "open", "vickrey", "--sell")
VARIABLE = ("variable", "open", "speed", "--initial", "1", "--high", "5")
WORDS = Capability(name="count", kind="command", target=["wc", "-c"])

USAGE = [
    (*SELL, "--lot", "a:-1", "--cap", "10"),
    (*SELL, "--lot", f"a:{BEYOND}", "--cap", "10"),
    (*SELL, "--lot", "a:1", "--cap", "-5"),
    (*SELL, "--lot", "a:1", "--cap", str(1 << 64)),
    (*SELL, "--lot", "a:1x", "--cap", "10"),
    (*SELL, "--lot", ":1", "--cap", "10"),
    (*SELL, "--cap", "10"),
    (*SELL, "--lot", "a:1", "--cap", "10", "--bid-for", "soon"),
    (*SELL, "--lot", "a:1", "--cap", "10", "--bid-for", "-5s"),
    (*SELL, "--lot", "a:1", "--cap", "10", "--units", "0"),
    ("auction", "open", "swiss", "--sell", "--lot", "a:1"),
    ("auction", "open", "vickrey", "--lot", "a:1"),
    ("auction", "open"),
    ("auction", "bid", "abcd"),
    ("auction", "bid", "--price", "5"),
    ("auction", "bid", "abcd", "--price", "0"),
    ("auction", "bid", "abcd", "--price", "-3"),
    ("auction", "bid", "abcd", "--price", BEYOND),
    ("auction", "bid", "abcd", "--price", "5", "--pass"),
    ("auction", "bid", "abcd", "--bundle", "a,b"),
    ("auction", "bid", "abcd", "--bundle", "a:-4"),
    ("auction", "deliver", "abcd"),
    ("auction", "accept", "abcd", "--paid-ppm", "1000001"),
    ("auction", "accept", "abcd", "--paid-ppm", "0"),
    ("auction", "list", "--limit", "-1"),
    ("auction", "watch"),
    ("auction", "show"),
    ("auction", "verify"),
    ("auction", "cancel"),
    ("market", "prices", "--limit", "-1"),
    ("market", "halts", "--limit", "0"),
    ("market", "screens", "--positions", "-7"),
    ("variable", "open", "speed", "--initial", "-1"),
    ("variable", "open", "speed", "--initial", "fast", "--choice", "slow", "--choice", "slower"),
    (*VARIABLE, "--pool", "-1"),
    (*VARIABLE, "--pool", BEYOND),
    (*VARIABLE, "--rounds", "0"),
    (*VARIABLE, "--term", "long"),
    ("variable", "open", "speed"),
    ("variable", "set", "rate"),
    ("variable", "report", "rate", "1000001"),
    ("variable", "report", "rate", "-1"),
    ("task", "plan"),
    ("task", "plan", "--capability", "count", "--count", "0"),
    ("task", "plan", "--capability", "count", "--budget", "-1"),
    ("task", "plan", "--capability", "count", "--budget", BEYOND),
    ("task", "plan", "--capability", "count", "--deadline", "soon"),
    ("task", "cancel"),
]
"""Exit code 2."""

REFUSED = [
    ("cap-below-reserve", *SELL, "--lot", "a:20", "--cap", "10"),
    ("one-lot-only", *SELL, "--lot", "a:1", "--lot", "b:2", "--cap", "10"),
    ("budget-and-no-cap", "auction", "open", "vickrey", "--buy", "--lot", "a"),
    ("insufficient-credits", "auction", "open", "vickrey", "--buy", "--lot", f"a:{HUGE}"),
    ("phase-too-short", *SELL, "--lot", "a:1", "--cap", "10", "--bid-for", "1ms"),
    ("invalid-request", "auction", "show", "../x"),
    ("invalid-request", "auction", "list", "--state", "sleeping"),
    ("invalid-request", "auction", "list", "--cursor", "zz"),
    ("empty-domain", "variable", "open", "speed", "--initial", "5", "--low", "5", "--high", "5"),
    ("value-out-of-bounds", *VARIABLE[:3], "--initial", "7", "--high", "5"),
    ("insufficient-credits", *VARIABLE, "--pool", HUGE),
    ("cap-below-reserve", *VARIABLE, "--cap", "5", "--reserve", "9"),
    ("term-too-short", *VARIABLE, "--term", "1ms"),
    ("name-taken", *VARIABLE[:2], "rate", *VARIABLE[3:]),
    ("unknown-capability", "task", "plan", "--capability", "fly"),
    ("not-found", "market", "prices", "fly"),
    ("not-found", "market", "halts", "fly"),
    *(("not-found", "variable", *words) for words in (
        ("show", "ghost"), ("set", "ghost", "1"), ("report", "ghost", "1"), ("history", "ghost"))),
    *(("not-found", "auction", *words) for words in (
        ("show", UNKNOWN), ("watch", UNKNOWN), ("cancel", UNKNOWN), ("accept", UNKNOWN),
        ("certificate", UNKNOWN), ("bid", UNKNOWN, "--price", "5"),
        ("deliver", UNKNOWN, "--note", "here"))),
    ("not-found", "task", "cancel", UNKNOWN),
    ("not-found", "task", "show", UNKNOWN),
    ("not-found", "auction", "show", UNKNOWN, "--tasks"),
]  # fmt: skip
"""Exit code 1, with the type of the problem."""

CLOSED = [
    ("auction-closed", "bid", "--price", "20"),
    ("auction-closed", "cancel"),
    ("auction-closed", "deliver", "--note", "here"),
    ("auction-closed", "accept"),
]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Nodes that offer one capability, with an open variable, and nothing that falls due."""
    network = make_traders(tmp_path_factory.mktemp("wrong"))
    for node in network.nodes:
        network.configure(node, {}, [WORDS])
    try:
        network.start()
        names = {"count"}
        wait_until(
            lambda: names <= {c.name for c in network.nodes[0].client.capabilities().capabilities},
            "an offer",
        )
        flags = ("--initial", "3", "--high", "9", "--bid-for", "1h", "--reveal-for", "1h")
        do(network.nodes[0], "variable", "open", "rate", *flags)
        wait_until(lambda: network.nodes[1].client.market.variable("rate"), "a variable")
        network.wait_equal()
        yield network
    finally:
        network.end()


@pytest.fixture
def unchanged(network):
    """The nodes; their logs and states must be as before, to the last bit."""
    network.wait_equal()
    before = [read_place(node) for node in network.nodes]
    yield network
    assert [read_place(node) for node in network.nodes] == before


def fail(node, code, kind, *arguments):
    found, out = run(node, *arguments, "--json")
    assert found == code, (arguments, out)
    error = json.loads(out)["error"]
    assert error["type"] == f"urn:econode:problem:{kind}", (arguments, error)
    assert error["detail"], arguments
    return error


def test_wrong_usage(unchanged):
    for arguments in USAGE:
        fail(unchanged.nodes[0], 2, "usage", *arguments)


def test_what_would_be_refused_is_not_sent(unchanged):
    for kind, *arguments in REFUSED:
        fail(unchanged.nodes[0], 1, kind, *arguments)


def test_who_may_not_speak(network, tmp_path):
    opener, listed, stranger, _ = network.nodes
    terms = ("--lot", "hand:10", "--cap", "100", "--bid-for", "1h", "--reveal-for", "1h")
    auction = open_auction(
        opener, "vickrey", "--sell", *terms, "--bidder", listed.peer_id, "--text", "a thing"
    )
    for node in (listed, stranger):
        wait_known(node, auction)
    right = opener.client.market.variable("rate").summary.auction
    network.wait_equal()
    before = [read_place(node) for node in network.nodes]
    bid = ("auction", "bid", auction)
    for node, kind, *arguments in (
        (opener, "own-auction", *bid, "--price", 50),
        (stranger, "not-listed", *bid, "--price", 50),
        (listed, "above-cap", *bid, "--price", 101),
        (listed, "price-out-of-range", *bid, "--price", 9),
        (listed, "unknown-lots", *bid, "--bundle", "ghost:50"),
        (listed, "no-agreement", "auction", "accept", auction),
        (listed, "not-yours", "auction", "deliver", auction, "--note", "x"),
        (listed, "not-yours", "auction", "cancel", auction),
        (listed, "not-found", "auction", "certificate", auction, "--out", tmp_path / "none"),
        (opener, "right-to-a-variable", "auction", "cancel", right),
        (listed, "not-the-holder", "variable", "set", "rate", "5"),
        (listed, "too-early", "variable", "report", "rate", "5"),
    ):
        fail(node, 1, kind, *arguments)
    assert [read_place(node) for node in network.nodes] == before
    do(listed, "auction", "bid", auction, "--price", 70)
    wait_until(lambda: opener.client.auctions.show(auction).awards, "a result")
    found = opener.client.auctions.show(auction)
    assert list_awards(found) == [(listed.peer_id, ("hand",), 10)]
    network.wait_equal()
    before = [read_place(node) for node in network.nodes]
    for kind, verb, *arguments in CLOSED:
        for node in (opener, listed, stranger):
            fail(node, 1, kind, "auction", verb, auction, *arguments)
    assert [read_place(node) for node in network.nodes] == before


def test_files_that_are_no_result(unchanged, tmp_path):
    node = unchanged.nodes[0]
    genesis = node.home.genesis_path
    for name, content in (("empty", b""), ("noise", b"\xff" * 99), ("long", bytes(1 << 20))):
        file = tmp_path / name
        file.write_bytes(content)
        assert run(node, "auction", "verify", file, "--genesis", genesis, "--json")[0] == 1
    missing = ("auction", "verify", tmp_path / "absent", "--genesis", genesis, "--json")
    assert run(node, *missing)[0] in (1, 2)


def test_a_task_that_has_ended(network, tmp_path):
    node, other = network.nodes[:2]
    text = tmp_path / "text"
    text.write_text("some words")
    submit = ("task", "submit", "--capability", "count", "--input", text, "--budget", 200)
    task = do(node, *submit)["tasks"][0]["id"]
    wait_until(lambda: node.client.task(task).ended_ms, "the end of the task")
    network.wait_equal()
    before = [read_place(each) for each in network.nodes]
    fail(node, 1, "unknown-task", "task", "cancel", task)
    fail(other, 1, "unknown-task", "task", "cancel", task)
    fail(node, 1, "unknown-task", "task", "accept", task)
    assert [read_place(each) for each in network.nodes] == before
