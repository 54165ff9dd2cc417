"""Bonding credits, and taking them back after a delay.

Evidence arrives later than the offence it proves, so a bond that is taken back stays in reach of
it for `unbonding_ms` of agreed time: it remains bonded, burns with the rest if its owner is
slashed, but opens no door any more (`Books.get_standing_bond`). What an account needs as a member,
or for the agreements it holds, cannot be taken back at all.
"""

from crdt.facts import Bonded, Unbonded, UnbondingBegan
from identity.schema import U63_MAX
from protocols.economy.books import Books, compute_moves
from protocols.economy.model import OrderedOperation, Refused
from protocols.economy.operations import Bond, Unbond
from protocols.economy.unbondings import Unbonding


def bond(books: Books, ordered: OrderedOperation, body: Bond) -> None:
    """Bond free credits. Raises Refused."""
    signer = ordered.signer
    if books.is_banned(signer):
        raise Refused("banned")
    books.require_free(signer, body.amount)
    moves = compute_moves((signer, "free", signer, "bonded", body.amount))
    books.emit(Bonded(account=signer, amount=body.amount, moves=moves))


def unbond(books: Books, ordered: OrderedOperation, body: Unbond) -> None:
    """Begin to take back a part of the signer's bond. Raises Refused."""
    signer = ordered.signer
    left = books.get_standing_bond(signer) - body.amount
    if left < 0:
        raise Refused("insufficient_bond")
    if left < _compute_bond_needed(books, signer):
        raise Refused("bond_needed")
    if books.unbondings.is_full(signer):
        raise Refused("too_many_unbondings")
    due_ms = min(books.time_ms + books.parameters.unbonding_ms, U63_MAX)
    nonce = ordered.operation.nonce
    books.unbondings.add(Unbonding(due_ms, signer, nonce, body.amount))
    books.emit(UnbondingBegan(account=signer, amount=body.amount, due_ms=due_ms))


def release_due(books: Books) -> None:
    """Free what is due, in that order.

    A task that the account still has a part in may yet prove a lie of it, and after a long halt it
    is graded later than its deadlines say: without a sufficient bond beside it, what is due waits.
    """
    due = books.unbondings.list_due(books.time_ms)
    parties = _list_parties(books) if due else set()
    for unbonding in due:
        account, amount = unbonding.account, unbonding.amount
        is_short = books.get_standing_bond(account) < books.parameters.bond_min
        books.unbondings.remove(unbonding)
        if is_short and account in parties:
            later_ms = books.time_ms + books.parameters.inventory_phase_ms
            books.unbondings.add(Unbonding(later_ms, account, unbonding.nonce, amount))
        else:
            moves = compute_moves((account, "bonded", account, "free", amount))
            books.emit(Unbonded(account=account, amount=amount, moves=moves))


def _compute_bond_needed(books: Books, account: bytes) -> int:
    """What must stay bonded without a way out while the account is what it is."""
    needed = 0
    if books.committee.is_member(account) or account in books.joining:
        needed = books.parameters.member_bond_min
    agent = books.agents.get(account)
    if agent is not None and agent.active:
        bonds = [task.bond_min for task in books.tasks.values() if task.executor == account]
        needed = max(needed, books.parameters.bond_min, *bonds)
    return needed


def _list_parties(books: Books) -> set[bytes]:
    """Whoever sealed a bid, executes or verifies in a task under way."""
    parties: set[bytes] = set()
    for task in books.tasks.values():
        parties.update(key for key, bid in task.bids.items() if bid.commitment is not None)
        parties.update(task.verifiers)
        if task.executor is not None:
            parties.add(task.executor)
    return parties
