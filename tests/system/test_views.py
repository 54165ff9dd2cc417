"""What applications use of a running network: data, cards, scores and the proofs of facts."""

import base64
import json
import signal
import subprocess
import sys
from itertools import pairwise

import msgspec
import pytest
from pycrdt import Doc, Map

from crdt import log
from identity import schema
from identity.certificate import Certificate
from identity.keys import parse_peer_id
from node.config import Capability
from tests.system.conftest import FAST
from tests.system.network import ROOT, Network, make_environment, wait_until

NODES, TASKS = 4, 4
PRICES = (30, 10, 20, 40)
FOUNDER_GOOD = 4_000_000


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """Four nodes that count bytes, at different prices; a snapshot after every second end."""
    parameters = msgspec.structs.replace(FAST, snapshot_settlements=2, snapshot_ms_min=1)
    network = Network(tmp_path_factory.mktemp("market"), NODES, parameters=parameters)
    count = Capability(name="count", kind="command", target=["wc", "-c"])
    for node, price in zip(network.nodes, PRICES, strict=True):
        network.configure(node, {("agent", "price_base"): price}, [count])
    try:
        network.start()
        yield network
    finally:
        network.end()


def do(node, *arguments):
    done = node.econode(*arguments, "--json")
    assert done.code == 0, done.out + done.err
    return json.loads(done.out)


def test_what_one_sets_another_watches(market):
    writer, reader = market.nodes[0], market.nodes[2]
    command = [sys.executable, "-m", "node.cli", "data", "watch", "chess", "opening", "--json"]
    with subprocess.Popen(
        [*command, "--home", str(reader.home.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=make_environment(),
        cwd=ROOT,
    ) as watch:
        for text in ("e2e4", "d2d4"):
            position = do(writer, "data", "set", "chess", "opening", text)["position"]
            told = json.loads(watch.stdout.readline())
            assert told["peer_id"] == writer.peer_id
            assert (told["value"]["text"], told["value"]["position"]) == (text, position)
        do(writer, "data", "remove", "chess", "opening")
        assert json.loads(watch.stdout.readline())["value"] is None
        watch.send_signal(signal.SIGINT)
        assert watch.wait(timeout=20) == 130
        assert watch.stderr.read() == b""


def test_large_values_and_values_of_several_arrive_and_survive_kill_9(market, tmp_path):
    one, other, reader = market.nodes[:3]
    large = bytes(range(256)) * 256
    (tmp_path / "large").write_bytes(large)
    do(one, "data", "set", "chess", "board", "--file", tmp_path / "large")
    do(other, "data", "set", "chess", "board", "small")

    def read():
        values = reader.client.get_data("chess", "board").values
        return {value.peer_id: base64.b64decode(value.base64) for value in values}

    expected = {one.peer_id: large, other.peer_id: b"small"}
    wait_until(lambda: read() == expected, "both values")
    keys = do(reader, "data", "list", "chess")["keys"]
    assert [(key["key"], key["size_bytes"]) for key in keys] == [
        ("board", len(expected[peer])) for peer in sorted(expected, key=parse_peer_id)
    ]
    one.kill()
    one.start()
    market.wait_linked()
    out = tmp_path / "out"
    do(one, "data", "get", "chess", "board", "--peer", one.peer_id, "--out", out)
    assert out.read_bytes() == large
    do(one, "data", "set", "chess", "board", "again")
    expected[one.peer_id] = b"again"
    wait_until(lambda: read() == expected, "the new value")


def test_agents_are_found_by_what_they_offer_ask_and_are_worth(market):
    asked = market.nodes[1]

    def find(**filters):
        return [card.peer_id for card in asked.client.find_cards("count", **filters).cards]

    by_price = [market.nodes[index].peer_id for index in (1, 2, 0, 3)]
    wait_until(lambda: find() == by_price, "four cards, the cheapest of equal scores first")
    assert find(price_max=20) == by_price[:2]
    assert find(bond_min=10_001) == find(score_min=1_000_000) == []
    asks = ("--capability", "count", "--max-price", "10", "--min-stake", "1", "--min-score", "1")
    assert do(asked, "directory", "find", *asks)["cards"][0]["peer_id"] == by_price[0]
    card = do(asked, "directory", "show", by_price[0])
    assert (card["state"], card["price_hint"]) == ("good", 10)
    assert card["addresses"] == [market.addresses[1]]


def compute_share(rater):
    return min(10**6, rater["allowance"] * 10**6 // rater["handed"])


def test_a_score_can_be_computed_again_from_its_explanation(market, tmp_path):
    requester = market.nodes[3]
    files = []
    for number in range(TASKS):
        (tmp_path / f"{number}").write_bytes(b"x" * number)
        files += ["--input", tmp_path / f"{number}"]
    do(requester, "task", "submit", "--capability", "count", *files, "--wait")
    wait_until(lambda: requester.client.reputation().snapshot >= 1, "a snapshot")
    market.wait_equal()
    graded = 0
    for node in market.nodes[:3]:
        (score,) = requester.client.reputation(node.peer_id).scores
        told = msgspec.to_builtins(market.nodes[0].client.explain(node.peer_id))
        assert told["whole"]
        good, bad = FOUNDER_GOOD, 0
        for period in told["periods"][:-1]:
            shares = {each["peer_id"]: compute_share(each) for each in period["raters"]}
            good, bad = good * 63 // 64, bad * 255 // 256
            for each in period["receipts"]:
                good += each["good"] * shares[each["rater"]] // 10**6
                bad += each["bad"] * shares[each["rater"]] // 10**6
        assert (good, bad) == (score.good, score.bad)
        assert told["score_ppm"] == 10**6 * good // (good + bad + 10**6) == score.score_ppm
        receipts = [each for period in told["periods"] for each in period["receipts"]]
        assert {each["rater"] for each in receipts} <= {requester.peer_id}
        graded += len(receipts)
    assert graded >= TASKS
    best = do(requester, "reputation", "top", "--limit", "1")["scores"]
    assert best == [msgspec.to_builtins(requester.client.reputation().scores[0])]
    shown = requester.econode("reputation", "explain", best[0]["peer_id"]).out
    assert "score = 10^6*G // (G + B + 10^6)" in shown


def test_facts_about_an_account_prove_themselves_to_whoever_has_the_genesis(market):
    node, other = market.nodes[0], market.nodes[1]
    do(node, "stake", "transfer", other.peer_id, "5")

    def read():
        found = do(node, "stake", "show", other.peer_id, "--certificates", "--limit", "3")
        facts = found["proven"]["facts"]
        return found["proven"] if all(fact["certified"] is not None for fact in facts) else None

    proven = wait_until(read, "certificates")
    (paid,) = [each["fact"] for each in proven["facts"] if each["fact"]["kind"] == "paid"][:1]
    assert (paid["to"], paid["amount"]) == (other.peer_id, 5)
    committee = market.genesis.make_committee()
    for fact in proven["facts"]:
        headers = [
            log.Header(
                committee.id,
                each["position"],
                bytes.fromhex(each["previous"]),
                each["time_ms"],
                bytes.fromhex(each["root"]),
            )
            for each in fact["headers"]
        ]
        path = [bytes.fromhex(each) for each in fact["path"]]
        data, root = bytes.fromhex(fact["data"]), headers[0].root
        assert log.verify_path(data, fact["item"], fact["count"], path, root)
        assert all(b.previous == a.hash() for a, b in pairwise(headers))
        proof = bytes.fromhex(proven["certificates"][str(fact["certified"])])
        certificate = Certificate.decode(proof, market.id, size_max=1 << 16)
        certificate.check(committee.members, committee.q)
        head = schema.decode(certificate.payload, log.Head, size_max=1 << 16)
        assert (head.author, head.hash) == (committee.id, headers[-1].hash())


def test_a_yjs_client_follows_the_views(market):
    writer, reader = market.nodes[0], market.nodes[1]
    document: Doc = Doc()
    updates = reader.client.watch_views()

    def follow(root, is_there):
        for _, update in updates:
            document.apply_update(update)
            if is_there(document.get(root, type=Map).to_py() or {}):
                return

    key = writer.key.public.hex()
    follow("directory", lambda cards: len(cards) == NODES)
    do(writer, "data", "set", "go", "komi", "7.5")
    follow("data", lambda data: data.get(key, {}).get("go") == {"komi": b"7.5"})
    free = reader.client.stake(writer.peer_id).accounts[0].free
    do(writer, "stake", "transfer", reader.peer_id, "7")
    follow("stake", lambda stake: int(stake[key]["free"]) < free)
    updates.close()


def test_nothing_of_it_disturbed_the_network(market):
    for node in market.nodes:
        assert "Traceback" not in node.read_log()
        assert node.stop() == 0
    assert market.nodes[0].verify()["valid"]
