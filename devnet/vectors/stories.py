"""What happens in the village, story by story: each gives the steps that vectors are taken from."""

from collections.abc import Callable

from crdt.facts import Awarded, VerifiersDrawn
from devnet.vectors.places import digest
from devnet.vectors.village import CAPABILITY, FAIL, SERVICE, Village
from protocols.economy.operations import (
    BidOpening,
    Bond,
    ConsentCommittee,
    FormCommittee,
    Held,
    Inventory,
    JoinCommittee,
    LeaveCommittee,
    RevealBids,
    Transfer,
    Unbond,
)
from protocols.economy.operations_tasks import AcceptWork

RIGHT, WRONG = "right", "wrong"
MINUTE_MS, HOUR_MS = 60_000, 3_600_000


def _say(village: Village, output: str, **others: str) -> dict[str, str]:
    return {name: others.get(name, output) for name in village.members}


def commit_reveal() -> Village:
    """Bids sealed and opened: an award at the second price."""
    village = Village()
    village.offer()
    village.open_task()
    village.play(_say(village, RIGHT))
    return village


def silent_bidder() -> Village:
    """One bidder never speaks: the phase closes at its deadline, with inventories."""
    village = Village()
    village.offer()
    village.open_task()
    others = dict.fromkeys(village.members[1:], RIGHT)
    village.play(others)
    village.act(wait_ms=5_000)
    village.play(others)
    return village


def verification() -> Village:
    """A verifier opens another result: it loses its bond, the others are paid."""
    village = Village()
    village.offer()
    village.open_task()
    village.play(_say(village, RIGHT))
    drawn = [f for _, facts in village.steps for f in facts if isinstance(f, VerifiersDrawn)]
    liar = next(name for name in village.members if village.keys[name].public in drawn[0].verifiers)
    again = Village()
    again.offer()
    again.open_task()
    again.play(_say(again, RIGHT, **{liar: WRONG}))
    return again


def lying_executor() -> Village:
    """Who won opens a wrong result: byzantine, its deposit and its bond burn."""
    probe = commit_reveal()
    winner = next(f.winner for _, facts in probe.steps for f in facts if isinstance(f, Awarded))
    name = next(name for name in probe.members if probe.keys[name].public == winner)
    village = Village()
    village.offer()
    village.open_task()
    village.play(_say(village, RIGHT, **{name: WRONG}))
    return village


def failing_executor() -> Village:
    """Who won has no result: poor, and the task is auctioned again."""
    village = Village()
    village.offer()
    village.open_task()
    village.play(_say(village, FAIL))
    return village


def missed_lease() -> Village:
    """Who won does nothing: poor, and a share of its deposit burns."""
    village = Village()
    village.offer()
    village.open_task()
    village.play(_say(village, RIGHT), until="awarded")
    village.act(wait_ms=MINUTE_MS)
    village.act(wait_ms=MINUTE_MS)
    return village


def settlement() -> Village:
    """The four grades: excellent, satisfactory, poor and byzantine, each with what it pays."""
    village = Village()
    village.offer()
    for capability in (CAPABILITY, SERVICE):
        village.open_task(capability=capability)
        village.play(_say(village, RIGHT))
    village.act(wait_ms=2 * HOUR_MS)  # the requester says nothing
    village.act(*((name, _hold_nothing(village)) for name in village.members[:3]))
    village.open_task()
    village.play(_say(village, RIGHT), until="awarded")
    village.act(wait_ms=MINUTE_MS)
    village.act(wait_ms=MINUTE_MS)  # the winner misses its lease, and the task is auctioned again
    village.play(_say(village, RIGHT), until="awarded")
    awarded = [f for _, facts in village.steps for f in facts if isinstance(f, Awarded)][-1]
    liar = next(n for n in village.members if village.keys[n].public == awarded.winner)
    village.play(_say(village, RIGHT, **{liar: WRONG}))
    return village


def _hold_nothing(village: Village) -> Inventory:
    """For the only task there is: nobody's word is held."""
    (task,) = village.chain.state.tasks()
    assert task.stage != "queued"
    return Inventory((Held(task.task, task.round, task.stage, ()),))


def accepted_work() -> Village:
    """The requester pays a part for one result, and nothing for another."""
    village = Village()
    village.offer()
    for paid_ppm in (600_000, 0):
        village.open_task(capability=SERVICE)
        village.play(_say(village, RIGHT))
        (task,) = village.chain.state.tasks()
        village.act(("alice", AcceptWork(task.task, task.round, paid_ppm)))
    return village


def wrong_reveal() -> Village:
    """A bidder opens another price than it sealed: it is refused, and the right one counts."""
    village = Village()
    village.offer()
    village.open_task()
    village.play(_say(village, RIGHT), until="bids_closed")
    (task,) = village.chain.state.tasks()
    opening = BidOpening(task.task, task.round, 1, digest("no salt of the bidder"))
    village.act(("m1", RevealBids((opening,))))
    village.play(_say(village, RIGHT))
    return village


def membership() -> Village:
    """One joins, one leaves: epochs 1 and 2."""
    village = Village()
    village.act(("bob", JoinCommittee(bond=20_000)))
    village.act(("m2", LeaveCommittee()))
    village.act(("m2", LeaveCommittee()), ("alice", LeaveCommittee()))
    return village


def credits_() -> Village:
    """Transfers and bonds, good ones and refused ones."""
    village = Village()
    to = village.keys["m1"].public
    village.act(("alice", Transfer(to, 500)), ("bob", Transfer(to, 100_000_000)))
    village.act(("alice", Bond(5_000)), ("bob", Bond(1)))
    village.act(("alice", Unbond(2_000)), ("alice", Unbond(2_000_000)))
    repeated = village.sign("alice", Transfer(to, 3))
    village.run([repeated])
    village.run([repeated])
    village.act(wait_ms=15 * 24 * HOUR_MS)
    return village


def forming() -> Village:
    """A further committee is proposed, and formed with the last consent; another one lapses."""
    village = Village()
    members = tuple(sorted(village.keys[name].public for name in village.members))
    village.act(("alice", FormCommittee("work", members, 5_000, 100, HOUR_MS)))
    proposal = next(iter(village.chain.state.proposals())).committee
    village.act(*((name, ConsentCommittee(proposal)) for name in village.members[:3]))
    village.act((village.members[3], ConsentCommittee(proposal)))
    village.act(("bob", FormCommittee("other", members, 5_000, 1, HOUR_MS)))
    village.act(wait_ms=2 * HOUR_MS)
    return village


STORIES: dict[str, Callable[[], Village]] = {
    "commit-reveal": commit_reveal,
    "silent-bidder": silent_bidder,
    "verification": verification,
    "lying-executor": lying_executor,
    "failing-executor": failing_executor,
    "missed-lease": missed_lease,
    "settlement": settlement,
    "accepted-work": accepted_work,
    "wrong-reveal": wrong_reveal,
    "membership": membership,
    "credits": credits_,
    "forming": forming,
}
