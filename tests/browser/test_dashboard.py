"""The dashboard in a real headless Chromium, over four real nodes that do a job meanwhile.

Screenshots of every view stay in `build/screenshots`.
"""

import shutil
import subprocess
import sys

import msgspec
import pytest

from node.config import Capability
from tests.system.conftest import FAST
from tests.system.network import ROOT, Network, make_environment

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: make browser-test"
)

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

SHOTS = ROOT / "build" / "screenshots"
VIEWS = ("Network", "Tasks", "Market", "Accounts", "Consensus", "Evidence")
WAIT_MS = 20_000
DESK, PHONE = {"width": 1200, "height": 900}, {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    parameters = msgspec.structs.replace(FAST, snapshot_settlements=2, snapshot_ms_min=1)
    network = Network(tmp_path_factory.mktemp("dashboard"), 4, parameters=parameters)
    count = Capability(name="count", kind="command", target=["wc", "-c"])
    for number, node in enumerate(network.nodes):
        network.configure(node, {("agent", "price_base"): 10 + number}, [count])
    try:
        network.start()
        yield network
    finally:
        network.end()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
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
    assert process.wait(60) == 0


def shoot(page, name):
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def show(page, name):
    page.get_by_role("link", name=name, exact=True).first.click()
    page.wait_for_function("name => document.querySelector('h1').textContent === name", arg=name)


def read_figure(page, name):
    return page.locator(f"dt:text-is('{name}') + dd").inner_text()


def test_every_view_says_what_the_api_says_while_a_job_runs(network, open_page, job):
    page = open_page()
    for name in VIEWS:
        show(page, name)
        shoot(page, name.lower())
    assert job.wait(60) == 0
    client = network.nodes[0].client
    settled = len(client.tasks().tasks)
    show(page, "Network")
    page.wait_for_function(
        "n => document.querySelector('.flow li:nth-child(6) b').textContent == n", arg=str(settled)
    )
    assert settled >= 6
    assert read_figure(page, "view") == str(client.status().view)
    assert read_figure(page, "conserved") == "yes"
    show(page, "Accounts")
    stake = {item.peer_id[-6:]: item for item in client.stake().accounts}
    rows = page.locator("table tbody tr")
    assert rows.count() == len(stake)
    for row in rows.all():
        cells = row.locator("td").all_inner_texts()
        assert cells[3].replace(",", "") == str(stake[cells[0].strip("…")].bonded)


def test_the_page_is_live(network, open_page):
    page = open_page()
    before = page.locator("table tbody tr td").first.inner_text()
    network.nodes[0].client.transfer(network.nodes[1].peer_id, 5)
    page.wait_for_function(
        "old => Number(document.querySelector('table tbody td').textContent) > Number(old)",
        arg=before,
    )


def test_a_certificate_is_downloaded_and_verified(network, open_page, job, tmp_path):
    assert job.wait(60) == 0
    page = open_page()
    show(page, "Tasks")
    page.locator("td a.id").first.click()
    page.get_by_role("button", name="Verify it").click()
    page.wait_for_function("() => document.querySelector('main p[role=status]').textContent")
    said = page.locator("main p[role=status]").inner_text()
    assert said.startswith("It holds: entry ")
    assert "task ended" in said
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download the certificate").click()
    file = tmp_path / "task.proof"
    waiting.value.save_as(file)
    done = network.nodes[1].econode("ledger", "verify", "--light", file, "--json")
    assert done.code == 0
    assert done.document["facts"][-1]["kind"] == "task_ended"
    shoot(page, "task")


def test_an_account_is_told_with_its_facts(network, open_page):
    page = open_page()
    page.goto(page.url.split("#")[0] + f"#/account/{network.nodes[0].peer_id}")
    page.wait_for_function("() => document.querySelector('h1').textContent.startsWith('Account ')")
    free = network.nodes[0].client.stake(network.nodes[0].peer_id).accounts[0].free
    assert read_figure(page, "free").replace(",", "") == str(free)
    shoot(page, "account")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_the_keyboard_alone_will_do(open_page, scheme):
    page = open_page(PHONE, color_scheme=scheme)
    for name in VIEWS:
        show(page, name)
        shoot(page, f"phone-{scheme}-{name.lower()}")
        overflow = (
            "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert page.evaluate(overflow) <= 0, f"{name} is wider than the screen"
    page.locator("nav a").first.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('h1').textContent === 'Tasks'")
    assert page.evaluate("() => document.activeElement.id") == "content"


def test_without_the_token_nothing_is_shown(network, browser):
    context = browser.new_context()
    page = context.new_page()
    page.goto(network.nodes[0].home.find_dashboard().split("#")[0])
    page.wait_for_selector("input#token")
    page.fill("input#token", "x" * 43)
    page.keyboard.press("Enter")
    page.wait_for_selector("p.bad:text('did not accept')")
    page.fill("input#token", network.nodes[0].home.load_token())
    page.keyboard.press("Enter")
    page.wait_for_selector("#link.good")
    context.close()
