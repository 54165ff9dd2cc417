"""People at various stages: without a home, with a network, with a running node."""

import shutil

import pytest
from people import FakeProcess, Person


@pytest.fixture
def person(tmp_path):
    return Person(tmp_path / "home")


@pytest.fixture(scope="session")
def founded(tmp_path_factory):
    person = Person(tmp_path_factory.mktemp("founder") / "home")
    person.do("init", "--listen", "/ip4/127.0.0.1/tcp/4710")
    person.do("genesis", "new", "village")
    return person.home


@pytest.fixture
def founder(person, founded):
    """Somebody whose network is founded, and did not run yet."""
    shutil.copytree(founded, person.home)
    return person


@pytest.fixture
def running(founder):
    """A founder whose (fake) node runs."""
    founder.node = FakeProcess(founder.home)
    yield founder
    founder.node.kill()
