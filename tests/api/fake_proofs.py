"""The light proofs of the fake node."""

from node.problem import Problem, not_found
from node.proofs import ProofChecked
from node.proven import About, Proven


class FakeProofs:
    """Implements node.proofs.ProofService: tasks of nobody, and proofs that prove nothing."""

    async def of_task(self, committee: bytes, prefix: str) -> bytes:
        raise not_found("task", prefix)

    async def prove(self, committee: bytes, about: About, id_: str) -> Proven:
        raise Problem("not-certified", "no quorum signed it", status=409)

    async def of_entry(self, committee: bytes, position: int) -> bytes:
        raise not_found("position", str(position))

    async def check(self, data: bytes) -> ProofChecked:
        raise Problem("not-proven", "it proves nothing", status=422)
