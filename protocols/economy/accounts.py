"""Genesis allotments, transfers and offers: what accounts do outside of tasks."""

from crdt.facts import COMMON, Charged, Fact, Minted, Offered, Paid, is_transit_account
from identity import keys
from identity.errors import InvalidKey
from protocols.economy.books import Books, compute_moves
from protocols.economy.committees import FormedGenesis
from protocols.economy.model import Agent, OrderedOperation, Refused
from protocols.economy.operations import Offer, Operation, Transfer
from protocols.genesis import Founding

NONCES_AHEAD_MAX = 1_024
"""How far beyond the last executed nonce an operation may wait to be ordered."""


def mint(genesis: Founding) -> list[Fact]:
    """The facts that create every credit of a committee; a formed one's first says whence."""
    facts: list[Fact] = [genesis.origin] if isinstance(genesis, FormedGenesis) else []
    for member in genesis.members:
        key = keys.parse_peer_id(member.peer)
        moves = compute_moves(
            (COMMON, "minted", key, "bonded", member.bond),
            (COMMON, "minted", key, "free", member.free),
        )
        facts.append(Minted(account=key, founder=True, moves=moves))
    for allotment in genesis.accounts:
        key = keys.parse_peer_id(allotment.peer)
        moves = compute_moves((COMMON, "minted", key, "free", allotment.free))
        facts.append(Minted(account=key, moves=moves))
    return facts


def find_obstacle(books: Books, signer: bytes, operation: Operation) -> str | None:
    """Why an operation is not worth ordering, in one word, or None.

    Only what no operation ahead of it can heal is an obstacle, but for the fee: an account
    without credits is refused although a transfer to it may be on its way.
    """
    last = books.nonces.get(signer, 0)
    if operation.nonce <= last:
        return "nonce_used"
    if operation.nonce > last + NONCES_AHEAD_MAX:
        return "nonce_too_far"
    if books.stake.get(signer, "free") < max(1, books.parameters.operation_fee):
        return "not_funded"
    return None


def take_nonce(books: Books, signer: bytes, operation: Operation) -> bool:
    """False when the operation must be skipped without a trace: its primary should have known."""
    if operation.nonce != books.nonces.get(signer, 0) + 1:
        return False
    if not books.stake.has(signer):
        return False
    if books.stake.get(signer, "free") < books.parameters.operation_fee:
        return False
    books.nonces[signer] = operation.nonce
    return True


def check_new_account(key: bytes) -> None:
    """Raises Refused for a key that nobody can ever sign with: the credits would be lost."""
    try:
        keys.check_public_key(key)
    except InvalidKey:
        raise Refused("unknown_account") from None
    if is_transit_account(key):
        raise Refused("unknown_account")


def transfer(books: Books, ordered: OrderedOperation, body: Transfer) -> None:
    signer = ordered.signer
    if not books.stake.has(body.to):
        check_new_account(body.to)
    books.require_free(signer, body.amount)
    moves = compute_moves((signer, "free", body.to, "free", body.amount))
    books.emit(Paid(account=signer, to=body.to, amount=body.amount, moves=moves))


def offer(books: Books, ordered: OrderedOperation, body: Offer) -> None:
    """Offer capabilities; an agent that was paused takes part again."""
    signer = ordered.signer
    former = books.agents.get(signer)
    if former is not None and former.banned:
        raise Refused("banned")
    if books.get_standing_bond(signer) < books.parameters.bond_min:
        raise Refused("bond_too_small")
    if len({capability.id for capability in body.capabilities}) < len(body.capabilities):
        raise Refused("duplicate_capability")
    active = former.active if former else 0
    books.set_offer(signer, Agent(body.capabilities, active=active))
    books.emit(Offered(agent=signer, capabilities=body.capabilities))


def charge(books: Books, ordered: OrderedOperation) -> None:
    """The fee of an operation that caused no other fact."""
    if books.has_unpaid_fee():
        books.emit(Charged(operation=ordered.digest))
