"""Checks of what the queries of the local API say."""

from node.problem import Problem


def invalid(field: str, wanted: str) -> Problem:
    return Problem("invalid-request", f"{field} must be {wanted}", where=field)


def check_range(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise invalid(field, f"from {least} to {most}")


def is_hex(text: str) -> bool:
    """At most 64 hex digits in lower case."""
    return len(text) <= 64 and not set(text) - set("0123456789abcdef")
