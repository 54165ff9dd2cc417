"""A devnet's folder: made once, found again, and never on top of anything else."""

import pytest

from devnet import manifest
from node.agent import list_capabilities
from node.capabilities import CapabilitySpec
from node.config_file import load_config
from node.problem import Problem


def test_homes_are_what_the_node_reads(tmp_path):
    plan = manifest.open_folder(tmp_path / "net", 4, ["liar"], 5)
    assert [node.role for node in plan.nodes] == ["requester", "agent", "agent", "liar"]
    genesis = manifest.get_home(tmp_path / "net", plan.nodes[0]).load_genesis()
    assert genesis.compute_network_id().hex() == plan.network_id
    ids = set()
    for node, member in zip(plan.nodes, genesis.members, strict=True):
        home = manifest.get_home(tmp_path / "net", node)
        assert home.load_genesis() == genesis
        assert home.load_peer_id() == node.peer_id == member.peer
        assert len(home.load_token()) >= 32
        config = load_config(home.config_path, {})
        assert config.network.listen == (member.address,)
        assert config.agent.price_base == node.price_base
        assert (config.agent.strategy == "underbid") == (node.role == "liar")
        [spec] = list_capabilities(config)
        assert isinstance(spec, CapabilitySpec)
        ids.add(spec.id)
    assert len(ids) == 1  # the liar promises the same as everybody
    assert len({member.address for member in genesis.members}) == 4


def test_a_seed_gives_the_same_keys_and_prices(tmp_path):
    first, again, other = (
        manifest.open_folder(tmp_path / name, 3, [], seed).nodes
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == again
    assert first != other


def test_a_devnet_is_found_again_only_as_it_was(tmp_path):
    plan = manifest.open_folder(tmp_path, 4, ["liar"], 5)
    assert manifest.open_folder(tmp_path, 4, ["liar"], 5) == plan
    assert manifest.open_folder(tmp_path, 4, ["liar"], None) == plan
    for asked in ((4, [], 5), (5, ["liar"], 5), (4, ["liar"], 6), (4, ["equivocator"], 5)):
        with pytest.raises(Problem, match=r"4 nodes, 1 of them Byzantine \(liar\), and seed 5"):
            manifest.open_folder(tmp_path, *asked)


@pytest.mark.parametrize("seed", range(4))
def test_an_equivocator_leads_the_first_view(tmp_path, seed):
    plan = manifest.open_folder(tmp_path, 7, ["equivocator", "liar"], seed)
    assert [node.role for node in plan.nodes[-2:]] == ["liar", "equivocator"]
    assert plan.nodes[-1].key == min(node.key for node in plan.nodes)


def test_a_folder_with_anything_else_is_left_alone(tmp_path):
    (tmp_path / "precious").write_text("data")
    with pytest.raises(Problem, match="neither empty nor a devnet"):
        manifest.open_folder(tmp_path, 4, [], None)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
    (tmp_path / manifest.MANIFEST_NAME).write_text("{}")
    with pytest.raises(Problem, match="not a devnet's file"):
        manifest.open_folder(tmp_path, 4, [], None)


@pytest.mark.parametrize(("nodes", "liars"), [(2, 0), (21, 0), (4, 2), (6, 2), (4, -1)])
def test_networks_that_could_not_do_the_job(nodes, liars):
    with pytest.raises(Problem):
        manifest.check_size(nodes, liars)


def test_ports_are_distinct_and_outside_of_what_connections_take():
    ports = manifest.choose_ports(20)
    assert len(set(ports)) == 20
    assert max(ports) < max(manifest._read_ephemeral_lowest(), 60_000)
