"""The dashboard in a real headless Chromium, over four real nodes that do a job meanwhile.

Screenshots of every view stay in `build/screenshots`.
"""

import pytest

from tests.browser.pages import DESK, PHONE, VIEWS, go, read_figure, shoot, show


def test_every_view_says_what_the_api_says_while_a_job_runs(network, scene, open_page, job):
    page = open_page()
    for name in VIEWS:
        show(page, name)
        shoot(page, name.lower())
    assert job.wait(90) == 0
    client = network.nodes[0].client
    settled = sum(task.state == "settled" for task in client.tasks().tasks)
    assert settled >= 7
    show(page, "Network")
    page.wait_for_function(
        "n => document.querySelector('.flow [data-key=settled] b').textContent === n",
        arg=str(settled),
    )
    assert page.locator(".flow [data-key=settled] .chips a").count() == 5
    assert read_figure(page, "view") == str(client.status().view)
    assert read_figure(page, "conserved") == "yes"
    show(page, "Accounts")
    stake = {item.peer_id[-6:]: item for item in client.stake().accounts}
    rows = page.locator("table tbody tr")
    assert rows.count() == len(stake)
    for row in rows.all():
        cells = row.locator("td").all_inner_texts()
        assert cells[3].replace(",", "") == str(stake[cells[0].strip("…")].bonded)


def test_the_network_is_drawn_with_links_committees_and_the_leader(network, scene, open_page):
    page = open_page()
    names = page.locator("main svg a").evaluate_all(
        "all => all.map(each => each.getAttribute('aria-label'))"
    )
    assert sum("leader" in name for name in names) == 1
    assert sum("this node" in name for name in names) == 1
    assert sum("member of work" in name for name in names) == 4
    assert page.locator("main svg line").count() == len(network.nodes[0].client.peers().peers)
    said = page.locator("figcaption").inner_text()
    assert said.startswith(f"View {network.nodes[0].client.status().view} of epoch ")
    page.select_option("#committee", "work")
    page.wait_for_function(
        "() => document.querySelector('main').textContent.includes('work, epoch')"
    )
    assert read_figure(page, "members") == "4, survives 1"


def test_the_page_is_live_and_nobody_loses_their_place(network, scene, open_page):
    page = open_page()
    place = page.locator("table tbody tr td a").first
    before = place.inner_text()
    place.focus()
    network.nodes[0].client.transfer(network.nodes[1].peer_id, 5)
    page.wait_for_function(
        "old => document.querySelector('table tbody td a').textContent !== old", arg=before
    )
    assert page.evaluate("() => document.activeElement.textContent") == before
    assert page.evaluate("() => document.activeElement.tagName") == "A"


def test_the_market_shows_prices_variables_and_both_kinds_of_auctions(network, scene, open_page):
    page = open_page()
    show(page, "Market")
    text = page.locator("main").inner_text()
    (price,) = network.nodes[0].client.market.prices().prices
    row = page.get_by_role("region", name="What is offered").locator("tbody tr")
    assert row.locator("td").nth(1).inner_text() == str(price.price)
    for wanted in ("gpu-hour", "desk", "rate"):
        assert wanted in text
    row.locator("a").first.click()
    page.wait_for_function(
        "() => document.querySelector('h1').textContent.startsWith('Market of count')"
    )
    assert read_figure(page, "posted price") == str(price.price)
    shoot(page, "market-of-one")


def test_stake_falls_when_a_bond_burns(network, scene, open_page):
    page = open_page()
    show(page, "Accounts")
    drawn = page.locator("figure svg[aria-label^='Bonded credits']").first
    assert "0" in drawn.get_attribute("aria-label")
    show(page, "Evidence")
    row = page.get_by_role("region", name="The newest first").locator("tbody tr").first
    assert "slashed 10,000" in row.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(open_page, scene, scheme):
    page = open_page(PHONE, color_scheme=scheme)
    routes = [f"task/{scene.task}", f"auction/{scene.sold}", f"variable/{scene.variable}"]
    overflow = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    for name in VIEWS:
        show(page, name)
        shoot(page, f"phone-{scheme}-{name.lower()}")
        assert page.evaluate(overflow) <= 0, f"{name} is wider than the screen"
    for route in routes:
        go(page, route)
        shoot(page, f"phone-{scheme}-{route.split('/')[0]}")
        assert page.evaluate(overflow) <= 0, f"{route} is wider than the screen"


def test_every_view_in_the_dark(open_page, scene):
    page = open_page(DESK, color_scheme="dark")
    for name in VIEWS:
        show(page, name)
        shoot(page, f"dark-{name.lower()}")


def test_without_the_token_nothing_is_shown(network, browser):
    context = browser.new_context()
    page = context.new_page()
    page.goto(network.nodes[0].home.find_dashboard().split("#")[0])
    page.wait_for_selector("input#token")
    assert not page.locator("nav").is_visible()
    page.fill("input#token", "x" * 43)
    page.keyboard.press("Enter")
    page.wait_for_selector("p.bad:text('did not accept')")
    page.fill("input#token", network.nodes[0].home.load_token())
    page.keyboard.press("Enter")
    page.wait_for_selector("#link.good")
    context.close()
