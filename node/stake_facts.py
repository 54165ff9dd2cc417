"""Reads out of the ledger the facts about an account, each with what proves it.

A fact's Merkle path leads to its entry's root, headers link that entry to the next certified one,
and a quorum's certificate stands over that: `econode ledger prove --position` writes the same for
one position as a file that also proves who the quorum's members are.
"""

from collections.abc import Sequence
from itertools import groupby

from crdt import log
from crdt.facts import decode_fact
from node.describe import describe_fact, name_account
from node.ledger import Ledger
from node.ledger_history import make_place
from node.ledger_rows import FactRow, LedgerError
from node.pages import parse_place
from node.service_views import StakeFact, StakeFacts, StakeHeader

LINK_HEADERS_MAX = 256
"""Headers from a fact's entry to the certified one; certificates stand far closer."""


class StakeFactsReader:
    """Reads of one committee's facts."""

    def __init__(self, ledger: Ledger, committee: bytes) -> None:
        self._ledger, self._committee = ledger, committee

    async def read(self, account: bytes, limit: int, cursor: str | None) -> StakeFacts:
        """A page, newest first. Raises Problem for a cursor that is none."""
        rows = await self._ledger.read_facts(
            self._committee,
            count_max=limit,
            after=None if cursor is None else parse_place(cursor),
            account=account,
            newest_first=True,
        )
        certificates: dict[str, str] = {}
        found: list[StakeFact] = []
        for position, entry in groupby(rows, lambda row: row.position):
            found += await self._describe(position, list(entry), certificates)
        gaps = await self._ledger.read_gaps(self._committee)
        last = make_place(rows[-1].position, rows[-1].item) if len(rows) == limit else None
        return StakeFacts(
            account=name_account(account),
            facts=tuple(found),
            certificates=certificates,
            next=last,
            not_held=tuple(gaps),
        )

    async def _describe(
        self, position: int, rows: Sequence[FactRow], certificates: dict[str, str]
    ) -> list[StakeFact]:
        """Facts of one entry."""
        places = [row.item for row in rows]
        proofs = await self._ledger.prove_facts(self._committee, position, places)
        if proofs is None:
            raise LedgerError(f"the entry at {position} is not in the ledger")
        headers, certified = await self._link(proofs[0].header, certificates)
        described = tuple(map(_describe_header, headers))
        return [
            StakeFact(
                position=position,
                item=row.item,
                count=proof.count,
                fact=describe_fact(decode_fact(row.data)),
                data=proof.data.hex(),
                path=tuple(each.hex() for each in proof.path),
                headers=described,
                certified=certified,
            )
            for row, proof in zip(rows, proofs, strict=True)
        ]

    async def _link(
        self, header: log.Header, certificates: dict[str, str]
    ) -> tuple[list[log.Header], int | None]:
        """The headers from a fact's entry to the first certified one, which is added."""
        found = await self._ledger.find_certificate(self._committee, header.position)
        if found is None or found[0] - header.position >= LINK_HEADERS_MAX:
            return [header], None
        certified, certificate = found
        rest = await self._ledger.read_headers(self._committee, header.position + 1, certified)
        if len(rest) != certified - header.position:  # a gap lies between
            return [header], None
        certificates[str(certified)] = certificate.hex()
        return [header, *rest], certified


def _describe_header(header: log.Header) -> StakeHeader:
    return StakeHeader(
        position=header.position,
        previous=header.previous.hex(),
        time_ms=header.time_ms,
        root=header.root.hex(),
    )
