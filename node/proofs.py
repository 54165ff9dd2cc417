"""Light proofs for this node's owner: made of its ledger, and checked with its genesis alone."""

import time
from pathlib import Path
from typing import Any, Protocol

import trio

from identity.errors import EconodeError
from node import ledger_prove
from node.answer import Answer
from node.light_files import describe
from node.problem import Problem
from protocols.genesis import Genesis
from protocols.light import decode_bundle, encode_bundle, make_anchor, verify_bundle


class ProofChecked(Answer, frozen=True):
    """What a light proof proves: facts of the entry at `position`, which `signers` of the `members`
    of an epoch certified with the one at `certified_position`."""

    position: int
    time_ms: int
    epoch: int
    certified_position: int
    signers: int
    members: int
    facts: tuple[dict[str, Any], ...]


class ProofService(Protocol):
    """See `node.service.NodeService` for what holds for all methods."""

    async def of_task(self, committee: bytes, prefix: str) -> bytes:
        """How the task whose id begins with `prefix` ended, as `econode ledger prove` writes it.
        Problems: not-found, ambiguous, not-certified, epoch-not-held."""
        ...

    async def of_entry(self, committee: bytes, position: int) -> bytes:
        """All facts of the entry at a position. Problems: the same."""
        ...

    async def check(self, data: bytes) -> ProofChecked:
        """What a light proof proves to whoever trusts this node's genesis. Problem: not-proven."""
        ...


class Proofs:
    """Implements ProofService over the ledger file at `path`."""

    def __init__(self, path: Path, genesis: Genesis) -> None:
        self._path = path
        self._network = genesis.compute_network_id()
        self._anchor = make_anchor(genesis)

    async def of_task(self, committee: bytes, prefix: str) -> bytes:
        return await trio.to_thread.run_sync(lambda: self._prove(committee, task=prefix))

    async def of_entry(self, committee: bytes, position: int) -> bytes:
        return await trio.to_thread.run_sync(lambda: self._prove(committee, position=position))

    def _prove(self, committee: bytes, *, task: str = "", position: int = 0) -> bytes:
        return encode_bundle(
            ledger_prove.prove(self._path, self._network, committee, task=task, position=position)
        )

    async def check(self, data: bytes) -> ProofChecked:
        now_ms = time.time_ns() // 1_000_000
        try:
            proven = await trio.to_thread.run_sync(
                lambda: verify_bundle(decode_bundle(data), self._anchor, now_ms)
            )
        except EconodeError as error:
            raise Problem(
                "not-proven",
                f"it proves nothing: {error}",
                remedy="take the proof anew; it must be of this network's founding committee",
                status=422,
            ) from None
        plain = describe(proven)
        del plain["proven"]
        return ProofChecked(**{**plain, "facts": tuple(plain["facts"])})
