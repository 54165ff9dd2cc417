"""The base of all operation bodies (`operations.py` lists them)."""

import msgspec


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """Base of all operation bodies."""
