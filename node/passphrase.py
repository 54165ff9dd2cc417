"""Where the pass phrase of a sealed key comes from: the environment, or a person at a terminal."""

import getpass
import os
import sys

from node.problem import Problem

PASSPHRASE_VARIABLE = "ECONODE_PASSPHRASE"


def ask_passphrase() -> str | None:
    """The pass phrase to open the key with; None without variable and terminal."""
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given or not sys.stdin.isatty():
        return given or None
    return getpass.getpass("Pass phrase of node.key: ")


def choose_passphrase() -> str:
    """The pass phrase to seal a new key with, typed twice. Raises Problem without one."""
    passphrase = os.environ.get(PASSPHRASE_VARIABLE)
    if not passphrase and sys.stdin.isatty():
        passphrase = getpass.getpass("Pass phrase to seal node.key with: ")
        if passphrase != getpass.getpass("The same again: "):
            raise Problem("passphrase", "the two pass phrases differ", remedy="run it again")
    if not passphrase:
        raise Problem(
            "passphrase",
            "no pass phrase to seal the key with",
            remedy=f"set {PASSPHRASE_VARIABLE}, or run it in a terminal",
        )
    return passphrase
