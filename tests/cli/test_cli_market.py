"""econode market and econode variable, against the real API of a fake node."""

import pytest


def test_prices_and_their_history_are_shown(running):
    assert running.do("market", "prices")["prices"][0]["price"] == 7
    assert "upper" in running.run("market", "prices").out
    history = running.do("market", "prices", "upper")
    assert history["points"][0]["utilisation_ppm"] == 125_000
    running.fail("not-found", "market", "prices", "nothing")


def test_anomalies_come_with_their_numbers_and_rule(running):
    shown = running.run("anomalies")
    assert "fails_often" in shown.out
    assert "90.0 %" in shown.out
    assert "at most 5.0 %" in shown.out
    assert "not a verdict" in shown.err
    found = running.do("anomalies")
    assert found["anomalies"][0]["observed"] == 900_000


def test_halts_and_screens_are_shown(running):
    assert "no market was ever halted" in running.run("market", "halts").out
    assert running.do("market", "halts") == {"halts": [], "next": None}
    assert "windows=12 full=12" in running.run("market", "screens").out
    shown = running.do("market", "screens", "--positions", "5", "--all")
    assert (shown["last"], shown["evidence"][0]["suspicious"]) == (5, False)


def test_variable_is_opened_set_and_reported_on(running):
    opened = running.do("variable", "open", "rate", "--initial", "3", "--high", "9")
    assert (opened["said"], opened["value"]) == ("opened", "3")
    assert running.do("variable", "set", "rate", "5")["value"] == "5"
    assert running.do("variable", "show", "rate")["summary"]["value"] == "5"
    assert running.do("variable", "report", opened["id"], "500000")["said"] == "reported"
    (listed,) = running.do("variable", "list")["variables"]
    assert (listed["name"], listed["value"]) == ("rate", "5")
    assert "variable_set" in running.run("variable", "history", "rate").out


def test_unknown_variable_is_a_clear_error(running):
    for verb in (
        ["show", "rate"],
        ["set", "rate", "1"],
        ["history", "rate"],
        ["report", "rate", "1"],
    ):
        running.fail("not-found", "variable", *verb)


@pytest.mark.parametrize(
    "flags",
    [
        ["--initial", "-1"],
        ["--initial", "x"],
        ["--initial", "9" * 30],
        ["--initial", "c", "--choice", "a", "--choice", "b"],
        ["--initial", "1", "--pool", "-1"],
        ["--initial", "1", "--pool", str(1 << 63)],
        ["--initial", "1", "--rounds", "0"],
        ["--initial", "1", "--term", "soon"],
        ["--initial", "1", "--reward", "1000001"],
        [],
    ],
)
def test_wrong_terms_are_a_usage_error_before_anything_is_asked(founder, flags):
    assert founder.run("variable", "open", "rate", *flags).code == 2
