"""People at various stages: without a home, with a network, with a running node."""

import pytest
from people import FakeProcess, Person


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
    founder.node = FakeProcess(founder.home)
    yield founder
    founder.node.kill()
