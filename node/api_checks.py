"""Checks of what the queries of the local API say."""

from node.problem import Problem
from node.service import PREFIX_MIN


def invalid(field: str, wanted: str) -> Problem:
    return Problem("invalid-request", f"{field} must be {wanted}", where=field)


def check_range(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise invalid(field, f"from {least} to {most}")


def is_hex(text: str) -> bool:
    """At most 64 hex digits in lower case."""
    return len(text) <= 64 and not set(text) - set("0123456789abcdef")


def check_prefix(prefix: str) -> str:
    """The first digits of an id, in lower case. Raises Problem."""
    prefix = prefix.lower()
    if len(prefix) < PREFIX_MIN or not is_hex(prefix):
        raise invalid("the id", f"its {PREFIX_MIN} to 64 first hex digits")
    return prefix
