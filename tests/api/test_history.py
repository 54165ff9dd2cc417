"""The routes about the past: what they take and what they refuse."""

import pytest

ID = "ab" * 32


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/v1/history/tasks?limit=1", {"counts", "tasks", "next"}),
        ("/v1/history/tasks?state=settled", {"counts", "tasks", "next"}),
        ("/v1/history/auctions", {"counts", "auctions", "next"}),
        (f"/v1/history/about/{ID}", {"id", "facts", "next"}),
        ("/v1/history/find?text=abcd", {"found"}),
    ],
)
async def test_what_is_asked_is_answered(served, path, keys):
    answer = await served.client.get(path)
    assert answer.status_code == 200
    assert set(answer.json()) == keys


@pytest.mark.parametrize(
    "path",
    [
        "/v1/history/tasks?state=lost",
        "/v1/history/tasks?limit=0",
        "/v1/history/tasks?limit=201",
        f"/v1/history/tasks?cursor={'1' * 1_025}",
        "/v1/history/auctions?state=settled",
        f"/v1/history/about/{ID[:-1]}",
        f"/v1/history/about/{ID.upper()}",
        "/v1/history/find?text=abc",
        f"/v1/history/find?text={'a' * 65}",
        "/v1/history/find",
        "/v1/history/entries/-1/proof",
        f"/v1/history/entries/{2**63}/proof",
        "/v1/history/entries/x/proof",
    ],
)
async def test_what_makes_no_sense_is_refused(served, path):
    answer = await served.client.get(path)
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("invalid-request")


async def test_what_is_not_there_is_said(served):
    for path in ("/v1/history/entries/7/proof", "/v1/history/tasks?committee=nowhere"):
        assert (await served.client.get(path)).status_code == 404
