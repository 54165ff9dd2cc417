"""Chance that falls the same way in two worlds: ids that do not depend on what else was said.

Draws and ties follow from the id of their task or auction, and an id from its author's nonce. So a
requester that said one thing more before it opened a task would have other verifiers drawn.
"""

import contextlib
from collections.abc import Iterator

from protocols.economy import auctions, contracts
from protocols.economy.auction_model import compute_auction_id
from protocols.economy.model import compute_task_id


class SteadyIds:
    """The ids of one world: by the how-manyth opening of their author, in place of its nonce."""

    def __init__(self) -> None:
        self._nonces: dict[tuple[str, bytes], list[int]] = {}

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """While a batch is executed."""
        ours = (
            (contracts, "compute_task_id", self._compute_task_id),
            (auctions, "compute_auction_id", self._compute_auction_id),
        )
        former = [getattr(module, name) for module, name, _ in ours]
        try:
            for module, name, compute in ours:
                setattr(module, name, compute)
            yield
        finally:
            for (module, name, _), compute in zip(ours, former, strict=True):
                setattr(module, name, compute)

    def _compute_task_id(
        self, network: bytes, committee: bytes, requester: bytes, nonce: int, index: int
    ) -> bytes:
        rank = self._rank("task", requester, nonce)
        return compute_task_id(network, committee, requester, rank, index)

    def _compute_auction_id(
        self, network: bytes, committee: bytes, opener: bytes, nonce: int
    ) -> bytes:
        return compute_auction_id(network, committee, opener, self._rank("auction", opener, nonce))

    def _rank(self, what: str, author: bytes, nonce: int) -> int:
        nonces = self._nonces.setdefault((what, author), [])
        if nonce not in nonces:
            nonces.append(nonce)
        return nonces.index(nonce)
