"""The verifier in JavaScript, where Node and its package registry are at hand."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent / "js"
CDDL = Path(__file__).resolve().parents[2] / "docs" / "protocol.cddl"
INSTALL_S, RUN_S = 100, 500
Verify = Callable[..., dict]


def fail_or_skip(reason: str) -> None:
    """A skip says why; REQUIRE_ALL=1 makes it a failure."""
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the verifier with its locked packages installed."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        fail_or_skip("Node.js is not installed: the verifier in JavaScript was not run")
    folder = tmp_path_factory.mktemp("js")
    for path in HERE.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    command = [str(npm), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    made = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=False
    )
    if made.returncode:
        fail_or_skip(f"npm could not install the locked packages: {made.stderr[-300:]}")
    return folder


@pytest.fixture(scope="session")
def verify_in_js(node_folder: Path) -> Verify:
    def run(vectors: Path, *options: str) -> dict:
        command = ["node", "verify.mjs", str(vectors), str(CDDL), *options]
        made = subprocess.run(
            command, cwd=node_folder, capture_output=True, text=True, timeout=RUN_S, check=False
        )
        assert made.stdout, made.stderr
        return json.loads(made.stdout)

    return run
