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


def install_packages(npm: str, folder: Path, s_max: float) -> None:
    """Install the locked packages of `folder`, or skip: there may be no registry in reach."""
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1"]
    try:
        made = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=s_max, check=False
        )
    except subprocess.TimeoutExpired:
        fail_or_skip(f"npm did not install the locked packages within {s_max:.0f} s")
    if made.returncode:
        fail_or_skip(f"npm could not install the locked packages: {made.stderr[-300:]}")


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
    install_packages(str(npm), folder, INSTALL_S)
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
