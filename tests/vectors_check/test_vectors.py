"""The committed vectors: current, judged as they say, covering what they must."""

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from jsonschema import Draft202012Validator

from crdt.facts import AnyFact
from crdt.facts_auctions import AuctionKind
from devnet.vectors.coverage import count_cells, render_cells
from devnet.vectors.flags import FLAGS
from devnet.vectors.form import CELL_TESTS_MAX, InvalidVectors, decode_file
from devnet.vectors.generate import MANIFEST, README, SCHEMA, find_folder, write
from devnet.vectors.kinds import list_kinds
from devnet.vectors.verify import find_vector, read_folder, read_traces, replay, verify
from node.cli import run
from node.router import AnyHop

FOLDER = Path(__file__).resolve().parent.parent / "vectors"
NEEDED = {
    *("WrongDomain", "WrongNetwork", "WrongCommittee", "WrongEpoch", "WrongType", "SwappedSigner"),
    *("SmallOrderR", "Truncated", "TrailingBytes", "DuplicateKey", "NonShortestInt"),
    *("IndefiniteLength", "Replay", "UnknownField", "MissingField", "WrongFieldType"),
}
"""Flags without which no type of statement is covered."""


@pytest.fixture(scope="module")
def files():
    return list(read_folder(FOLDER))


def test_another_process_with_other_hashes_produces_the_same_bytes():
    assert find_folder() == FOLDER
    code = "from devnet.vectors.generate import *; print(find_differences(find_folder()))"
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    made = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert made.stdout.strip() == "[]"


def test_the_program_judges_each_as_it_says():
    report = verify(FOLDER)
    assert report.failures == ()
    assert report.total >= 1_000
    assert report.negative >= 0.6 * report.total
    assert report.traces == len(list(read_traces(FOLDER))) > 0


def test_every_statement_has_every_flag_that_makes_sense(files):
    by_kind = {file.kind: file for file in files}
    for kind in list_kinds():
        flags = {flag for test in by_kind[kind.name].tests for flag in test.flags}
        assert flags >= NEEDED, kind.name
        assert "NotAMember" in flags or "SmallOrderKey" in flags


def test_every_message_and_fact_has_a_file(files):
    names = {file.kind for file in files}
    for prefix, union in (("hop", AnyHop), ("fact", AnyFact)):
        for kind in get_args(union):
            tag = str(kind.__struct_config__.tag).replace("_", "-")
            assert f"{prefix}-{tag}" in names


def test_cells_ids_and_flags(files):
    ids = [test.id for file in files for test in file.tests]
    assert len(set(ids)) == len(ids)
    for file in files:
        cells = Counter(flag for test in file.tests for flag in test.flags)
        assert max(cells.values()) <= CELL_TESTS_MAX
        assert file.flags == {flag: FLAGS[flag] for flag in FLAGS if flag in cells}
        assert len({test.data for test in file.tests}) == len(file.tests)
        for test in file.tests:
            assert (test.layer is not None) == (test.verdict == "invalid")
            assert test.id.startswith(f"{file.kind}/")
    used = {flag for file in files for flag in file.flags}
    assert used == set(FLAGS)


def test_intermediates_lead_to_the_envelope(files):
    """What an implementer compares step by step really is in the bytes."""
    for file in files:
        for test in file.tests:
            if test.signing is None or test.verdict != "valid":
                continue
            assert test.signing.protected in test.signing.to_be_signed
            assert test.signing.external_aad in test.signing.to_be_signed
            assert test.input is not None
            assert test.input.hex in test.signing.to_be_signed
            assert test.data.endswith(test.signing.signature)


def test_the_manifest_names_every_file():
    manifest = json.loads((FOLDER / MANIFEST).read_text())
    there = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()}
    assert set(manifest["sha256"]) == there - {MANIFEST}
    assert README in there
    for name, digest in manifest["sha256"].items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest


@pytest.fixture(scope="module")
def json_schema():
    document = json.loads((FOLDER / SCHEMA).read_text())
    Draft202012Validator.check_schema(document)
    return Draft202012Validator(document)


def test_every_file_is_of_the_json_schema(json_schema):
    """The largest ones are checked by one vector of each flag: the others have the same form."""
    checked = 0
    for path in sorted(FOLDER.glob("*.json")):
        if path.name in (MANIFEST, SCHEMA):
            continue
        document = json.loads(path.read_text())
        if "tests" in document:
            document["tests"] = list(
                {test["flags"][0]: test for test in document["tests"]}.values()
            )
        assert json_schema.is_valid(document), path.name
        checked += 1
    assert checked == len(list(FOLDER.glob("*.json"))) - 2


def test_the_json_schema_refuses_what_the_program_refuses(json_schema):
    good = json.loads((FOLDER / "commit.json").read_text())
    good["tests"] = good["tests"][:1]
    assert json_schema.is_valid(good)
    (test,) = good["tests"]
    wrong = (
        good | {"version": 2},
        good | {"format": "econode/other"},
        good | {"zz_extra": 0},
        {name: value for name, value in good.items() if name != "setting"},
        *(
            good | {"tests": [test | change]}
            for change in (
                {"verdict": "perhaps"},
                {"layer": "network"},
                {"data": "0g"},
                {"flags": []},
                {"id": ""},
                {"zz_extra": 0},
            )
        ),
    )
    for document in wrong:
        assert not json_schema.is_valid(document)
        with pytest.raises(InvalidVectors):
            decode_file(json.dumps(document).encode(), "wrong")


def write_own(folder: Path, file, **changes) -> None:
    tests = [msgspec.structs.replace(file.tests[0], **changes)]
    document = msgspec.to_builtins(msgspec.structs.replace(file, tests=tests))
    (folder / "own.json").write_text(json.dumps(document))


def test_an_implementers_own_vectors(tmp_path, files, capfd):
    file = next(file for file in files if file.kind == "commit")
    write_own(tmp_path, file)
    assert run(["vectors", "verify", str(tmp_path), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["total"] == 1
    write_own(tmp_path, file, verdict="invalid")
    assert run(["vectors", "verify", str(tmp_path), "--json"]) == 1
    report = json.loads(capfd.readouterr().out)
    assert (report["negative"], report["failed"]) == (1, 1)
    assert report["failures"][0]["got"] == "valid"
    write_own(tmp_path, file, data="00")
    assert run(["vectors", "verify", str(tmp_path)]) == 1
    assert "got invalid (cbor)" in capfd.readouterr().out


def test_a_refused_vector_may_leave_the_layer_out(tmp_path, files):
    file = next(file for file in files if file.kind == "commit")
    write_own(tmp_path, file, verdict="invalid", data="00", layer=None)
    assert verify(tmp_path).failed == 0


def write_file(setting: str, check: str, data: str) -> str:
    test = f'{{"id": "x", "comment": "", "flags": ["Valid"], "verdict": "valid", "data": "{data}"}}'
    return (
        f'{{"format": "econode/vectors", "version": 1, "kind": "x", "check": "{check}", '
        f'"about": "", "setting": {setting}, "flags": {{}}, "tests": [{test}]}}'
    )


NO_FILES = {
    "empty": "",
    "an array": "[]",
    "an empty map": "{}",
    "nested deeply": "[" * 100_000,
    "another version": '{"format": "econode/vectors", "version": 2}',
    "an unknown check": write_file("{}", "no", "00"),
    "half a byte": write_file("{}", "cbor", "0"),
    "members that are none": write_file('{"members": ["00", "00"]}', "statement", "00"),
    "no number": write_file('{"epoch": "x"}', "statement", "00"),
}


@pytest.mark.parametrize("name", NO_FILES)
def test_what_is_no_file_of_vectors_is_refused(tmp_path, name):
    (tmp_path / "own.json").write_text(NO_FILES[name])
    with pytest.raises(InvalidVectors):
        verify(tmp_path)


def test_a_changed_file_is_noticed(tmp_path, files):
    for name in ("commit.json", MANIFEST):
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    assert verify(tmp_path).failed == 0
    (tmp_path / "commit.json").write_bytes((FOLDER / "prepare.json").read_bytes())
    with pytest.raises(InvalidVectors, match=r"commit\.json"):
        verify(tmp_path)


def test_empty_and_absent_folders_are_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InvalidVectors):
            verify(folder)


def test_a_vector_is_explained(capfd):
    assert run(["vectors", "explain", "commit/wrong-epoch-1"]) == 0
    shown = capfd.readouterr().out
    for words in ("a replay by former members", "invalid (cose)", "bytes that were signed"):
        assert words in shown
    assert run(["vectors", "explain", "commit/nothing-1"]) == 1
    with pytest.raises(InvalidVectors):
        find_vector(FOLDER, "commit/nothing-1")


def test_the_table_of_kinds_and_flags(capfd, files):
    assert run(["vectors", "list", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert set(document["kinds"]) == {file.kind for file in files}
    assert run(["vectors", "list"]) == 0
    assert "SmallOrderKey" in capfd.readouterr().out


def test_generating_writes_only_what_differs(tmp_path, capfd):
    for path in FOLDER.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "commit.json").write_bytes(b"{}")
    assert run(["vectors", "generate", str(tmp_path), "--check", "--json"]) == 1
    assert json.loads(capfd.readouterr().out) == {"changed": ["commit.json", MANIFEST]}
    assert run(["vectors", "generate", str(tmp_path), "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == {"changed": ["commit.json"]}
    assert (tmp_path / MANIFEST).read_bytes() == (FOLDER / MANIFEST).read_bytes()


def test_generating_leaves_the_files_of_others_alone(tmp_path):
    """What the manifest does not know was not written by the program."""
    stale, own = tmp_path / "of-a-kind-that-was.json", tmp_path / "own.json"
    for path in (stale, own):
        path.write_bytes((FOLDER / "commit.json").read_bytes())
    (tmp_path / MANIFEST).write_text(json.dumps({"sha256": {stale.name: "00"}}))
    write(tmp_path)
    assert own.exists()
    assert not stale.exists()


def test_the_table_fits_the_terminal(files):
    cells = count_cells(files)
    flags = sorted(FLAGS)
    for columns in (80, 200):
        lines = list(render_cells(cells, flags, columns))
        assert max(map(len, lines)) <= columns
        assert "fact-* (" in "".join(lines)
    assert sum("..... ....." in line for line in render_cells(cells, flags, 200)) > 10


def test_every_file_reads_back_as_it_was_written(files):
    for file in files:
        data = (FOLDER / f"{file.kind}.json").read_bytes()
        assert decode_file(data, file.kind) == file


def test_the_traces_tell_what_they_are_for():
    traces = {trace.name: trace for trace in read_traces(FOLDER)}
    assert max(step.view for step in traces["view-change"].steps) > 0
    assert len([pair for step in traces["equivocation"].steps for pair in step.evidence]) == 3
    assert len([step for step in traces["faults"].steps if step.refused]) == 7
    refused = [step.refused for step in traces["lying-primary"].steps if step.refused]
    assert refused == ["schema"] * 3
    assert traces["lying-primary"].steps[-1].view == 2
    assert traces["checkpoint"].steps[-1].position_after >= 10
    assert any("stable" in step.durable for step in traces["checkpoint"].steps)
    for name in ("commit-reveal", "verification", "lying-executor", "missed-lease", "membership"):
        assert [step.refused for step in traces[name].steps[-2:]] == ["cose", "cbor"]
    told = {
        name: [f for step in trace.steps for f in facts_of(step)] for name, trace in traces.items()
    }
    assert "rejected" in told["wrong-reveal"]
    assert told["settlement"].count("settled") >= 4
    assert "auction_ended" in told["sale"]
    assert "delivery_ended" in told["delivery"]
    graded = {fact for trace in traces.values() for step in trace.steps for fact in facts_of(step)}
    assert graded >= {"awarded", "accepted", "settled", "slashed", "epoch_began", "snapshot"}


NAMED = {
    *("view-change", "checkpoint", "equivocation", "commit-reveal", "verification", "settlement"),
}


def test_each_kind_of_case_has_a_trace_and_steps_that_must_fail():
    traces = {trace.name: trace for trace in read_traces(FOLDER)}
    assert traces.keys() >= NAMED
    failing = {name for name, trace in traces.items() if any(s.refused for s in trace.steps)}
    assert failing >= {"lying-primary", "faults", "commit-reveal", "verification", "settlement"}


def test_every_kind_of_auction_has_certified_results(files, tmp_path, capfd):
    """The valid ones are files that `econode auction verify` takes; the others are not."""
    by_kind = {file.kind: file for file in files}
    for kind in (*get_args(AuctionKind), "task"):
        file = by_kind[f"auction-result-{kind.replace('_', '-')}"]
        assert {"Valid", "WrongInput", "WrongResult", "WrongHash", "TooFewSigners"} <= set(
            file.flags
        )
        said = [test.comment for test in file.tests if test.verdict == "valid"]
        assert kind == "task" or {text.split(":")[0].split(",")[0] for text in said} >= {
            "forward",
            "reverse",
        }
    for test in by_kind["auction-result-vickrey"].tests:
        path = tmp_path / "result.econode"
        path.write_bytes(bytes.fromhex(test.data))
        genesis = ["--home", str(tmp_path / "none")]
        if test.flags[0] in ("Valid", "WrongInput", "WrongResult", "TooFewSigners", "Truncated"):
            code = run(["auction", "verify", str(path), *genesis])
            assert code == (0 if test.verdict == "valid" else 1), test.id
    capfd.readouterr()


def facts_of(step) -> tuple[str, ...]:
    return getattr(step, "facts", ())


def test_a_trace_that_comes_out_otherwise_is_noticed():
    for trace in read_traces(FOLDER):
        steps = list(trace.steps)
        steps[2] = msgspec.structs.replace(steps[2], refused="frame")
        changed = msgspec.structs.replace(trace, steps=tuple(steps))
        assert replay(changed) == "step 2: another refused"
