"""Text scenarios of consensus, and the table of legal transitions that is made from them.

Run with ECONODE_REWRITE_SCENARIOS=1 to write the traces and the table anew; read the difference
before you commit it. `scenario_file.py` has the form of the files, `scenario_world.py` the
commands. The whole folder's tests take less than 30 s.
"""

import os
from pathlib import Path

import pytest

from tests.pbft.scenario_file import ILLEGAL_INPUT, Scenario, parse, play, render

SCENARIOS = Path(__file__).parent / "scenarios"
FILES = sorted(SCENARIOS.glob("*.txt"))
TABLE = Path(__file__).resolve().parents[2] / "docs" / "consensus-transitions.md"
REWRITE = os.environ.get("ECONODE_REWRITE_SCENARIOS") == "1"
BEGIN, END = "<!-- rows: tests/pbft/scenarios -->\n", "<!-- end of rows -->\n"
GROUPS = {
    "normal": "The normal case",
    "clock": "Agreed time",
    "checkpoint": "Heads, checkpoints and the window",
    "leave": "Leaving a view",
    "begin": "Beginning a view",
    "catchup": "Repeating and catching up",
    "memory": "What a member remembers of itself",
    "epoch": "Changes of the members",
    "evidence": "Evidence",
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    now = render(play(parse(path)))
    if REWRITE:
        path.write_text(now)
    assert now == path.read_text()


def make_row(scenario: Scenario) -> str:
    twins = "; ".join(f"{s.twin}: {s.outcome}" for s in scenario.sections if s.twin)
    fields = {key: value.replace("|", "\\|") for key, value in scenario.fields.items()}
    link = f"[{scenario.name}](../tests/pbft/scenarios/{scenario.name}.txt)"
    what = f"**{fields['title']}** {link}"
    cells = [what, *(fields[key] for key in ("state", "input", "guard", "output", "source")), twins]
    return "| " + " | ".join(cells) + " |\n"


def make_tables() -> str:
    scenarios = [parse(path) for path in FILES]
    text = ""
    for prefix, title in GROUPS.items():
        rows = [make_row(s) for s in scenarios if s.name.split("-")[0] == prefix]
        text += f"\n## {title}\n\n"
        text += "| transition | state | input | guard | output | source | illegal twins |\n"
        text += "|---|---|---|---|---|---|---|\n" + "".join(rows)
    return text + "\n"


def test_the_table_has_a_row_for_each_scenario() -> None:
    text = TABLE.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    now = before + BEGIN + make_tables() + END + after
    if REWRITE:
        TABLE.write_text(now)
    assert now == TABLE.read_text()
    assert {path.stem.split("-")[0] for path in FILES} == set(GROUPS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_row_has_its_transition_and_an_illegal_twin(path: Path) -> None:
    scenario = parse(path)
    names = [section.name for section in scenario.sections]
    assert names.count("legal") == 1
    assert len(set(names)) == len(names)
    assert any(section.twin for section in scenario.sections)
    assert names.index("legal") < min(
        (names.index(name) for name in names if name.startswith(ILLEGAL_INPUT)), default=len(names)
    )
    assert all(
        name in ("given", "legal") or ": " in name or name.startswith("also ") for name in names
    )
