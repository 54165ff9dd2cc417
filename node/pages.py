"""Pages of lists that are held in memory: `limit` items after the one that the cursor names."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from node.problem import Problem

T = TypeVar("T")


def cut_page(
    items: Sequence[T], name: Callable[[T], str], limit: int, cursor: str | None
) -> tuple[tuple[T, ...], str | None]:
    """The page after the item called `cursor`, and the cursor of the next page, None at the end.
    Raises Problem when there is no item of that name any more."""
    start = 0
    if cursor is not None:
        found = next((i for i, item in enumerate(items) if name(item) == cursor), None)
        if found is None:
            raise Problem(
                "cursor-gone",
                "what the cursor names is not in this list, or not any more",
                where="cursor",
                remedy="begin again without a cursor",
                status=409,
            )
        start = found + 1
    page = tuple(items[start : start + limit])
    return page, name(page[-1]) if page and start + limit < len(items) else None


def parse_place(cursor: str) -> tuple[int, int]:
    """Position and item of a fact, as the `next` of a page of facts names it. Raises Problem."""
    position, _, item = cursor.partition(".")
    for part in (position, item):
        if not (part.isascii() and part.isdigit() and len(part) <= 18):
            raise Problem(
                "invalid-request", "cursor must be the `next` of the page before", where="cursor"
            )
    return int(position), int(item)
