"""The borders of the fake node: none."""

from node.crossing_answers import (
    Crossing,
    CrossingRequest,
    Crossings,
    Funding,
    FundingRequest,
    Fundings,
)
from node.problem import Problem, not_found


class FakeCrossings:
    """Implements node.crossing_answers.CrossingService: one committee has no neighbours."""

    async def export(self, wanted: CrossingRequest) -> Crossing:
        raise Problem("no-border", f"no border to {wanted.to_committee}", status=409)

    async def crossing(self, operation: str) -> Crossing:
        raise not_found("transfer", operation)

    async def crossings(self) -> Crossings:
        return Crossings(borders=(), crossings=())

    async def fund_tasks(self, wanted: FundingRequest) -> Funding:
        raise Problem("no-border", f"no border to {wanted.funded_by}", status=409)

    async def funding(self, prefix: str) -> Funding:
        raise not_found("funding", prefix)

    async def fundings(self) -> Fundings:
        return Fundings(fundings=())
