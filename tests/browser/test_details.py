"""The detail pages of the dashboard: any task, auction, account, entry, variable and offence, each
with a certificate that is checked elsewhere by the command that the page names."""

import json

import pytest

from tests.browser.pages import go, read_figure, shoot, show
from tests.system.network import econode


def download(page, folder):
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download the certificate").click()
    file = folder / waiting.value.suggested_filename
    waiting.value.save_as(file)
    return file


def check_elsewhere(page, network, folder):
    """Run the command that the page names, with the genesis and the file alone."""
    file = download(page, folder)
    (folder / "genesis.json").write_bytes(network.nodes[1].home.genesis_path.read_bytes())
    command = page.locator("pre.command").inner_text().split()
    assert command[0] == "econode"
    assert command[-2:] == ["--genesis", "genesis.json"]
    arguments = [folder / word if word in (file.name, "genesis.json") else word for word in command]
    done = econode(*arguments[1:], "--json", "--home", folder / "nobody")
    assert done.code == 0, done.out + done.err
    return json.loads(done.out)


def test_a_task(network, scene, open_page, tmp_path):
    page = open_page()
    show(page, "Tasks")
    page.locator(f"main table a[href='#/task/{scene.task}']").click()
    page.get_by_role("button", name="Verify it").click()
    said = page.locator("main p[role=status]")
    page.wait_for_function(
        "() => (document.querySelector('main p[role=status]')?.textContent ?? '').length > 1"
    )
    assert said.inner_text().startswith("It holds: entry ")
    assert "task ended" in said.inner_text()
    task = network.nodes[0].client.task(scene.task)
    assert read_figure(page, "price") == str(task.price)
    bids = page.get_by_role("region", name="Prices are shown").locator("tbody tr")
    assert bids.count() == 3  # who asks does not bid
    assert sum("won" in row for row in bids.all_inner_texts()) == 1
    shoot(page, "task")
    assert check_elsewhere(page, network, tmp_path)["facts"][-1]["kind"] == "task_ended"


def test_auctions_and_their_bids(network, scene, open_page, tmp_path):
    page = open_page()
    go(page, f"auction/{scene.english}")
    assert read_figure(page, "state") == "bidding"
    assert page.locator("svg[aria-label^='Best bid over time']").count() == 1
    before = read_figure(page, "price")
    network.nodes[3].client.auctions.bid(scene.english, int(before) + 10)
    page.wait_for_function(
        "old => [...document.querySelectorAll('dt')].find(dt => dt.textContent === 'price')"
        ".nextSibling.textContent !== old",
        arg=before,
    )
    shoot(page, "auction-english")
    go(page, f"auction/{scene.sold}")
    assert read_figure(page, "state") == "sold"
    assert "gpu-hour: 90" in page.get_by_role("region", name="Sealed ones").inner_text()
    shoot(page, "auction")
    assert check_elsewhere(page, network, tmp_path)["result"]["auction"] == scene.sold


def test_an_account(network, scene, open_page, tmp_path):
    node = network.nodes[0]
    page = open_page()
    go(page, f"account/{node.peer_id}")
    free = node.client.stake(node.peer_id).accounts[0].free
    page.wait_for_function(
        "free => [...document.querySelectorAll('dd')]"
        ".some(dd => dd.textContent.replaceAll(',', '') === free)",
        arg=str(free),
    )
    shoot(page, "account")
    facts = check_elsewhere(page, network, tmp_path)["facts"]
    assert any(node.peer_id in json.dumps(fact) for fact in facts)


def test_an_entry(network, scene, open_page, tmp_path):
    page = open_page()
    position = network.nodes[0].client.status().certified_position
    go(page, f"entry/{position}")
    shown = page.locator("ol.timeline > li").count()
    document = check_elsewhere(page, network, tmp_path)
    assert (document["position"], len(document["facts"])) == (position, shown)
    shoot(page, "entry")
    page.get_by_role("link", name="previous").click()
    page.wait_for_function(
        "at => document.querySelector('h1').textContent === `Entry ${at}`", arg=str(position - 1)
    )


def test_a_variable(network, scene, open_page):
    page = open_page()
    go(page, f"variable/{scene.variable}")
    assert read_figure(page, "value") == "20"
    assert page.locator("svg[aria-label^='Value over time']").count() == 1
    shoot(page, "variable")


def test_an_offence(network, scene, open_page, tmp_path):
    page = open_page()
    go(page, f"evidence/{scene.offence}")
    assert read_figure(page, "state") == "punished"
    shoot(page, "offence")
    document = check_elsewhere(page, network, tmp_path)
    assert (document["proven"], document["id"]) == (True, scene.offence)


@pytest.mark.parametrize(
    ("text", "heading"),
    [("task", "Task "), ("sold", "Auction "), ("account", "Account "), ("variable", "Variable ")],
)
def test_anything_is_found_by_a_part_of_its_name(network, scene, open_page, text, heading):
    page = open_page()
    peer = network.nodes[2].peer_id
    wanted = {"task": scene.task[:10], "sold": scene.sold[:10], "account": peer[-8:]}
    page.get_by_role("searchbox").fill(wanted.get(text, scene.variable))
    page.keyboard.press("Enter")
    page.wait_for_function(
        "start => document.querySelector('h1').textContent.startsWith(start)", arg=heading
    )


def test_what_is_not_there_is_said_without_an_error(open_page, scene):
    page = open_page()
    go(page, "find/ffffffffffffffff")
    assert "Nothing in this committee" in page.locator("main").inner_text()
    go(page, "nowhere")
    assert page.locator("h1").inner_text() == "There is no such view"
    go(page, "entry/999999")
    assert "does not exist yet" in page.locator("main").inner_text()
