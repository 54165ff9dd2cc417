"""Four real nodes that trade in auctions of lots, by hand and by their agents."""

import contextlib
import io
import json

import msgspec

from node import cli
from node.files import write_atomic
from protocols.genesis import Parameters
from tests.system.network import Network, wait_until

WANTS = {1: 400, 2: 300, 3: 200}
"""What a gpu is worth to the agents of three nodes; the fourth opens."""
COSTS = {1: 200, 2: 120, 3: 20}
FEE = Parameters().operation_fee


def make_traders(folder):
    """Four nodes whose agents trade lots called gpu-..., in one auction at a time."""
    network = Network(folder, 4)
    for number, node in enumerate(network.nodes):
        network.configure(node, {("agent", "strategy"): "truthful", ("agent", "passes"): False})
        if number in WANTS:
            tables = (
                ("want", {"lots": ["gpu-*"], "value": WANTS[number], "units_max": 100}),
                ("want", {"lots": ["cpu-*", "disk-*"], "value": 500, "units_max": 100}),
                ("sell", {"lots": ["gpu-*"], "cost": COSTS[number], "units_max": 100}),
            )
            text = node.home.config_path.read_text()
            for name, values in tables:
                lines = [f"{k} = {msgspec.json.encode(v).decode()}" for k, v in values.items()]
                text += "\n".join(["", f"[[{name}]]", *lines, ""])
            write_atomic(node.home.config_path, text.encode())
    return network


def run(node, *arguments):
    """(exit code, what it printed) of a command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run([*map(str, arguments), "--home", str(node.home.path)])
    assert "Traceback" not in err.getvalue()
    return code, out.getvalue()


def do(node, *arguments):
    code, out = run(node, *arguments, "--json")
    assert code == 0, out
    return json.loads(out)


def fail(node, kind, *arguments, code=1):
    """A command that is refused, and changes nothing anywhere."""
    before = node.client.stake()
    found, out = run(node, *arguments, "--json")
    assert found == code, out
    error = json.loads(out)["error"]
    assert error["type"] == f"urn:econode:problem:{kind}"
    assert error["detail"]
    after = node.client.stake()
    assert msgspec.structs.replace(after, position=0) == msgspec.structs.replace(before, position=0)
    return error


def open_auction(node, kind, *arguments):
    return do(node, "auction", "open", kind, *arguments)["auction"]


def wait_known(node, auction):
    return wait_until(lambda: node.client.auctions.show(auction), "an auction is known")


def wait_ended(node, auction, **limit):
    def look():
        found = node.client.auctions.show(auction)
        return found if found.summary.ended_ms is not None else None

    return wait_until(look, f"the end of {auction[:8]}", **limit)


def list_awards(found):
    return [(award.winner, award.lots, award.price) for award in found.awards]


def get_free(network, node):
    return network.nodes[0].client.stake(node.peer_id).accounts[0].free


def list_named(nodes):
    return [word for node in nodes for word in ("--bidder", node.peer_id)]


SEALED = ("--bid-for", "30s", "--reveal-for", "30s")


def check_certificate(market, node, auction, tmp_path):
    """It is sound, and any altered byte is found."""
    file, genesis = tmp_path / "result.econode", tmp_path / "genesis.json"
    genesis.write_bytes(node.home.genesis_path.read_bytes())
    wait_until(lambda: node.client.auctions.certificate(auction), "a certified result")
    do(node, "auction", "certificate", auction, "--out", file)
    elsewhere = ("--home", tmp_path / "nowhere")
    check = ("auction", "verify", file, "--genesis", genesis, *elsewhere, "--json")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert cli.run(list(map(str, check))) == 0
    assert json.loads(out.getvalue())["result"]["auction"] == auction
    data = file.read_bytes()
    for place in range(0, len(data), max(1, len(data) // 8)):
        file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with contextlib.redirect_stdout(io.StringIO()):
            assert cli.run(list(map(str, check))) == 1, place
    file.write_bytes(data)
