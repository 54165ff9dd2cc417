"""Metrics and readiness over HTTP."""


async def test_metrics_need_the_token_and_are_text(served):
    answer = await served.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert (await served.client.get("/metrics", headers={"authorization": ""})).status_code == 401


async def test_a_node_is_ready_when_nothing_is_missing(served):
    no_token = {"authorization": ""}
    ready = await served.client.get("/ready", headers=no_token)
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "missing": []})
    served.node.missing = ["main: 2 members linked, 3 are a quorum"]
    late = await served.client.get("/ready", headers=no_token)
    assert (late.status_code, late.json()["missing"]) == (503, served.node.missing)
