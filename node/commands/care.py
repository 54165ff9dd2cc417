"""econode doctor, debug dump: what is wrong with this node, and what others need to help."""

from pathlib import Path
from typing import Annotated

import typer

from node.commands.common import (
    HomeOption,
    JsonOption,
    hint,
    make_app,
    open_home,
    render_pairs,
    show,
)

debug_app = make_app("Help others to help.")


def doctor(home: HomeOption = None, json: JsonOption = False) -> None:
    """Find what is wrong, and say what to do.

    Permissions, configuration, genesis, versions, disk, databases, ports, the address that
    others dial, clock, peers. Changes nothing. Ends with 1 if something fails; warnings are no
    failure. The node may be running, which allows more checks.

    \b
    Example:
      econode doctor
    """
    from node.doctor import examine
    from node.doctor_network import CHECKS

    place = open_home(home)
    found = examine(place, CHECKS)
    failed = sum(finding.level == "fail" for finding in found)
    lines: list[str] = []
    for finding in found:
        lines.append(f"{finding.level:<4}  {finding.check:<11}  {finding.message}")
        if finding.remedy:
            lines.append(f"      {'remedy:':<11}  {finding.remedy}")
    warned = sum(finding.level == "warn" for finding in found)
    lines.append(f"{len(found)} findings: {failed} failed, {warned} to look at")
    show({"healthy": not failed, "findings": found}, json, lambda: lines)
    if failed:
        raise typer.Exit(1)


@debug_app.command("dump")
def dump(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A new file: .tar.gz.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Write a support bundle, with no secret in it.

    Versions, configuration, doctor's findings, status, peers, the newest log lines, counts of
    rows. Key, token, pass phrase, arguments of commands and passwords of URLs are removed. The
    node may be running.

    \b
    Example:
      econode debug dump support.tar.gz
    """
    from node.support_bundle import write_bundle

    size = write_bundle(open_home(home), target)
    show({"file": str(target), "bytes": size}, json, lambda: render_pairs([("file", target)]))
    hint("look at it before you send it: it names peers and addresses", json)


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)
