"""The dashboard for those who use no mouse, hear it read, or want no motion."""

import pytest

from tests.browser.pages import VIEWS, go, show

NAMELESS = """() => ['a', 'button', 'input', 'select', 'svg[role=img]', '[role=region]']
  .flatMap(each => [...document.querySelectorAll(each)])
  .filter(each => each.checkVisibility())
  .filter(each => !(each.getAttribute('aria-label') ?? each.textContent).trim()
    && !each.labels?.length)
  .map(each => each.outerHTML.slice(0, 120))"""
HEADINGS = (
    """() => [...document.querySelectorAll('h1, h2, h3')].map(each => Number(each.tagName[1]))"""
)
CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const read = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = (color) => read(color).slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const fill = (each) => getComputedStyle(each).backgroundColor;
  const ground = (each) => { while (read(fill(each))[3] === 0) each = each.parentElement;
    return light(fill(each)); };
  return [...document.querySelectorAll('main *, header *')].filter((each) => each.checkVisibility()
      && !(each instanceof SVGElement)
      && [...each.childNodes].some((child) => child.nodeType === 3 && child.nodeValue.trim()))
    .map((each) => { const a = light(getComputedStyle(each).color), b = ground(each);
      return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), each.outerHTML.slice(0, 80)]; })
    .filter(([ratio]) => ratio < 4.5);
}"""


def list_routes(scene):
    return [f"task/{scene.task}", f"auction/{scene.sold}", f"variable/{scene.variable}"]


def test_everything_has_a_name_and_headings_have_an_order(open_page, scene):
    page = open_page()
    for route in ["", "tasks", "market", "accounts", "consensus", "evidence", *list_routes(scene)]:
        go(page, route)
        assert page.evaluate(NAMELESS) == [], route
        levels = page.evaluate(HEADINGS)
        assert levels[0] == 1, route
        assert levels.count(1) == 1, route
        assert page.locator("main, nav, header").count() == 3
    for table in page.locator("table").all():
        assert table.locator("caption").count() == 1
        assert table.locator("thead th:not([scope])").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(open_page, scene, scheme):
    """WCAG 2.2, 1.4.3: 4.5 to 1."""
    page = open_page(color_scheme=scheme)
    for name in VIEWS:
        show(page, name)
        assert page.evaluate(CONTRAST) == [], name


def test_the_keyboard_alone_will_do(open_page, scene):
    page = open_page()
    page.evaluate("() => document.activeElement.blur()")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.className") == "skip"
    seen = []
    for _ in range(8):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate("() => document.activeElement.textContent || document.activeElement.name")
        )
    assert seen[:7] == [*VIEWS, "text"]
    page.locator("nav a").first.focus()
    page.keyboard.press("Tab")
    assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('h1').textContent === 'Tasks'")
    assert page.evaluate("() => document.activeElement.id") == "content"
    assert page.title().startswith("Tasks ")


def test_changes_are_told_once_and_where_they_belong(open_page, scene):
    page = open_page()
    assert page.locator("#alerts").get_attribute("role") == "alert"
    assert page.locator("#link").get_attribute("role") == "status"
    assert page.locator("nav [aria-current=page]").inner_text() == "Network"


def test_who_wants_no_motion_gets_none(open_page, scene, network):
    moving = """() => { const mark = document.querySelector('.chips li');
      mark.classList.add('new'); return getComputedStyle(mark).animationName; }"""
    page = open_page(reduced_motion="reduce")
    page.wait_for_selector(".chips li")
    assert page.evaluate(moving) == "none"
    page = open_page(reduced_motion="no-preference")
    page.wait_for_selector(".chips li")
    assert page.evaluate(moving) == "appear"
