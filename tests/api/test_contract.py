"""The local API of a real node against its own OpenAPI document, by thousands of made-up requests.

`make test` runs a part of the cases, `make api-test` and `make test-full` all; ECONODE_API_CASES
sets their number. Left out by name, with the reason, is what cannot be asked at random.
"""

import os

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from node.config import Capability
from node.service_auctions import AuctionLot, AuctionOrder
from tests.system.network import Network, wait_until

CASES, CASES_FULL = 150, int(os.environ.get("ECONODE_API_CASES", "2400"))
ANSWER_S_MAX = 100
LEFT_OUT = {
    ("POST", "/v1/shutdown"): "it ends the node: tests/system ends nodes by it",
    ("GET", "/v1/events"): "it does not end: tests/api/test_api.py reads it",
    ("GET", "/v1/views/events"): "it does not end: tests/api/test_data.py reads it",
    ("GET", "/v1/data/events"): "it does not end: tests/api/test_data.py reads it",
}
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]


class Target:
    """A running node with something of each kind in its ledger, and its API's document."""

    def __init__(self, network):
        node = network.nodes[0]
        self.client = node.client
        info = node.home.load_info()
        self.url = f"http://127.0.0.1:{info.api_port}"
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["authorization"] = f"Bearer {node.home.load_token()}"
        self.known = self._fill(node.peer_id)
        document = self.session.get(f"{self.url}/openapi.json").json()
        self.schema = schemathesis.openapi.from_dict(document)
        self.operations = {
            (each.ok().method.upper(), each.ok().path): each.ok()
            for each in self.schema.get_all_operations()
        }

    def _fill(self, peer):
        client = self.client
        digest = client.put_blob(b"an input").digest
        lot = AuctionLot(name="lot", limit=1)
        order = AuctionOrder(
            kind="english", direction="forward", lots=(lot,), bid_ms=600_000, cap=9, increment=1
        )
        auction = client.auctions.open(order).auction
        client.transfer(peer, 1)
        client.set_data("space", "key", b"value")
        wait_until(lambda: client.status().certified_position > 0, "a certificate")
        same = dict.fromkeys(("account", "agent", "peer", "to"), peer)
        return {**same, "input": digest, "prefix": auction, "namespace": "space", "key": "key"}

    def ask(self, case):
        """Send a case, and check the answer against the document."""
        case.headers = {**(case.headers or {}), **self.session.headers}
        response = case.call(
            base_url=self.url, session=self.session, timeout=ANSWER_S_MAX, headers=case.headers
        )
        assert response.status_code < 500, (case.as_curl_command(), response.text)
        case.validate_response(response, checks=CHECKS)
        return response


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    network = Network(tmp_path_factory.mktemp("alone"), 1)
    node = network.nodes[0]
    offered = Capability(name="words", kind="command", target=("/bin/cat",))
    network.configure(node, {("api", "requests_per_s"): 100_000}, [offered])
    node.start("--allow-single")
    try:
        wait_until(lambda: node.client.status().position >= 0, "a node that answers")
        yield Target(network)
        assert node.is_running()
        assert "Traceback" not in node.read_log()
    finally:
        network.end()


def _know(case, known):
    """What the case asks about, replaced by what there is."""
    for part in (case.path_parameters, case.query, case.body):
        if isinstance(part, dict):
            part.update({name: value for name, value in known.items() if name in part})
            part.pop("committee", None)
    return case


def _ask_all(target, cases):
    chosen = {key: op for key, op in target.operations.items() if key not in LEFT_OUT}
    each = max(1, cases // len(chosen))
    asked, statuses = 0, set()
    for operation in chosen.values():
        right = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
        made = [right, right.map(lambda case: _know(case, target.known))]
        if operation.query or operation.body or operation.path_parameters or operation.headers:
            made.append(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))

        @settings(
            max_examples=each,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.one_of(made))
        def ask(case):
            nonlocal asked
            asked += 1
            statuses.add(target.ask(case).status_code)

        ask()
    return asked, statuses


def test_the_document_names_every_operation_and_what_is_left_out(target):
    assert set(LEFT_OUT) < set(target.operations)
    assert len(target.operations) > 60


def test_some_made_up_requests_get_documented_answers(target):
    asked, statuses = _ask_all(target, CASES)
    assert asked >= CASES // 2
    assert {200, 400} <= statuses


@pytest.mark.full
@pytest.mark.timeout(900)
def test_made_up_requests_get_documented_answers(target):
    asked, statuses = _ask_all(target, CASES_FULL)
    print(f"{asked} cases, statuses {sorted(statuses)}")
    assert asked >= CASES_FULL * 5 // 6
    assert {200, 400, 404, 409} <= statuses


def test_nothing_but_open_paths_answers_without_the_token(target):
    for method, path in target.operations:
        url = target.url + path.replace("{prefix}", "abcd").replace("{operation}", "ab" * 32)
        answer = requests.request(method, url.replace("{name}", "main.js"), timeout=20)
        is_open = path in ("/health", "/ready", "/", "/dashboard/{name}")
        assert (answer.status_code == 401) is not is_open, (method, path)
