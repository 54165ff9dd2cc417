"""Every message of a devnet's job, as nodes read it from the wire, is of the normative schema."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from cddl_verifier import Validator

from devnet.sim.statements import list_statements
from devnet.vectors.cddl import TARGET
from devnet.vectors.kinds import list_kinds
from identity import envelope
from node.framing import FrameSplitter
from node.router import AnyHop, decode_frame
from protocols.messages import FRAME_BYTES_MAX, Hop, Propose, Submit
from tests.system.network import ROOT, make_environment

TAP = Path(__file__).resolve().parent / "tap"
RUN_S_MAX = 200.0
RULES = {str(kind.__struct_config__.tag): kind.__name__ for kind in get_args(AnyHop)}
PAYLOADS = {kind.tag: kind.struct.__name__ for kind in list_kinds()}
USUAL = {"submit", "propose", "votes", "status", "want_receipt", "give_receipt"}


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The distinct frames that four nodes read while they did a job."""
    folder = tmp_path_factory.mktemp("tapped")
    job, taps = folder / "job", folder / "taps"
    job.mkdir()
    taps.mkdir()
    for number in range(3):
        (job / f"text-{number}.txt").write_text("alpha beta\n" * (number + 1))
    environment = make_environment() | {"PYTHONPATH": f"{TAP}:{ROOT}", "TAP_DIR": str(taps)}
    command = [sys.executable, "-m", "node.cli", "devnet", "--exit", "--json", "--job", str(job)]
    made = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, timeout=RUN_S_MAX, check=False
    )
    assert made.returncode == 0, made.stderr[-2_000:]
    found = {frame for path in taps.glob("*.frames") for frame in read_frames(path)}
    return sorted(found)


def read_frames(path: Path) -> Iterator[bytes]:
    splitter = FrameSplitter()
    yield from splitter.feed(path.read_bytes())


def list_signed(message: AnyHop) -> tuple[bytes, ...]:
    """The statements in a hop message, operations too."""
    if not isinstance(message, Hop):
        return ()
    operations = message.operations if isinstance(message, Submit | Propose) else ()
    return (*list_statements(message), *operations)


@pytest.mark.full
@pytest.mark.timeout(600)
def test_every_message_of_a_devnets_job_is_of_the_schema(frames: list[bytes]) -> None:
    schema = Validator(TARGET)
    seen: Counter[str] = Counter()
    statements: set[bytes] = set()
    for frame in frames:
        message = decode_frame(frame)
        tag = str(type(message).__struct_config__.tag)
        result = schema.validate(frame, RULES[tag])
        assert result, (tag, result.errors)
        seen[tag] += 1
        statements.update(list_signed(message))
    for data in statements:
        statement = envelope.parse(data, size_max=FRAME_BYTES_MAX)
        for content, rule in ((data, "statement"), (statement.payload, PAYLOADS[statement.kind])):
            result = schema.validate(content, rule, require_deterministic=True)
            assert result, (statement.kind, result.errors)
        seen[statement.kind] += 1
    assert seen.keys() >= USUAL, seen
    assert {"operation", "pre_prepare", "prepare", "commit", "head"} <= seen.keys(), seen


def test_the_tap_changes_nothing_where_it_is_not_asked_for() -> None:
    code = "from node import router; print(router.decode_frame.__module__)"
    environment = make_environment() | {"PYTHONPATH": f"{TAP}:{ROOT}"}
    assert "TAP_DIR" not in os.environ
    made = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert made.stdout.strip() == "node.router"
