"""What the documents point to is there: linked pages and headings, and files they name."""

import re

import pytest

from tests.docs.wire import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
CODE = re.compile(r"`[^`\n]*`")
NAMED = re.compile(r"`((?:identity|crdt|protocols|node|devnet|tests|docs|requirements)/[\w./-]+)`")


def list_anchors(text: str) -> set[str]:
    """Anchors of headings, as repository hosts make them."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {word.replace(" ", "-") for word in words}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_named_files_are_there(page):
    text = page.read_text(encoding="utf-8")
    broken = [name for name in NAMED.findall(text) if not list(ROOT.glob(f"{name.rstrip('/')}*"))]
    for link in LINK.findall(CODE.sub("", text)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in list_anchors(target.read_text())):
            broken.append(link)
    assert broken == []
