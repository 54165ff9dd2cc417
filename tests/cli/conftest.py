"""People at various stages: without a home, with a network, with a running node."""

import subprocess
import sys

import pytest
from people import FAKE_NODE, ROOT, Person, make_environment


@pytest.fixture
def person(tmp_path):
    return Person(tmp_path / "home")


@pytest.fixture
def founder(person):
    person.do("init", "--listen", "/ip4/127.0.0.1/tcp/4710")
    person.do("genesis", "new", "village")
    return person


@pytest.fixture
def running(founder):
    """A founder whose (fake) node runs."""
    command = [sys.executable, str(FAKE_NODE), str(founder.home)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=make_environment(), cwd=ROOT
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        founder.process = process
        yield founder
        process.kill()
