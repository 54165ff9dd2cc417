"""Networks that several tests share, since founding and starting one takes seconds."""

import shutil

import pytest

from identity.keys import PrivateKey
from node.config import Capability
from protocols.genesis import Parameters
from tests.system.network import ROOT, Network
from tests.system.own_service import OwnService
from tests.system.trading import make_traders

INSIDER = max((PrivateKey(bytes([n]) * 32) for n in range(64)), key=lambda key: key.public)
"""A genesis member that no node runs: the tests speak, and lie, with its key. It is never the
primary, which is the member with the smallest key."""
ACCOUNT, OTHER_ACCOUNT = (PrivateKey(bytes([n]) * 32) for n in (100, 101))
"""Keys with credits that are no members."""
FAST = Parameters(bid_phase_ms=1_500, work_phase_ms=4_000, reveal_phase_ms=1_500)
LIMITS = {
    ("limits", "wall_s"): 1.0,
    ("limits", "cpu_s"): 2,
    ("limits", "memory_bytes"): 256 << 20,
    ("limits", "output_bytes_max"): 64 << 10,
    ("agent", "workers"): 2,
}
MISBEHAVING = ("crashes", "hangs", "floods", "eats_memory")


@pytest.fixture(scope="session")
def words_service():
    """The example of the README, running."""
    with OwnService(ROOT / "docs" / "examples" / "word_service.py") as service:
        yield service


@pytest.fixture(scope="session")
def village(tmp_path_factory, words_service):
    """Four running nodes of five members (f = 1); the fifth is INSIDER."""
    network = Network(
        tmp_path_factory.mktemp("village"),
        4,
        outsiders=[INSIDER],
        accounts=[ACCOUNT, OTHER_ACCOUNT],
        parameters=FAST,
    )
    for number, node in enumerate(network.nodes):
        shutil.copy(ROOT / "tests" / "system" / "wild.py", node.home.path)
        offered = [Capability(name="words", kind="http", target=words_service.url)]
        offered += [
            Capability(name=name, kind="python", target=f"wild:{name}") for name in MISBEHAVING
        ]
        flaw = "crashes" if number == 1 else "reverse"
        offered.append(Capability(name="flaky", kind="python", target=f"wild:{flaw}"))
        if number == 3:
            offered.append(Capability(name="lonely", kind="python", target="wild:reverse"))
        price = {("agent", "price_base"): 5 if number == 1 else 20}
        network.configure(node, LIMITS | price, offered)
    try:
        network.start()
        yield network
    finally:
        network.end()


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """See `make_traders`."""
    network = make_traders(tmp_path_factory.mktemp("auctions"))
    try:
        network.start()
        yield network
    finally:
        network.end()
