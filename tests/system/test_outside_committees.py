"""Committees whose members are outside the founding one, are followed, and form others."""

import pytest

from identity.keys import PrivateKey
from node.files import write_atomic
from node.problem import Problem
from tests.system.network import Network, RealNode, wait_until

MEMBERS = 4
"""Of the founding committee; two further nodes have accounts there."""
FREE, INNER_FREE = 20_000, 5_000
"""What each brings to a committee of main, and to one that is formed by that."""


class Town(Network):
    """Four members and two nodes that only have accounts, which the genesis gives no address."""

    def __init__(self, folder) -> None:
        outside = [PrivateKey.generate() for _ in range(2)]
        super().__init__(folder, MEMBERS, accounts=outside)
        self.outside = [RealNode(folder / f"outside-{number}") for number in range(2)]
        for node, secret in zip(self.outside, outside, strict=True):
            node.home.make_folder()
            node.home.write_key(secret, None)
            node.home.write_token()
            node.home.write_genesis(self.genesis)
            write_atomic(node.home.config_path, b'[network]\nlisten = ["/ip4/127.0.0.1/tcp/0"]\n')

    def start(self) -> None:
        super().start()
        for node in self.outside:
            node.start()
            wait_until(lambda node=node: node.count_connected() >= MEMBERS, f"{node.log_path}")

    def end(self) -> None:
        super().end()
        for node in self.outside:
            node.end()


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    town = Town(tmp_path_factory.mktemp("town"))
    town.configure(town.nodes[3], {("committees", "follow"): ("guild", "guild/inner")})
    try:
        town.start()
        yield town
    finally:
        town.end()


def form(nodes: list[RealNode], name: str, parent: str = "main") -> str:
    """The committee's id."""
    free = FREE if parent == "main" else INNER_FREE
    peers = [node.peer_id for node in nodes]
    proposed = nodes[-1].client.at(parent).form_committee(name, peers, 1_000, free, 60_000)
    id_ = proposed.fact["committee"]
    path = name if parent == "main" else f"{parent}/{name}"
    for node in nodes:
        wait_until(lambda node=node: path in list_names(node), f"{path} is proposed")
        node.client.at(parent).consent_committee(id_)
    for node in nodes:
        wait_until(lambda node=node: node.client.at(path).status(), f"a place in {path}")
    return id_


def list_names(node: RealNode) -> list[str]:
    return [committee.name for committee in node.client.committees().committees]


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
