"""Pauses and proven offences.

A bond burns for a proven lie alone: a result that was opened under the offender's signature and
differs from the one that enough members agree on, or two votes of a member for one slot that
contradict each other. Slowness never costs a bond.
"""

import hashlib

from crdt.facts import COMMON, Paused, Slashed, Unsold
from identity import cbor
from identity.errors import InvalidBytes
from protocols.economy.books import Books, Part, compute_moves
from protocols.economy.membership import find_committee
from protocols.economy.model import Agent, Refused, Task
from protocols.economy.operations import Accuse
from protocols.pbft.evidence import check_equivocation, read_epoch


def compute_offence_id(network: bytes, offender: bytes, task: bytes, round: int) -> bytes:
    """The slot of an offence: whatever the evidence, it is slashed once."""
    content = ["econode/offence", network, offender, task, round]
    return hashlib.sha256(cbor.encode(content)).digest()


def pause(books: Books, key: bytes) -> None:
    """Invite the agent to nothing until it offers again: it missed a deadline."""
    agent = books.agents[key]
    if not agent.paused and not agent.banned:
        agent.paused = True
        books.emit(Paused(agent=key))


def accuse(books: Books, body: Accuse) -> None:
    """Take evidence against a member. Raises Refused when it proves nothing new."""
    try:
        committee = find_committee(books, read_epoch(body.first))
        if committee is None:
            raise Refused("no_evidence")
        offence = check_equivocation(committee, body.first, body.second)
    except InvalidBytes:
        raise Refused("no_evidence") from None
    if books.is_banned(offence.offender):
        raise Refused("already_punished")
    if offence.offender not in books.agents:
        books.set_offer(offence.offender, Agent())
    _punish(books, offence.offender, offence.id, None)


def slash(books: Books, offender: bytes, task: Task, round_: int) -> None:
    """Punish a lie about the result of a task."""
    offence = compute_offence_id(books.committee.network, offender, task.id, round_)
    _punish(books, offender, offence, task.id)


def _punish(books: Books, offender: bytes, offence: bytes, task: bytes | None) -> None:
    """Burn the offender's bond, what was on its way out of it too, and ban it.

    Its bids in open auctions do not count any more and their deposits go back. Agreements that it
    has not answered yet end at once (`end_banned_leases` queues those tasks again).
    """
    agent = books.agents[offender]
    agent.banned = True
    books.has_offender = True
    amount = books.stake.get(offender, "bonded")
    books.unbondings.drop(offender)
    returned: list[Part] = []
    affected = [other for _, other in sorted(books.auctions.items()) if offender in other.invited]
    for other in affected:
        bid = other.bids.pop(offender, None)
        if bid is not None and bid.commitment is not None:
            returned.append((offender, "locked", offender, "free", other.deposit))
    moves = compute_moves((offender, "bonded", COMMON, "burned", amount), *returned)
    books.emit(Slashed(offender=offender, offence=offence, task=task, amount=amount, moves=moves))
    for other in books.list_waiting(offender):
        if other.stage != "lease":
            books.hear(other, offender)
        books.touch(other)


def revoke_lease(books: Books, task: Task, executor: bytes) -> None:
    """End the agreement of a banned agent that has not answered: nothing is proven of this task,
    so its deposit goes back."""
    books.agents[executor].active -= 1
    moves = compute_moves((executor, "locked", executor, "free", task.deposit))
    books.emit(Unsold(task=task.id, round=task.round, moves=moves))
