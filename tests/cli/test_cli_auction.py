"""The verbs about auctions, against the real API of a fake node."""

import json

import pytest

from node.commands.auction_watch import fit

SELL = ("auction", "open", "vickrey", "--sell", "--cap", 100)


@pytest.mark.parametrize(
    "verb",
    [
        [*SELL, "--lot", "a"],
        ["auction", "bid", "abcd", "--price", 1],
        ["auction", "list"],
        ["auction", "list", "--tasks"],
        ["auction", "show", "abcd"],
        ["auction", "watch", "abcd"],
        ["auction", "cancel", "abcd"],
        ["auction", "deliver", "abcd", "--note", "here"],
        ["auction", "accept", "abcd"],
    ],
)
def test_without_a_running_node_each_verb_says_how_to_start_it(founder, verb):
    error = founder.fail("not-running", *verb)
    assert error["remedy"] == f"start it: econode start --home {founder.home}"


def test_a_sale_by_hand(running):
    opened = running.do(*SELL, "--lot", "gpu hour:10", "--text", "one hour, today")
    auction = opened["auction"]
    assert "gpu hour, at least 10: one hour, today" in running.run("auction", "show", auction).out
    assert auction[:12] in running.run("auction", "list").out
    done = running.do("auction", "bid", auction[:8], "--price", 42)
    assert (done["said"], done["auction"]) == ("sealed", auction)
    shown = running.do("auction", "show", auction)
    assert (shown["summary"]["state"], shown["awards"][0]["price"]) == ("sold", 42)
    assert "gpu hour" in running.run("auction", "show", auction).out
    running.fail("auction-closed", "auction", "bid", auction, "--price", 50)
    lines = running.run("auction", "watch", auction, "--json").out.splitlines()
    assert json.loads(lines[-1])["auction"]["summary"]["id"] == auction
    assert "sold" in running.run("auction", "watch", auction).out
    running.fail("no-agreement", "auction", "accept", auction)
    running.fail("no-agreement", "auction", "deliver", auction, "--note", "here")


def test_english_and_dutch_terms(running):
    opened = running.do("auction", "open", "english", "--sell", "--lot", "a:5", "--cap", 50)
    terms = running.do("auction", "show", opened["auction"])["terms"]
    assert (terms["increment"], terms["extend_ms"], terms["reveal_ms"]) == (1, 10_000, 0)
    assert running.do("auction", "bid", opened["auction"], "--price", 6)["said"] == "placed"
    assert "6" in running.run("auction", "show", opened["auction"]).out
    assert running.do("auction", "cancel", opened["auction"])["state"] == "cancelled"
    assert running.run("auction", "watch", opened["auction"]).code == 1
    sold = running.do("auction", "open", "dutch", "--sell", "--lot", "a:5", "--cap", 50)
    terms = running.do("auction", "show", sold["auction"])["terms"]
    assert (terms["start"], terms["step"], terms["step_ms"]) == (50, 1, 1_000)
    bought = running.do("auction", "open", "dutch", "--buy", "--lot", "a:5")
    assert running.do("auction", "show", bought["auction"])["terms"]["start"] == 1


def test_bundles(running):
    lots = ("--lot", "cpu:5", "--lot", "gpu:7")
    opened = running.do("auction", "open", "combinatorial", "--sell", *lots, "--cap", 100)
    auction = opened["auction"]
    running.fail("invalid-request", "auction", "bid", auction, "--price", 20)
    running.fail("unknown-lots", "auction", "bid", auction, "--bundle", "ghost:20")
    running.do("auction", "bid", auction, "--bundle", "cpu, gpu:20", "--bundle", "gpu:9")
    shown = running.do("auction", "show", auction)
    assert [bundle["lots"] for bundle in shown["bids"][0]["bundles"]] == [["cpu", "gpu"], ["gpu"]]


@pytest.mark.parametrize(
    "arguments",
    [
        [*SELL],
        [*SELL, "--lot", "a:-1"],
        [*SELL, "--lot", "a:99999999999999999999"],
        [*SELL, "--lot", "a:five"],
        [*SELL, "--lot", "a" * 65],
        [*SELL, "--lot", ""],
        [*SELL, "--lot", "a", "--buy"],
        ["auction", "open", "vickrey", "--lot", "a"],
        ["auction", "open", "swiss", "--sell", "--lot", "a"],
        [*SELL, "--lot", "a", "--cap", "-1"],
        [*SELL, "--lot", "a", "--bid-for", "0s"],
        ["auction", "bid", "abcd"],
        ["auction", "bid", "abcd", "--price", "-1"],
        ["auction", "bid", "abcd", "--price", "1", "--pass"],
        ["auction", "bid", "abcd", "--bundle", "a"],
        ["auction", "bid", "abcd", "--bundle", "a:0"],
        ["auction", "accept", "abcd", "--paid-ppm", "0"],
        ["auction", "deliver", "abcd"],
    ],
)
def test_bad_input_is_a_usage_error(running, arguments):
    before = running.do("status")["position"]
    running.fail("usage", *arguments, code=2)
    assert running.do("status")["position"] == before


def test_what_is_not_there(running, tmp_path):
    running.fail("not-found", "auction", "show", "ffff")
    running.fail("not-found", "auction", "bid", "ffff", "--price", 5)
    running.fail("invalid-request", "auction", "show", "../../x")
    running.fail("invalid-request", "auction", "list", "--state", "sleeping")
    missing = tmp_path / "missing"
    assert running.run("auction", "verify", missing).code == 1
    (tmp_path / "noise").write_bytes(b"noise")
    running.fail("not-proven", "auction", "verify", tmp_path / "noise")


def test_a_plan_says_what_tasks_would_come_to(running):
    plan = running.do("task", "plan", "--capability", "upper", "--count", 3, "--budget", 20)
    assert (plan["escrow"], plan["count"], plan["obstacles"]) == (60, 3, [])
    out = running.run("task", "plan", "--capability", "upper").out
    assert "7 each (median of recent awards)" in out
    refused = running.run("task", "plan", "--capability", "upper", "--budget", 13)
    assert refused.code == 1
    assert "too few verifiers" in refused.out
    running.fail("not-found", "task", "plan", "--capability", "nothing")
    running.fail("usage", "task", "plan", "--capability", "upper", "--count", 0, code=2)
    running.fail("usage", "task", "plan", "--capability", "upper", "--budget", "-1", code=2)
    running.fail("usage", "task", "plan", "--capability", "upper", "--deadline", "soon", code=2)


def test_the_live_picture_keeps_what_is_new_in_sight():
    terms, told = [f"line {number}" for number in range(20)], ["12:00:00  a bids 7"] * 3
    assert fit(terms, told, 60, 40) == terms
    shown = fit(terms, told, 60, 12)
    assert shown == [*terms[:7], "..."]
    assert len(shown) + 1 + len(told) == 12
    assert fit(["x" * 59, "y" * 61], ["z" * 130], 60, 6) == ["x" * 59, "..."]
    assert fit(terms, told * 9, 60, 12) == ["line 0", "..."]
