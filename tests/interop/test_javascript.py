"""A second implementation, in JavaScript, comes to the same verdicts about signed statements."""

import contextlib
import json
import subprocess
from pathlib import Path

import msgspec
import pytest

from devnet.vectors.check import Refused, run_check
from devnet.vectors.draft import Draft, make_file
from devnet.vectors.form import VectorFile, encode_file
from devnet.vectors.kinds import list_kinds
from devnet.vectors.verify import read_folder
from identity import cbor, keys
from identity.errors import InvalidSignature
from tests.interop.conftest import Verify

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
PUBLISHED = Path(__file__).resolve().parents[1] / "vectors_check" / "data"
CHECKS = ("statement", "operation", "peer_head")
MUTATED_ENVELOPES = 200
BYTES_MAX = 1_200
"""Of an envelope that is mutated: longer ones only hold more of the same."""
DIFFERENCES = (0x01, 0x80, 0xFF)
MUTATION_S = 600
pytestmark = pytest.mark.timeout(300)  # the first test installs packages, too
"""Half a minute on a quiet machine: some 80,000 signatures each are checked."""


def test_it_agrees_on_every_envelope(verify_in_js: Verify, capsys: pytest.CaptureFixture[str]):
    report = verify_in_js(VECTORS)
    files = [file for file in read_folder(VECTORS) if file.check in CHECKS]
    assert report["total"] == sum(len(file.tests) for file in files) >= 1_000
    assert (report["disagreed"], report["otherLayer"]) == (0, 0), report["shown"]
    with capsys.disabled():
        print(f"\n{report['total']} envelopes judged alike, {report['negative']} of them refused")


def test_it_is_no_rubber_stamp(verify_in_js: Verify, tmp_path: Path):
    """With every verdict turned over it disagrees about all."""
    file = next(file for file in read_folder(VECTORS) if file.kind == "commit")
    turned = [
        msgspec.structs.replace(
            test, verdict="valid" if test.verdict == "invalid" else "invalid", layer=None
        )
        for test in file.tests
    ]
    turned_file = msgspec.structs.replace(file, tests=tuple(turned))
    (tmp_path / "commit.json").write_bytes(encode_file(turned_file))
    assert verify_in_js(tmp_path)["disagreed"] == len(turned)


@pytest.fixture(scope="module")
def envelopes() -> list[VectorFile]:
    """MUTATED_ENVELOPES good envelopes of all types."""
    kinds = list(list_kinds())
    share = -(-MUTATED_ENVELOPES // len(kinds))
    files = []
    for kind in kinds:
        drafts, seed = [], 0
        while len(drafts) < share:
            seal = kind.seal(cbor.encode(kind.sample("usual" if seed else "least", seed)))
            seed += 1
            if len(seal.encode()) <= BYTES_MAX:
                drafts.append(Draft("Valid", "to be mutated", seal.encode()))
        setting = kind.make_setting()
        files.append(make_file(kind.name, kind.check, "", setting, drafts, share))
    assert sum(len(file.tests) for file in files) >= MUTATED_ENVELOPES
    return files


def count_refused(files: list[VectorFile], share: int) -> int:
    """How many copies with one byte changed were refused: each byte of every `share`th envelope."""
    total = 0
    for file in files:
        for test in file.tests[::share]:
            data = bytes.fromhex(test.data)
            run_check(file.check, file.setting, data)
            for at, byte in enumerate(data):
                changed = data[:at] + bytes([byte ^ DIFFERENCES[at % 3]]) + data[at + 1 :]
                with pytest.raises(Refused):
                    run_check(file.check, file.setting, changed)
                total += 1
    return total


def test_no_changed_byte_of_an_envelope_of_each_type_is_taken_here(envelopes: list[VectorFile]):
    total = count_refused(envelopes, len(envelopes))
    print(f"{total} changed bytes of {len(envelopes)} envelopes refused")
    assert total > 100 * len(envelopes)


@pytest.mark.full
@pytest.mark.timeout(MUTATION_S)
def test_nor_of_200(envelopes: list[VectorFile], capsys: pytest.CaptureFixture[str]):
    total = count_refused(envelopes, 1)
    count = sum(len(file.tests) for file in envelopes)
    with capsys.disabled():
        print(f"\n{total} changed bytes of {count} envelopes refused here")
    assert total > 100 * MUTATED_ENVELOPES


@pytest.mark.full
@pytest.mark.timeout(MUTATION_S)
def test_nor_in_javascript(
    verify_in_js: Verify,
    envelopes: list[VectorFile],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    for file in envelopes:
        (tmp_path / f"{file.kind}.json").write_bytes(encode_file(file))
    report = verify_in_js(tmp_path, "--mutate")
    with capsys.disabled():
        print(f"\n{report['total']} changed bytes of {report['envelopes']} envelopes refused there")
    assert report["envelopes"] >= MUTATED_ENVELOPES
    assert report["disagreed"] == 0, report["shown"]


def test_it_takes_the_same_published_signatures(node_folder: Path):
    """Node's library alone would take keys and nonces of small order that ours refuses."""
    table = PUBLISHED / "wycheproof_ed25519.json"
    command = ["node", "signatures.mjs", str(table)]
    made = subprocess.run(
        command, cwd=node_folder, capture_output=True, text=True, timeout=60, check=True
    )
    taken = []
    for id_, *_, key, message, signature in json.loads(table.read_text())["tests"]:
        with contextlib.suppress(InvalidSignature):
            keys.verify(*map(bytes.fromhex, (key, message, signature)))
            taken.append(id_)
    assert json.loads(made.stdout) == taken
