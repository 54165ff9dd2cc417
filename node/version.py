"""The version of this program."""

from importlib import metadata

UNKNOWN = "(not installed)"


def get_version() -> str:
    """The installed version, or UNKNOWN when it runs from its folder alone."""
    try:
        return metadata.version("econode")
    except metadata.PackageNotFoundError:
        return UNKNOWN
