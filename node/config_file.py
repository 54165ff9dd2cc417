"""config.toml: written from and checked against the definitions in `node/config.py`."""

import difflib
import json
import os
import re
import textwrap
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from node.config import Capability, Config, Section, Sell, Want
from node.config_checks import Place, check_config
from node.problem import Problem

CONFIG_BYTES_MAX = 256 * 1024
ENVIRONMENT_PREFIX = "ECONODE_"
_COMMENT_COLUMNS = 96
_INVALID = "invalid-config"
_TABLES: dict[str, type[Section]] = {"capability": Capability, "want": Want, "sell": Sell}
"""Sections that stand any number of times: [[name]]."""
_FILE = "file"

Trail = tuple[str | int, ...]


def render_config(overrides: Mapping[tuple[str, str], Any] | None = None) -> str:
    """The text of a new config.toml: every key with its default and its reason.

    `overrides` holds other values than the default by (section, key).
    """
    overrides = overrides or {}
    lines = [
        "# Econode. Each key stands here with its default and the reason for it.",
        "# A flag (--set SECTION.KEY=VALUE) wins over the environment (ECONODE_SECTION_KEY),",
        "# which wins over this file.",
    ]
    for name, section in _get_sections().items():
        lines += ["", f"# {section.__doc__}", f"[{name}]"]
        tables = []
        for field in _get_fields(section).values():
            value = overrides.get((name, field.name), field.default)
            comment = textwrap.wrap(field.reason, _COMMENT_COLUMNS)
            if isinstance(value, dict):
                pairs = [f"{_to_toml(key)} = {_to_toml(item)}" for key, item in value.items()]
                tables += ["", *(f"# {line}" for line in comment), f"[{name}.{field.name}]", *pairs]
            else:
                lines += [*(f"# {line}" for line in comment), f"{field.name} = {_to_toml(value)}"]
        lines += tables
    for name, table in _TABLES.items():
        lines += ["", f"# {table.__doc__}", f"# [[{name}]]"]
        for field in _get_fields(table).values():
            value = "..." if field.default in (msgspec.NODEFAULT, None) else _to_toml(field.default)
            lines += [f"#   {line}" for line in textwrap.wrap(field.reason, _COMMENT_COLUMNS - 2)]
            lines += [f"# {field.name} = {value}"]
    return "\n".join(lines) + "\n"


class Setting(msgspec.Struct, frozen=True):
    """A key's value in force, and who set it: `default`, `file` with the line, `environment` with
    the variable, or `flag`."""

    name: str
    value: Any
    origin: str
    default: Any
    reason: str


def load_config(
    path: Path, environment: Mapping[str, str] | None = None, flags: Iterable[str] = ()
) -> Config:
    """The configuration of a file, the environment and `SECTION.KEY=VALUE` flags.

    Raises Problem naming the file, the key and the line, the variable or the flag at fault.
    """
    return _load(path, environment, flags)[0]


def load_settings(
    path: Path, environment: Mapping[str, str] | None = None, flags: Iterable[str] = ()
) -> list[Setting]:
    """Every key with its value in force and its origin; capabilities last, under one name. Raises
    Problem as `load_config`."""
    config, origins = _load(path, environment, flags)
    settings, lines = [], _find_lines(_read(path))
    for name, section in _get_sections().items():
        values = getattr(config, name)
        for field in _get_fields(section).values():
            value = msgspec.to_builtins(getattr(values, field.name))
            origin = origins.get((name, field.name), "default")
            if origin == _FILE:
                origin += f", line {lines[name, field.name]}"
            default = msgspec.to_builtins(field.default)
            settings.append(Setting(f"{name}.{field.name}", value, origin, default, field.reason))
    for number, item in enumerate(config.capability, 1):
        value = msgspec.to_builtins(item)
        settings.append(Setting(f"capability[{number}]", value, _FILE, None, ""))
    return settings


def _load(
    path: Path, environment: Mapping[str, str] | None, flags: Iterable[str]
) -> tuple[Config, dict[tuple[str, str], str]]:
    text = _read(path)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Problem(
            _INVALID,
            f"{path.name} is not valid TOML: {error}",
            where=f"{path}{_find_line_of_error(str(error))}",
            remedy="correct that line; texts stand in quotation marks",
        ) from None

    def place(trail: Trail) -> str:
        return _place(path, text, trail)

    _check_keys(values, Config, (), place)
    config = _convert(values, place)
    origins: dict[Any, str] = {
        (section, key): _FILE
        for section, keys in values.items()
        if isinstance(keys, dict)
        for key in keys
    }
    layers = [*_read_environment(os.environ if environment is None else environment)]
    layers += [_read_flag(flag) for flag in flags]
    for section, key, raw, where in layers:
        values.setdefault(section, {})[key] = _parse_value(section, key, raw, where)
        origins[section, key] = where
        config = _convert(values, lambda _: where)  # noqa: B023 - called before `where` changes

    def find_origin(trail: Trail) -> str:
        origin = origins.get(trail[:2], _FILE)
        return place(trail) if origin == _FILE else origin

    check_config(config, find_origin)  # once all is known: keys are checked against each other
    return config, origins


class _Field(msgspec.Struct, frozen=True):
    name: str
    default: Any
    reason: str


def _get_sections() -> dict[str, type[Section]]:
    hints = typing.get_type_hints(Config)
    return {
        name: kind
        for name, kind in hints.items()
        if isinstance(kind, type) and issubclass(kind, Section)
    }


def _get_fields(section: type[Section]) -> dict[str, _Field]:
    hints = typing.get_type_hints(section, include_extras=True)
    fields = {}
    for field in msgspec.structs.fields(section):
        default = field.default
        if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        reason = next(
            item.description
            for item in reversed(hints[field.name].__metadata__)
            if isinstance(item, msgspec.Meta) and item.description
        )
        fields[field.name] = _Field(field.name, default, reason)
    return fields


def _to_toml(value: Any) -> str:
    """Texts, numbers, booleans and lists; JSON's spelling of them is TOML's, too."""
    return json.dumps(value, ensure_ascii=False)


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
        text = data.decode()
    except FileNotFoundError:
        raise Problem(
            "no-home",
            f"there is no {path.name} in {path.parent}",
            where=str(path),
            remedy=f"make this home first: econode init --home {path.parent}",
        ) from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Problem(
            _INVALID, "not UTF-8 text", where=f"{path}, line {line}", remedy="save it as UTF-8"
        ) from None
    except OSError as error:
        raise Problem("unreadable", f"cannot read: {error.strerror}", where=str(path)) from None
    if len(data) > CONFIG_BYTES_MAX:
        raise Problem(
            _INVALID, f"{len(data)} bytes, at most {CONFIG_BYTES_MAX} are read", where=str(path)
        )
    return text


def _check_keys(values: dict[str, Any], kind: Any, trail: Trail, place: Place) -> None:
    """Refuse unknown keys, naming the nearest known one; go down into sections."""
    hints = typing.get_type_hints(kind)
    for key, value in values.items():
        here = (*trail, key)
        if key not in hints:
            raise Problem(
                _INVALID,
                f"unknown key {_format_trail(here)!r}",
                where=place(here),
                remedy=f"{_suggest(key, hints)}known here: {', '.join(hints)}",
            )
        hint = hints[key]
        if isinstance(hint, type) and issubclass(hint, Section) and isinstance(value, dict):
            _check_keys(value, hint, here, place)
        elif not trail and key in _TABLES and isinstance(value, list):
            for number, item in enumerate(value):
                if isinstance(item, dict):
                    _check_keys(item, _TABLES[key], (*here, number), place)


def _suggest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}? " if near else ""


def _convert(values: dict[str, Any], place: Place) -> Config:
    try:
        return msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        trail = _parse_path(path.removesuffix("`"))
        raise Problem(
            _INVALID,
            f"{_format_trail(trail)}: {message}",
            where=place(trail),
            remedy=_explain(trail),
        ) from None


def _explain(trail: Trail) -> str:
    """What the table says of the key at `trail`."""
    names = [part for part in trail if isinstance(part, str)]
    if len(names) < 2:
        return ""
    kinds: dict[str, type[Section]] = {**_get_sections(), **_TABLES}
    field = _get_fields(kinds[names[0]]).get(names[1]) if names[0] in kinds else None
    if field is None:
        return ""
    if field.default in (msgspec.NODEFAULT, None):
        return field.reason
    return f"{field.reason} Default: {_to_toml(field.default)}"


def _parse_path(path: str) -> Trail:
    """msgspec's `$.capability[0].name`, as far as it names keys (`[...]` is any key or value)."""
    trail: list[str | int] = []
    for name, number in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        trail.append(name if name else int(number))
    return tuple(trail)


def _format_trail(trail: Trail) -> str:
    text = ""
    for part in trail:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the file"


def _place(path: Path, text: str, trail: Trail) -> str:
    line = find_line(text, trail)
    return f"{path}, line {line}" if line else str(path)


def find_line(text: str, trail: Trail) -> int | None:
    """The line on which the key at `trail` begins.

    It is the first line after the longest beginning of the text that is valid TOML and does not
    hold the key yet; so every spelling of TOML is understood. Only used to report an error.
    """
    lines = text.splitlines(keepends=True)
    trail = trail[: _count_known(tomllib.loads(text), trail)]
    if not trail:
        return None
    before = 0
    for count in range(1, len(lines) + 1):
        try:
            values = tomllib.loads("".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            continue  # in the middle of a value that spans lines
        if _count_known(values, trail) == len(trail):
            return before + 1
        before = count
    return None


def _find_lines(text: str) -> dict[tuple[str, str], int]:
    """The line of each section's key, as `find_line` finds one."""
    lines = text.splitlines(keepends=True)
    found: dict[tuple[str, str], int] = {}
    before = 0
    for count in range(1, len(lines) + 1):
        try:
            values = tomllib.loads("".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            continue  # in the middle of a value that spans lines
        for section, keys in values.items():
            for key in keys if isinstance(keys, dict) else ():
                found.setdefault((section, key), before + 1)
        before = count
    return found


def _count_known(values: Any, trail: Trail) -> int:
    for count, part in enumerate(trail):
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return count
    return len(trail)


def _find_line_of_error(message: str) -> str:
    found = re.search(r"at line (\d+)", message)
    return f", line {found[1]}" if found else ", at its end"


def _read_environment(environment: Mapping[str, str]) -> Iterable[tuple[str, str, str, str]]:
    sections = _get_sections()
    for name in sorted(environment):
        section, _, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition("_")
        if name.startswith(ENVIRONMENT_PREFIX) and key:
            where = f"environment variable {name}"
            if section not in sections:
                _check_not_meant(section, where)
                continue  # ECONODE_HOME, ECONODE_PASSPHRASE and what other programs read
            _check_known(section, key, where)
            yield section, key, environment[name], where


def _check_not_meant(name: str, where: str) -> None:
    """Refuse what is a section's name but for a slip."""
    near = difflib.get_close_matches(name, list(_get_sections()), n=1, cutoff=0.8)
    if near:
        raise Problem(
            _INVALID,
            f"unknown section {name!r}",
            where=where,
            remedy=f"did you mean {ENVIRONMENT_PREFIX}{near[0].upper()}_...?",
        )


def _read_flag(flag: str) -> tuple[str, str, str, str]:
    where = f"flag --set {flag}"
    name, equals, raw = flag.partition("=")
    section, _, key = name.strip().partition(".")
    if not equals:
        raise Problem(_INVALID, "no '=' in it", where=where, remedy="--set SECTION.KEY=VALUE")
    _check_known(section, key, where)
    return section, key, raw, where


def _check_known(section: str, key: str, where: str) -> None:
    sections = _get_sections()
    if section not in sections:
        raise Problem(
            _INVALID,
            f"unknown section {section!r}",
            where=where,
            remedy=f"{_suggest(section, sections)}sections: {', '.join(sections)}",
        )
    _check_keys({section: {key: None}}, Config, (), lambda trail: where)


def _parse_value(section: str, key: str, raw: str, where: str) -> Any:
    """Texts as they are, lists also separated by commas, anything else as TOML spells it."""
    hint = typing.get_type_hints(_get_sections()[section])[key]
    if hint is str or (typing.get_origin(hint) is typing.Literal):
        return raw
    if typing.get_origin(hint) is tuple and not raw.lstrip().startswith("["):
        return [item.strip() for item in raw.split(",") if item.strip()]
    try:
        return tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        kind = hint.__name__ if isinstance(hint, type | types.GenericAlias) else str(hint)
        raise Problem(
            _INVALID,
            f"{section}.{key}: {raw!r} is not a value of kind {kind}",
            where=where,
            remedy=_explain((section, key)),
        ) from None
