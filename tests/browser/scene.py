"""What happens in the network that the dashboard's tests look at: everything that it can show."""

from dataclasses import dataclass

from identity.keys import PrivateKey
from protocols import evidence
from tests.system.network import BOND, FREE, Network, RealNode, wait_until
from tests.system.test_evidence import make_votes

SECONDS = 90.0


@dataclass(frozen=True)
class Scene:
    """Ids: a task that is settled, auctions (one sold, one with open bids), a variable's name, the
    offence of a liar."""

    task: str
    sold: str
    english: str
    variable: str
    offence: str


def do(node: RealNode, *arguments: object):
    done = node.econode(*arguments, "--json")
    assert done.code == 0, done.out + done.err
    return done.document


def play(network: Network, liar: PrivateKey) -> Scene:
    """Let it happen, on the first node's account where there is a choice."""
    first, second, third, fourth = network.nodes
    wait_until(
        lambda: [len(each.agents) for each in first.client.capabilities().capabilities] == [4],
        "four offers",
    )
    offence = first.client.submit_evidence(
        evidence.encode_file(make_votes(network, key=liar), network.id)
    )
    form_committee(network, "work")
    file = first.home.path / "text.txt"
    file.write_text("what there is to count")
    task = do(first, "task", "submit", "--capability", "count", "--input", file)["tasks"][0]["id"]
    flags = ["--initial", "10", "--low", "10", "--high", "50", "--step", "10", "--pool", "1000"]
    flags += ["--deposit", "100", "--term", "300s", "--bid-for", "6s", "--reveal-for", "3s"]
    opened = do(first, "variable", "open", "rate", *flags)
    wait_until(lambda: second.client.market.variable("rate"), "the variable at the holder")
    second.client.auctions.bid(opened["auction"], 30)
    sold = sell(first, [second, third, fourth])
    english = bid_openly(first, [second, third])
    wait_until(
        lambda: second.client.market.variable("rate").summary.holder == second.peer_id, "a holder"
    )
    do(second, "variable", "set", "rate", "20")
    wait_until(lambda: first.client.task(task).state == "settled", "a settled task", SECONDS)
    return Scene(task, sold, english, "rate", offence.id)


def form_committee(network: Network, name: str) -> None:
    nodes = network.nodes
    named = [part for node in nodes for part in ("--member", node.peer_id)]
    terms = ("--bond", BOND // 10, "--free", FREE // 10)
    formed = do(nodes[0], "committee", "form", name, *named, *terms)
    id_ = formed["fact"]["committee"]
    for node in nodes:
        wait_until(
            lambda node=node: any(item.id == id_ for item in node.client.committees().committees),
            f"{name} is proposed",
        )
        node.client.consent_committee(id_)


def sell(opener: RealNode, others: list[RealNode]) -> str:
    """A sealed auction, from its opening to its certificate."""
    listed = [word for node in others for word in ("--bidder", node.peer_id)]
    terms = ("--lot", "gpu-hour:10", "--cap", 100, "--bid-for", "30s", "--reveal-for", "30s")
    auction = do(opener, "auction", "open", "vickrey", "--sell", *terms, *listed)["auction"]
    for node, price in zip(others, (90, 70, 50), strict=True):
        wait_until(lambda node=node: node.client.auctions.show(auction), "an auction is known")
        node.client.auctions.bid(auction, price)
    wait_until(lambda: opener.client.auctions.certificate(auction), "a certified result", SECONDS)
    return auction


def bid_openly(opener: RealNode, others: list[RealNode]) -> str:
    """An auction with rising bids that goes on."""
    terms = ("--lot", "desk:10", "--cap", 1_000, "--increment", 5, "--bid-for", "600s")
    auction = do(opener, "auction", "open", "english", "--sell", *terms)["auction"]
    for turn, price in enumerate((10, 20, 40)):
        node = others[turn % len(others)]
        wait_until(lambda node=node: node.client.auctions.show(auction), "an auction is known")
        node.client.auctions.bid(auction, price)
    return auction
