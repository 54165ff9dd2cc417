"""A network in which all that the dashboard shows has happened, and a browser to look at it."""

import shutil
import subprocess
import sys

import msgspec
import pytest

from identity.keys import PrivateKey
from node.config import Capability
from tests.browser.scene import play
from tests.system.conftest import FAST
from tests.system.network import ROOT, Network, make_environment

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
SHOTS = ROOT / "build" / "screenshots"
WAIT_MS = 30_000
DESK = {"width": 1200, "height": 900}
LIAR = PrivateKey(bytes([171]) * 32)
"""A member's key that no process holds: it signed two votes."""


def require_browser():
    """The driver of the browser; skips where one of both is missing."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    return pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: make browser-test"
    )


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """Four running nodes of five members."""
    require_browser()
    parameters = msgspec.structs.replace(FAST, snapshot_settlements=2, snapshot_ms_min=1)
    folder = tmp_path_factory.mktemp("dashboard")
    network = Network(folder, 4, outsiders=[LIAR], parameters=parameters)
    count = Capability(name="count", kind="command", target=["wc", "-c"])
    for number, node in enumerate(network.nodes):
        network.configure(node, {("agent", "price_base"): 10 + number}, [count])
    try:
        network.start()
        yield network
    finally:
        network.end()


@pytest.fixture(scope="session")
def scene(network):
    """The ids of what has happened."""
    return play(network, LIAR)


@pytest.fixture(scope="session")
def browser():
    with require_browser().sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(network, browser):
    """Opens the dashboard of the first node; in the end no page may have had an error."""
    errors, contexts = [], []

    def open_(size=DESK, **options):
        context = browser.new_context(viewport=size, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(network.nodes[0].home.find_dashboard())
        page.wait_for_selector("#link.good")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def job(network, tmp_path):
    """Tasks under way while the page is looked at: it ends with 0."""
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text("x" * number)
    node = network.nodes[0]
    what = ["task", "submit", "--capability", "count", "--dir", tmp_path, "--wait"]
    process = subprocess.Popen(
        [sys.executable, "-m", "node.cli", *map(str, what), "--home", str(node.home.path)],
        env=make_environment(),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    yield process
    assert process.wait(90) == 0
