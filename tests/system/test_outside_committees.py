"""Committees whose members are outside the founding one, are followed, and form others."""

import pytest

from node.problem import Problem
from tests.system.network import RealNode, wait_until
from tests.system.town import Town, list_names
from tests.system.town import form as form_of

MEMBERS = 4
"""Of the founding committee; two further nodes have accounts there."""
FREE, INNER_FREE = 20_000, 5_000
"""What each brings to a committee of main, and to one that is formed by that."""


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    town = Town(tmp_path_factory.mktemp("town"), MEMBERS, 2)
    town.configure(town.nodes[3], {("committees", "follow"): ("guild", "guild/inner")})
    try:
        town.start()
        yield town
    finally:
        town.end()


def form(nodes: list[RealNode], name: str, parent: str = "main") -> str:
    """The committee's id."""
    return form_of(nodes, name, 1_000, FREE if parent == "main" else INNER_FREE, parent)


@pytest.mark.full
def test_members_from_outside_find_each_other_and_others_follow(town):
    first, second = town.outside
    assert first.client.status().roles == ("observer",)
    guild = [*town.nodes[:2], first, second]
    id_ = form(guild, "guild")
    assert first.client.at("guild").status().roles[0] == "member"
    assert first.client.at(id_).status().committee_name == "guild"
    # its card tells where the other one listens: no genesis and no config does
    wait_until(lambda: first.count_connected() == MEMBERS + 1, "linked with the other one")
    first.client.at("guild").transfer(second.peer_id, 100)
    position = second.client.at("guild").transfer(town.nodes[0].peer_id, 100).position
    follower = town.nodes[3]
    wait_until(lambda: follower.client.at("guild").status().position >= position, "it follows")
    assert follower.client.at("guild").status().roles == ("observer",)
    with pytest.raises(Problem, match="no committee"):
        town.nodes[2].client.at("guild").status()


@pytest.mark.full
def test_a_formed_committee_forms_another(town):
    guild = [*town.nodes[:2], *town.outside]
    form(guild, "inner", "guild")
    position = town.nodes[0].client.at("guild/inner").transfer(town.nodes[1].peer_id, 1).position
    follower = town.nodes[3]
    wait_until(
        lambda: follower.client.at("guild/inner").status().position >= position, "it follows"
    )
    # the names of two committees that differ in their parents alone
    form(town.nodes, "inner")
    assert {"inner", "guild", "guild/inner"} <= set(list_names(town.nodes[0]))
    follower.kill()
    follower.start()
    wait_until(
        lambda: follower.client.at("guild/inner").status().position >= position, "it is back"
    )
    assert follower.stop() == 0
    report = follower.verify()
    assert report["valid"]
    names = [part["name"] for part in report["committees"]]
    assert sorted(names) == ["guild", "guild/inner", "inner", "main"]
