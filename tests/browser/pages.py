"""Small deeds on a page of the dashboard."""

from tests.browser.conftest import DESK, SHOTS

__all__ = ["DESK", "PHONE", "VIEWS", "go", "read_figure", "shoot", "show"]

VIEWS = ("Network", "Tasks", "Market", "Accounts", "Consensus", "Evidence")
PHONE = {"width": 360, "height": 740}


def shoot(page, name, *, whole=True):
    """A picture of the whole page, or of what the window shows."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=whole)


def show(page, name):
    """Open a view by its link."""
    page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
    page.wait_for_function("name => document.querySelector('h1').textContent === name", arg=name)


def go(page, route):
    """Open a view by its address, and wait until another heading than before is there."""
    page.evaluate("() => { document.querySelector('h1').textContent = ''; }")
    page.goto(page.url.split("#")[0] + f"#/{route}")
    page.wait_for_function("() => document.querySelector('h1').textContent !== ''")


def read_figure(page, name):
    return page.locator(f"dt:text-is('{name}') + dd").inner_text()
