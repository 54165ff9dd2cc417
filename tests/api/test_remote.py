"""An API that is reachable from other machines: on purpose alone, and never by DNS rebinding."""

import httpx
import pytest

from node.api import Api, bind
from node.api_guard import Hosts
from node.config_file import load_config
from node.home import NodeInfo
from node.problem import Problem

TOKEN = "t" * 43
REMOTE = Hosts(remote=True, names=frozenset({"node.example"}))


@pytest.fixture
async def remote(served, nursery):
    """The same node behind an API that others reach."""
    api = Api(served.node, TOKEN, REMOTE)
    port = await nursery.start(api.serve, bind("0.0.0.0", 0))
    headers = {"authorization": f"Bearer {TOKEN}"}
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
        yield client
    api.stop()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost:4711", "192.0.2.7:4711", "[2001:db8::7]:80", "node.example"]
)
async def test_addresses_and_listed_names_are_taken(remote, host):
    assert (await remote.get("/v1/status", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "192.0.2.7.evil.example", "node.example.evil.example", "0x7f000001"]
)
async def test_other_names_are_refused_even_with_the_token(remote, host):
    answer = await remote.get("/v1/status", headers={"host": host})
    assert answer.status_code == 421
    assert "[api] hosts" in answer.json()["remedy"]


async def test_the_token_is_needed_as_ever(remote):
    answer = await remote.get("/v1/status", headers={"authorization": "Bearer x"})
    assert answer.status_code == 401


async def test_loopback_takes_no_other_address(served):
    answer = await served.client.get("/v1/status", headers={"host": "192.0.2.7"})
    assert answer.status_code == 421


def load(tmp_path, text):
    path = tmp_path / "config.toml"
    path.write_text(f"[api]\n{text}\n")
    return load_config(path).api


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.7"])
def test_an_address_that_others_reach_must_be_meant(tmp_path, address):
    with pytest.raises(Problem) as caught:
        load(tmp_path, f'address = "{address}"')
    assert "reached from other machines" in caught.value.detail
    assert "remote = true" in caught.value.remedy
    assert "config.toml" in caught.value.where
    assert load(tmp_path, f'address = "{address}"\nremote = true').remote


def test_it_may_be_meant_by_the_environment_in_any_order(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("")
    address = {"ECONODE_API_ADDRESS": "0.0.0.0"}
    assert load_config(path, address | {"ECONODE_API_REMOTE": "true"}).api.remote
    assert load_config(path, address, ["api.remote=true"]).api.remote
    with pytest.raises(Problem) as caught:
        load_config(path, address)
    assert "ECONODE_API_ADDRESS" in caught.value.where


@pytest.mark.parametrize("text", ['address = "localhost"', 'address = "127.0.0.1:80"'])
def test_an_address_is_an_ip_address(tmp_path, text):
    with pytest.raises(Problem, match="no IP address"):
        load(tmp_path, text)


@pytest.mark.parametrize("name", ["*", "Node.example", "a b", "-x", "http://x", ""])
def test_a_host_is_a_name(tmp_path, name):
    with pytest.raises(Problem):
        load(tmp_path, f'hosts = ["{name}"]')


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:7"),
        ("0.0.0.0", "http://127.0.0.1:7"),
        ("::", "http://[::1]:7"),
        ("192.0.2.7", "http://192.0.2.7:7"),
    ],
)
def test_commands_on_the_machine_find_it(address, url):
    info = NodeInfo(
        pid=1,
        peer_id="",
        network_id="",
        api_address=address,
        api_port=7,
        listen=(),
        started_ms=0,
    )
    assert info.api_url == url
