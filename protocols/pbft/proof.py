"""The commit certificate of a slot: q COMMITs over one digest, checkable by anyone."""

from collections.abc import Sequence

from identity import envelope, schema
from identity.errors import InvalidCertificate
from protocols.committee import Committee
from protocols.messages import COMMIT_KIND, VOTE_BYTES_MAX, Commit
from protocols.pbft.quorum import Check


def check_commit_proof(
    committee: Committee, seq: int, digest: bytes, proof: Sequence[bytes], check: Check
) -> None:
    """Raise unless q distinct members' COMMITs of one view hold `digest` at `seq`."""
    signers: set[bytes] = set()
    views: set[int] = set()
    for data in proof:
        statement = envelope.parse(data, size_max=VOTE_BYTES_MAX)
        commit = schema.decode(statement.payload, Commit, size_max=VOTE_BYTES_MAX)
        place = (statement.kind, statement.committee, statement.epoch, commit.seq, commit.digest)
        if place != (COMMIT_KIND, committee.id, committee.epoch, seq, digest):
            raise InvalidCertificate("a COMMIT of another slot or digest")
        if not committee.is_member(statement.signer):
            raise InvalidCertificate("a COMMIT of a stranger")
        check(statement)
        signers.add(statement.signer)
        views.add(commit.view)
    if len(signers) < committee.q or len(views) != 1:
        raise InvalidCertificate(f"{len(signers)} COMMITs, {committee.q} of one view are needed")
