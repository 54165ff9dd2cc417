"""econode config check, show: what this node is set to, and who said so."""

import json as json_module
import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands.common import (
    HomeOption,
    JsonOption,
    get_columns,
    hint,
    make_app,
    open_home,
    render_table,
    show,
)

if TYPE_CHECKING:
    from node.config_file import Setting

app = make_app("Check and show the configuration.")
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="As with `start`; may be repeated."),
]
_VALUE_CHARS_MAX = 60
_REASON_COLUMNS_MAX = 96


@app.command("check")
def check(settings: SetOption = None, home: HomeOption = None, json: JsonOption = False) -> None:
    """Read config.toml, the environment and flags as `start` would.

    Ends with 1 and names file and line, variable or flag of what is wrong; of an unknown key the
    nearest known one.

    \b
    Example:
      econode config check
    """
    place = open_home(home)
    found = _load(place, settings)
    changed = [item for item in found if item.value != item.default]
    document = {
        "valid": True,
        "file": str(place.config_path),
        "keys": len(found),
        "changed": [item.name for item in changed],
    }
    lines = [f"{place.config_path} is valid: {len(changed)} of {len(found)} keys are no defaults"]
    show(document, json, lambda: lines)


@app.command("show")
def show_config(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="A section, or SECTION.KEY: with its reason."),
    ] = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only what is not the default.")
    ] = False,
    settings: SetOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show every value in force and where it comes from.

    A flag wins over the environment (ECONODE_SECTION_KEY), which wins over config.toml, which
    wins over the default.

    \b
    Example:
      econode config show --changed
      econode config show ledger agent.workers
    """
    found = _load(open_home(home), settings)
    chosen = [item for item in found if not names or _is_named(item.name, names)]
    if names and not chosen:
        raise _unknown(names, found)
    chosen = [item for item in chosen if not changed or item.value != item.default]
    document = {"settings": [_describe(item) for item in chosen]}
    show(document, json, lambda: _render_reasons(chosen) if names else _render(chosen))
    if not names:
        hint("reasons and defaults: econode config show SECTION", json)


def _load(place: Any, settings: list[str] | None) -> "list[Setting]":
    from node.addresses import check_address
    from node.config_file import load_settings

    place.check_initialised()
    found = load_settings(place.config_path, flags=settings or ())
    for item in found:
        if item.name in ("network.listen", "network.announce"):
            for address in item.value:
                check_address(address, f"{item.name}, from {item.origin}")
    return found


def _is_named(name: str, wanted: list[str]) -> bool:
    return any(name == item or name.startswith((f"{item}.", f"{item}[")) for item in wanted)


def _unknown(names: list[str], found: "list[Setting]") -> Exception:
    import difflib

    from node.problem import Problem

    known = [item.name for item in found] + [item.name.partition(".")[0] for item in found]
    near = difflib.get_close_matches(names[0], known, n=1)
    return Problem(
        "unknown-key",
        f"there is no key or section {names[0]!r}",
        remedy=f"did you mean {near[0]!r}?" if near else "`econode config show` lists all",
    )


def _describe(item: "Setting") -> dict[str, Any]:
    return {
        "name": item.name,
        "value": item.value,
        "origin": item.origin,
        "default": item.default,
        "reason": item.reason,
    }


def _render(chosen: "list[Setting]") -> list[str]:
    rows = [(item.name, _to_text(item.value), item.origin) for item in chosen]
    return render_table(("key", "value", "from"), rows)


def _render_reasons(chosen: "list[Setting]") -> list[str]:
    lines: list[str] = []
    width = min(get_columns(), _REASON_COLUMNS_MAX) - 4
    for item in chosen:
        lines.append(f"{item.name} = {_to_text(item.value)}  ({item.origin})")
        if item.default is not None:
            lines.append(f"    default: {_to_text(item.default)}")
        lines += [f"    {line}" for line in textwrap.wrap(item.reason, width)]
    return lines


def _to_text(value: Any) -> str:
    text = json_module.dumps(value, ensure_ascii=False)
    return text if len(text) <= _VALUE_CHARS_MAX else f"{text[:_VALUE_CHARS_MAX]}…"
