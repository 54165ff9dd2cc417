"""The window for better bundles on four real nodes, whose ordered code searches no further than the
greedy allocation: members' solvers and an account from outside find a better one, and a false one
moves nothing."""

import pytest

from crdt.facts_solutions import ChosenBundle, CliquePrice, SolutionProof
from identity import envelope, schema
from identity.envelope import Context
from identity.keys import PrivateKey, compute_peer_id, parse_peer_id
from protocols.economy.operations import OPERATION_KIND, Operation
from protocols.economy.operations_solutions import SubmitSolution
from protocols.genesis import MAIN_COMMITTEE, Parameters, compute_committee_id
from tests.system.network import FREE, Network, wait_until
from tests.system.trading import (
    FEE,
    SEALED,
    check_certificate,
    do,
    list_awards,
    list_named,
    open_auction,
    wait_ended,
    wait_known,
)

SOLVER = PrivateKey(bytes([7]) * 32)
"""An account that is no member and no bidder."""
GREEDY_ONLY = Parameters(auction_work_max=0, auction_solution_ms=45_000)
NAME = compute_peer_id(SOLVER.public)
WINDOW_S_MAX = 120.0
A, B = b"\0", b"\1"


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    network = Network(
        tmp_path_factory.mktemp("solutions"), 4, accounts=[SOLVER], parameters=GREEDY_ONLY
    )
    for node in network.nodes:
        network.configure(node, {})
    try:
        network.start()
        yield network
    finally:
        network.end()


def submit(network, nonce, auction, winners, proof=None):
    """SOLVER's word, through the API of a node that is not its own."""
    chosen = tuple(ChosenBundle(parse_peer_id(node.peer_id), lots) for node, lots in winners)
    body = SubmitSolution(bytes.fromhex(auction), chosen, proof)
    committee = compute_committee_id(network.id, MAIN_COMMITTEE)
    place = Context(network.id, committee, 0, OPERATION_KIND)
    data = envelope.sign(SOLVER, place, schema.encode(Operation(nonce, body))).data
    client = network.nodes[0].client
    start = client.status().position + 1
    operation = client.submit_operation(data).operation

    def find():
        facts = [fact for entry in client.facts(start).entries for fact in entry.facts]
        return next((fact for fact in facts if says(fact)), None)

    def says(fact):
        if fact["kind"] == "rejected":
            return fact["operation"] == operation
        return fact["kind"] == "solution_submitted" and fact["account"] == NAME

    return wait_until(find, "an ordered solution")


def begin(network, kind_flags):
    """An auction in which greedy takes the pair for 110, and the two others together say 140."""
    opener, *others = network.nodes
    lots = ("--lot", "a", "--lot", "b", "--cap", 500, *kind_flags)
    auction = open_auction(opener, "combinatorial", "--sell", *lots, *SEALED, *list_named(others))
    for node, bundle in zip(others, ("a,b:110", "a:70", "b:70"), strict=True):
        wait_known(node, auction)
        do(node, "auction", "bid", auction, "--bundle", bundle)
    wait_until(
        lambda: opener.client.auctions.show(auction).phase == "auction_solution", "the window"
    )
    return auction


@pytest.mark.full
def test_false_solutions_move_nothing_and_better_ones_pay_their_winners(network, tmp_path):
    opener, pair, first, second = network.nodes
    auction, untold = begin(network, ()), begin(network, ("--pay-as-bid",))
    no_clique = SolutionProof((), (CliquePrice((1, 2), 1),))  # those two may both win
    wrong = [
        ([(pair, A + B), (first, A)], None, "infeasible"),  # both want a
        ([(opener, A + B)], None, "infeasible"),  # who did not bid
        ([(second, B)], None, "not_better"),
        ([(second, B)], no_clique, "not_better"),
    ]
    for nonce, (winners, proof, reason) in enumerate(wrong, 1):
        assert submit(network, nonce, auction, winners, proof)["reason"] == reason
    said = submit(network, len(wrong) + 1, auction, [(first, A), (second, B)])
    assert said["kind"] == "solution_submitted" or said["reason"] == "not_better"  # a member's was
    found = wait_ended(opener, auction, s_max=WINDOW_S_MAX)
    won = {(winner, lots) for winner, lots, _ in list_awards(found)}
    assert won == {(first.peer_id, ("a",)), (second.peer_id, ("b",))}
    assert all(39 <= price <= 41 for *_, price in list_awards(found))  # 110 less the other's 70
    check_certificate(network, opener, auction, tmp_path)
    # Of the other one nobody told but members' own solvers.
    found = wait_ended(opener, untold, s_max=WINDOW_S_MAX)
    assert set(list_awards(found)) == {(first.peer_id, ("a",), 70), (second.peer_id, ("b",), 70)}
    assert found.gap_ppm == 0
    check_certificate(network, opener, untold, tmp_path)
    network.wait_equal()
    for node in network.nodes:
        stake = node.client.stake()
        assert stake.conserved
        (account,) = (a for a in stake.accounts if a.peer_id == NAME)
        assert account.free == FREE - FEE * (len(wrong) + 1)
        assert node.is_running()
