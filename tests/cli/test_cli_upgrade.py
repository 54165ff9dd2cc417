"""econode upgrade, against the real API of a fake node."""


def test_versions_are_looked_at_and_consented_to(running):
    now = running.do("upgrade", "status")
    assert (now["semantics"], now["supported"], now["members"][0]["consents"]) == (1, 2, None)
    text = running.run("upgrade", "status").out
    assert "version 1, since epoch 0" in text
    assert "1.1.0, executes up to version 2" in text
    assert [each["semantics"] for each in running.do("upgrade", "list")] == [1, 2]
    listed = running.run("upgrade", "list").out
    assert "epoch 0, after position 0" in listed
    assert "not yet" in listed
    done = running.do("upgrade", "consent", "2")
    assert done["fact"]["kind"] == "upgrade_consented"
    assert running.do("upgrade", "status")["members"][0]["consents"] == 2
    assert "waits for others" in running.run("upgrade", "consent", "2").out


def test_what_cannot_be_is_refused_with_a_remedy(running):
    running.fail("semantics-passed", "upgrade", "consent", "1")
    running.fail("not-announced", "upgrade", "consent", "3")
    running.fail("usage", "upgrade", "consent", "0", code=2)
    running.fail("usage", "upgrade", "consent", "later", code=2)
    running.fail("not-found", "upgrade", "status", "--committee", "play")
