"""The routes about general auctions: what they take, and what they refuse before it goes on."""

import pytest

ORDER = {"kind": "english", "direction": "forward", "lots": [{"name": "a", "limit": 5}],
         "bid_ms": 1_000, "cap": 50, "increment": 1}  # fmt: skip


async def post(served, path, body, status=200):
    answer = await served.client.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_an_auction_from_its_opening_to_its_end(served):
    opened = await post(served, "/v1/auctions", ORDER)
    id_ = opened["auction"]
    page = (await served.client.get("/v1/auctions", params={"state": "bidding"})).json()
    assert [each["id"] for each in page["auctions"]] == [id_]
    done = await post(served, f"/v1/auctions/{id_[:8]}/bids", {"price": 7})
    assert done["said"] == "placed"
    shown = (await served.client.get(f"/v1/auctions/{id_[:8].upper()}")).json()
    assert shown["terms"]["lots"] == [{"name": "a", "limit": 5, "text": "", "blob": None}]
    assert shown["bids"][0]["bundles"] == [{"lots": ["a"], "price": 7}]
    missing = await served.client.get(f"/v1/auctions/{id_}/certificate")
    assert missing.status_code == 409
    cancelled = await served.client.post(f"/v1/auctions/{id_}/cancel")
    assert cancelled.json()["state"] == "cancelled"
    await post(served, f"/v1/auctions/{id_}/bids", {"price": 9}, status=409)


async def test_a_result_has_a_certificate(served):
    order = {**ORDER, "kind": "vickrey", "increment": 0, "reveal_ms": 1_000}
    id_ = (await post(served, "/v1/auctions", order))["auction"]
    await post(served, f"/v1/auctions/{id_}/bids", {"bundles": [{"lots": ["a"], "price": 9}]})
    answer = await served.client.get(f"/v1/auctions/{id_}/certificate")
    assert answer.content == b"a certificate"
    page = (await served.client.get("/v1/auctions", params={"limit": 1})).json()
    assert page["auctions"][0]["price"] == 9
    assert page["next"] == id_


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "swiss"},
        {"direction": "up"},
        {"lots": []},
        {"lots": [{"name": "a", "limit": -1}]},
        {"lots": [{"name": "", "limit": 1}]},
        {"lots": [{"name": "a", "limit": 1 << 63}]},
        {"lots": [{"name": "a", "limit": 1.5}]},
        {"lots": [{"name": f"a{n}", "limit": 1} for n in range(65)]},
        {"bid_ms": 0},
        {"cap": -1},
        {"units": 0},
        {"units": 257},
        {"extra": 1},
    ],
)
async def test_orders_out_of_bounds_are_refused(served, change):
    problem = await post(served, "/v1/auctions", {**ORDER, **change}, status=400)
    assert problem["type"] == "urn:econode:problem:invalid-request"
    assert problem["detail"]
    assert (await served.client.get("/v1/auctions")).json()["auctions"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"price": 0},
        {"price": -4},
        {"price": 1 << 63},
        {"price": "7"},
        {"price": 7, "bundles": [{"lots": ["a"], "price": 7}]},
        {"bundles": [{"lots": [], "price": 7}]},
        {"bundles": [{"lots": ["a"], "price": 0}]},
        {"bundles": [{"lots": ["a"], "price": 1}] * 65},
        {"salt": 1},
    ],
)
async def test_bids_out_of_bounds_are_refused(served, body):
    id_ = (await post(served, "/v1/auctions", ORDER))["auction"]
    await post(served, f"/v1/auctions/{id_}/bids", body, status=400)
    assert (await served.client.get(f"/v1/auctions/{id_}")).json()["bids"] == []


async def test_what_is_not_there(served):
    id_ = (await post(served, "/v1/auctions", ORDER))["auction"]
    problem = await post(served, f"/v1/auctions/{id_}/bids",
                         {"bundles": [{"lots": ["ghost"], "price": 7}]}, status=400)  # fmt: skip
    assert problem["type"].endswith("unknown-lots")
    for path, status in (
        ("/v1/auctions/ffff", 404),
        ("/v1/auctions/ff", 400),
        ("/v1/auctions/zzzz", 400),
        ("/v1/auctions?state=sleeping", 400),
        ("/v1/auctions?limit=0", 400),
        ("/v1/auctions?limit=501", 400),
        ("/v1/auctions?cursor=xyz", 400),
        ("/v1/auctions?committee=none", 404),
    ):
        assert (await served.client.get(path)).status_code == status, path
    await post(served, f"/v1/auctions/{id_}/acceptances", {"paid_ppm": 0}, status=400)
    await post(served, f"/v1/auctions/{id_}/acceptances", {"paid_ppm": 1_000_001}, status=400)
    await post(served, f"/v1/auctions/{id_}/acceptances", {}, status=409)
    await post(served, f"/v1/auctions/{id_}/deliveries", {"blob": "00"}, status=400)
