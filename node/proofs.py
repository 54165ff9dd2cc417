"""Light proofs for this node's owner: made of its ledger, and checked with its genesis alone."""

import time
from pathlib import Path
from typing import Protocol

import trio

from identity.errors import EconodeError
from node import ledger_prove
from node.answer import Answer, FactDocument
from node.light_files import describe
from node.problem import Problem
from node.proven import About, Proven, Trust, make_document
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
    facts: tuple[FactDocument, ...]


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

    async def prove(self, committee: bytes, about: About, id_: str) -> Proven:
        """What is certified of something: a task, auction, variable, market or offence by its id
        (hex), an account by its PeerId, the members by "". Problems: not-found, not-certified,
        not-provable, epoch-not-held, too-large."""
        ...


class Proofs:
    """Implements ProofService over the ledger file at `path`."""

    def __init__(self, path: Path, genesis: Genesis) -> None:
        self._path = path
        self._network = genesis.compute_network_id()
        self._anchor = make_anchor(genesis)
        self._trust = Trust(genesis, self._anchor)

    async def of_task(self, committee: bytes, prefix: str) -> bytes:
        return await trio.to_thread.run_sync(lambda: self._prove_light(committee, task=prefix))

    async def of_entry(self, committee: bytes, position: int) -> bytes:
        return await trio.to_thread.run_sync(
            lambda: self._prove_light(committee, position=position)
        )

    def _prove_light(self, committee: bytes, *, task: str = "", position: int = 0) -> bytes:
        return encode_bundle(
            ledger_prove.prove(self._path, self._network, committee, task=task, position=position)
        )

    async def prove(self, committee: bytes, about: About, id_: str) -> Proven:
        if committee != self._anchor.committee:
            raise Problem(
                "not-provable",
                "only what the founding committee decided is proven from the genesis",
                remedy="see what another committee decided with `econode ledger verify`",
                status=409,
            )
        return await trio.to_thread.run_sync(self._prove, about, id_)

    def _prove(self, about: About, id_: str) -> Proven:
        """In a thread. The time is the genesis': this node followed the log itself."""
        proof = ledger_prove.prove_about(
            self._path, self._network, self._anchor.committee, about, id_
        )
        try:
            return make_document(about, id_, proof, self._trust, self._anchor.time_ms)
        except EconodeError as error:
            raise Problem("not-proven", f"it proves nothing: {error}", status=409) from None

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
