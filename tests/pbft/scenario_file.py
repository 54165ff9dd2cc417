"""The files of consensus scenarios, and what is asked of them.

A file is one legal transition. It opens with its row of the table in
docs/consensus-transitions.md (`title:`, `state:`, `input:`, `guard:`, `output:`,
`source:`), then come sections of blocks; a block is commands, `----`, and their trace:

    == given                  before each of the others
    == legal                  the transition
    == also NAME              another legal case
    == illegal input: NAME    the same with another input; after it, `legal` still gives its trace
    == illegal answer: NAME   another answer, after which its sender is not asked again
    == illegal state: NAME    the same input in another state (a `world` begins it anew)

The last block of an illegal section must change nothing: no row, vote, message, execution or
certificate follows that was not there before, and the member stands where it stood. Whether it is
silence, a fault of the peer or evidence against a signer stands in its trace. One exception: a
twin `of a later epoch` may make the member ask for what it lacks.
"""

from dataclasses import dataclass
from pathlib import Path

from tests.pbft.scenario_trace import is_change
from tests.pbft.scenario_world import Commands

FIELDS = ("title", "state", "input", "guard", "output", "source")
ILLEGAL_INPUT = "illegal input: "
ILLEGAL = (ILLEGAL_INPUT, "illegal answer: ", "illegal state: ")
LATER_EPOCH = ": of a later epoch"
"""Twins of this name may make a member ask for what it lacks: it believes nothing, but looks."""


@dataclass(slots=True)
class Block:
    commands: list[str]
    trace: list[str]


@dataclass(slots=True)
class Section:
    name: str
    blocks: list[Block]

    @property
    def twin(self) -> str | None:
        """What is illegal in it."""
        for prefix in ILLEGAL:
            if self.name.startswith(prefix):
                return self.name.removeprefix(prefix)
        return None

    @property
    def outcome(self) -> str:
        """Whether its last block ends in silence, a fault, or evidence."""
        trace = self.blocks[-1].trace
        found = [word for word in ("evidence", "fault") if any(t.startswith(word) for t in trace)]
        if self.name.endswith(LATER_EPOCH):
            found.append("a question to the peer")
        return " and ".join(found) or "silence"


@dataclass(slots=True)
class Scenario:
    name: str
    fields: dict[str, str]
    sections: list[Section]

    def get(self, name: str) -> Section:
        return next(section for section in self.sections if section.name == name)


def parse(path: Path) -> Scenario:
    """Raises ValueError for a file that is not of the form above."""
    head, *parts = path.read_text().split("\n== ")
    fields = {}
    for line in head.strip().splitlines():
        key, colon, value = line.partition(": ")
        if key in FIELDS and colon:
            fields[key] = value.strip()
        elif fields:
            fields[list(fields)[-1]] += " " + line.strip()
    if tuple(fields) != FIELDS:
        raise ValueError(f"{path.name} opens with {', '.join(FIELDS)}")
    sections = []
    for part in parts:
        name, _, body = part.partition("\n")
        sections.append(
            Section(name.strip(), [_parse_block(b) for b in body.strip().split("\n\n")])
        )
    return Scenario(path.stem, fields, sections)


def _parse_block(text: str) -> Block:
    lines = text.splitlines()
    end = lines.index("----") if "----" in lines else len(lines)
    return Block(lines[:end], lines[end + 1 :])


def render(scenario: Scenario) -> str:
    parts = ["\n".join(f"{key}: {value}" for key, value in scenario.fields.items())]
    for section in scenario.sections:
        parts.append(f"== {section.name}")
        parts += ["\n".join([*b.commands, "----", *b.trace]) for b in section.blocks]
    return "\n\n".join(parts) + "\n"


def play(scenario: Scenario) -> Scenario:
    """The scenario with the traces that its commands give now. Raises AssertionError when an
    illegal section changes something."""
    given = [s for s in scenario.sections if s.name == "given"]
    played = []
    for section in scenario.sections:
        before = [] if section in given else [block for s in given for block in s.blocks]
        commands = Commands()
        before = [_play_block(commands, block) for block in before]
        blocks = [_play_block(commands, block) for block in section.blocks[:-1]]
        places = commands.places() if section.twin else []
        blocks.append(_play_block(commands, section.blocks[-1]))
        played.append(Section(section.name, blocks))
        if section.twin:
            where = f"{scenario.name}, {section.name}"
            said = {line for block in (*before, *blocks[:-1]) for line in block.trace}
            if section.name.endswith(LATER_EPOCH):
                said |= {line for line in blocks[-1].trace if " fetch_batches " in line}
            changes = [t for t in blocks[-1].trace if is_change(t) and t not in said]
            assert not changes, f"{where}: {changes}"
            assert commands.places() == places, where
        if section.name.startswith(ILLEGAL_INPUT):
            legal = next(s for s in played if s.name == "legal")
            for block in legal.blocks:
                now = _play_block(commands, block).trace
                assert now == block.trace, f"{where}: afterwards the legal input gives {now}"
    return Scenario(scenario.name, scenario.fields, played)


def _play_block(commands: Commands, block: Block) -> Block:
    trace: list[str] = []
    for line in block.commands:
        if not line.startswith("#"):
            trace += commands.run(line)
    return Block(block.commands, trace or ["nothing"])
