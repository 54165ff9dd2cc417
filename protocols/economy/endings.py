"""How a task ends, and what its bonus pool pays once the last of its tasks has."""

from collections.abc import Sequence

from crdt.facts import Move, PoolOpened, PoolSplit, TaskEnded
from protocols.economy.books import Books, Part, compute_moves
from protocols.economy.model import Pool, Task, TaskOutcome


def open_pool(books: Books, requester: bytes, amount: int, tasks: Sequence[bytes]) -> None:
    """Put `amount` into escrow for the excellent executions among `tasks`, which are open."""
    pool = Pool(id=tasks[0], requester=requester, amount=amount, open=len(tasks))
    books.pools[pool.id] = pool
    for id_ in tasks:
        books.tasks[id_].pool = pool.id
    books.emit(
        PoolOpened(
            pool=pool.id,
            requester=requester,
            amount=amount,
            tasks=tuple(tasks),
            moves=compute_moves((requester, "free", requester, "escrow", amount)),
        )
    )


def end_task(
    books: Books,
    task: Task,
    outcome: TaskOutcome,
    moves: tuple[Move, ...],
    *,
    output: bytes | None = None,
    winner: bytes | None = None,
) -> None:
    """The task is over. `winner` is who did it excellently, for the pool."""
    books.emit(TaskEnded(task=task.id, outcome=outcome, output=output, moves=moves))
    books.remove_task(task)
    if task.pool is None:
        return
    pool = books.pools[task.pool]
    pool.open -= 1
    if winner is not None:
        pool.winners = (*pool.winners, winner)
    if not pool.open:
        _split(books, pool)


def _split(books: Books, pool: Pool) -> None:
    del books.pools[pool.id]
    share = pool.amount // len(pool.winners) if pool.winners else 0
    rest = pool.amount - share * len(pool.winners)
    parts: list[Part] = [
        (pool.requester, "escrow", winner, "free", share) for winner in pool.winners
    ]
    parts.append((pool.requester, "escrow", pool.requester, "free", rest))
    books.emit(
        PoolSplit(
            pool=pool.id,
            requester=pool.requester,
            share=share,
            winners=pool.winners,
            moves=compute_moves(*parts),
        )
    )
