"""A fake node behind the real API, on a free port, in the test's own trio loop."""

import sys
from pathlib import Path

import httpx
import pytest
import trio

sys.path.insert(0, str(Path(__file__).parent))

from fake_node import FakeNode

from identity import keys
from node.api import Api, bind
from node.client import NodeClient
from node.home import NodeInfo
from protocols.genesis import Genesis, Member

TOKEN = "t" * 43


class Served:
    """What a test talks to."""

    def __init__(self, node: FakeNode, api: Api, port: int, client: httpx.AsyncClient) -> None:
        self.node = node
        self.api = api
        self.port = port
        self.client = client
        self.url = f"http://127.0.0.1:{port}"

    def connect(self) -> NodeClient:
        """The synchronous client that the command uses."""
        info = NodeInfo(
            pid=1,
            peer_id=self.node.peer_id,
            network_id="",
            api_address="127.0.0.1",
            api_port=self.port,
            listen=(),
            started_ms=0,
        )
        return NodeClient(info, TOKEN)


@pytest.fixture
async def served(nursery):
    """The API with an authorised client; both are closed at the end."""
    peer = keys.compute_peer_id(keys.PrivateKey(bytes(32)).public)
    member = Member(peer, "/ip4/127.0.0.1/tcp/4710", 100, 1_000)
    node = FakeNode(peer, Genesis("test", 1, (member,)))
    api = Api(node, TOKEN)
    port = await nursery.start(api.serve, bind("127.0.0.1", 0))
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=20
    ) as client:
        yield Served(node, api, port, client)
    with trio.CancelScope(shield=True):
        api.stop()
