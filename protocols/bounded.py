"""Tables that forget their oldest entry when they are full."""

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def put_newest(table: dict[K, V], key: K, value: V, size_max: int) -> None:
    """Keep an entry as the newest; the oldest makes room."""
    table.pop(key, None)
    if len(table) >= size_max:
        del table[next(iter(table))]
    table[key] = value
