"""A peer on js-libp2p, written from docs/protocol.md alone, takes part in a running network."""

import contextlib
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from identity import keys
from identity.keys import PrivateKey, parse_peer_id
from protocols.genesis import MAIN_COMMITTEE, compute_committee_id
from tests.interop.conftest import HERE, INSTALL_S, fail_or_skip, install_packages
from tests.system.network import FREE, Network, wait_until

PEER = Path(__file__).resolve().parent / "peer"
FOREIGNER = PrivateKey(bytes(range(32)))
AMOUNT = 7
PEER_S_MAX = 120.0


@pytest.fixture(scope="module")
def peer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        fail_or_skip("Node.js is not installed: the peer on js-libp2p was not run")
    folder = tmp_path_factory.mktemp("peer")
    for path in (*PEER.iterdir(), HERE / "cbor.mjs", HERE / "statement.mjs"):
        if path.is_file():
            shutil.copy(path, folder)
    install_packages(npm, folder, 2 * INSTALL_S)
    return folder


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    made = Network(tmp_path, 4, accounts=(FOREIGNER,))
    try:
        made.start()
        yield made
    finally:
        made.end()


class Peer:
    """The running process, and what it says it has done."""

    def __init__(self, folder: Path, config: dict) -> None:
        (folder / "config.json").write_text(json.dumps(config))
        self.done: dict[str, dict] = {}
        with (folder / "peer.log").open("w") as log:
            self.process = subprocess.Popen(
                ["node", "peer.mjs", "config.json"],
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            document = json.loads(line)
            self.done[document["done"]] = document

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.mark.full
@pytest.mark.timeout(600)
def test_it_joins_verifies_and_submits(peer_folder: Path, network: Network) -> None:
    first = network.nodes[0]
    config = {
        "seed": FOREIGNER.seed.hex(),
        "network": network.id.hex(),
        "committee": compute_committee_id(network.id, MAIN_COMMITTEE).hex(),
        "members": [key.hex() for key in network.genesis.get_member_keys()],
        "addresses": [
            f"{address}/p2p/{node.peer_id}"
            for address, node in zip(network.addresses, network.nodes, strict=True)
        ],
        "author": parse_peer_id(first.peer_id).hex(),
        "to": parse_peer_id(first.peer_id).hex(),
        "amount": AMOUNT,
    }
    peer = Peer(peer_folder, config)
    try:
        wait_until(
            lambda: "connected" in peer.done or peer.process.poll() is not None,
            "connections",
            PEER_S_MAX,
        )
        count = 0

        def write_and_look() -> bool:
            """Each write is an entry of the node's log, and goes out as gossip."""
            nonlocal count
            count += 1
            assert first.econode("data", "set", "vectors", "count", str(count)).code == 0
            return "gossip verified" in peer.done or peer.process.poll() is not None

        wait_until(write_and_look, "gossip", PEER_S_MAX)
        wait_until(lambda: peer.process.poll() is not None, "its end", PEER_S_MAX)
        log = (peer_folder / "peer.log").read_text()
        assert peer.process.returncode == 0, (sorted(peer.done), log)
    finally:
        peer.end()
    paid = peer.done["operation executed"]["seq"]
    wait_until(lambda: first.client.status().position >= paid, "the same position here")
    fee = network.genesis.parameters.operation_fee
    peer_id = keys.compute_peer_id(FOREIGNER.public)
    (account,) = first.client.stake(peer_id).accounts
    assert (account.peer_id, account.free) == (peer_id, FREE - AMOUNT - fee)
    assert [node.client.status().faults for node in network.nodes] == [0, 0, 0, 0]
