"""econode committee, and --committee of other verbs, against the real API of a fake node."""

from identity import keys

PEERS = [keys.compute_peer_id(keys.PrivateKey(bytes([n]) * 32).public) for n in range(1, 5)]
MEMBERS = [part for peer in PEERS for part in ("--member", peer)]


def test_a_committee_is_proposed_looked_at_and_consented_to(running):
    done = running.do("committee", "form", "work", *MEMBERS, "--bond", "5", "--duration", "5m")
    proposed = done["fact"]
    assert (proposed["kind"], proposed["name"], proposed["bond"]) == (
        "committee_proposed",
        "work",
        5,
    )
    assert sorted(proposed["members"]) == sorted(PEERS)
    names = [item["name"] for item in running.do("committee", "list")["committees"]]
    assert names == ["main", "work"]
    shown = running.do("committee", "show", "work")
    assert running.do("committee", "show", shown["id"]) == shown
    assert shown["state"] == "proposed"
    text = running.run("committee", "show", "work").out
    assert all(f"{peer}  not yet" in text for peer in PEERS)
    consent = running.do("committee", "consent", "work")
    assert consent["fact"]["committee"] == shown["id"]
    running.fail("not-found", "committee", "show", "play")
    # a standing one is nothing to consent to
    running.fail("not-found", "committee", "consent", "main")
    running.fail("invalid-request", "committee", "form", "No Name", *MEMBERS)
    running.fail("usage", "committee", "form", "work", code=2)


def test_a_verb_asks_the_committee_that_it_is_given(running):
    assert running.do("status", "--committee", "main") == running.do("status")
    for verb in (
        ["status"],
        ["stake", "show"],
        ["stake", "transfer", PEERS[0], "1"],
        ["reputation", "show"],
        ["task", "list"],
        ["task", "show", "abcd"],
        ["task", "result", "abcd"],
    ):
        error = running.fail("not-found", *verb, "--committee", "elsewhere")
        assert "committee list" in error["remedy"]
