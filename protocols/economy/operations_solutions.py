"""The operation that submits a better set of bundles."""

from crdt.facts_solutions import SolutionProof, Winners
from identity.schema import Digest
from protocols.economy.body import Body


class SubmitSolution(Body, frozen=True, tag="submit_solution"):
    """Better winners for a combinatorial auction that waits for them, or a proof of how good they
    are. Nobody is trusted: members check that they may win, compare them, and check the proof."""

    auction: Digest
    winners: Winners
    proof: SolutionProof | None
