"""The file that proves an auction's result, out of this node's ledger file. Reads, writes nothing
but what the caller does with the bytes."""

from pathlib import Path

from identity.errors import EconodeError
from node.ledger_file import damaged, open_readonly
from node.ledger_prove import ProofReader
from node.problem import Problem
from protocols.auction.result_file import ResultFile, encode_result
from protocols.genesis import Genesis

KINDS = ("auction_ended", "awarded")
"""Facts that hold a result: of a general auction, of a round of a task's."""


def make_result_file(path: Path, genesis: Genesis, prefix: str) -> bytes:
    """The bytes of the file about the auction, or the last awarded round of the task, whose id
    begins with the hex digits `prefix`, in the founding committee.

    Raises Problem when there is no such result in the ledger at `path`, or none certified yet.
    """
    committee = genesis.make_committee()
    with open_readonly(path) as connection:
        connection.execute("BEGIN")  # one state of the file for all the questions
        reader = ProofReader(connection, path, committee.id)
        try:
            position, item = reader.find_last(prefix, KINDS)
            proof = reader.prove_item(committee.network, position, item)
        except (EconodeError, TypeError) as error:
            if isinstance(error, Problem):
                raise
            raise damaged(path, str(error)) from None
    return encode_result(ResultFile(genesis, proof))
