"""Files of evidence: read with a bound, and checked without a node."""

from pathlib import Path
from typing import Any

from identity.errors import InvalidBytes
from identity.keys import compute_peer_id
from node.files import read_bounded
from node.problem import Problem
from protocols import evidence
from protocols.committee import Committee
from protocols.evidence import EVIDENCE_FILE_BYTES_MAX, UnknownMembers
from protocols.light import Anchor


def read_bytes(path: Path) -> bytes:
    """The file's content. Raises Problem when it is larger than any evidence."""
    return read_bounded(path, EVIDENCE_FILE_BYTES_MAX)


def verify_file(path: Path, anchor: Anchor) -> dict[str, Any]:
    """What the evidence at `path` proves to who trusts `anchor`. Raises Problem when that is
    nothing."""

    def find(committee: bytes, epoch: int) -> Committee | None:
        if (committee, epoch) != (anchor.committee, anchor.epoch):
            return None
        return Committee(anchor.network, committee, epoch, anchor.members, anchor.start)

    try:
        file = evidence.decode_file(read_bytes(path))
        told = evidence.check_network(file, anchor.network)
        claim = evidence.check(told, anchor.network, find)
        signers = (
            evidence.list_double_signers(told, anchor.network) if told.kind == "committee" else ()
        )
    except UnknownMembers as unknown:
        raise Problem(
            "unknown-members",
            f"it needs the members of committee {unknown.claim.committee.hex()} at epoch "
            f"{unknown.claim.epoch}, and the trusted file names those of epoch {anchor.epoch}",
            where=str(path),
            remedy="give an anchor of that committee and epoch: --anchor FILE",
        ) from None
    except InvalidBytes as error:
        raise Problem(
            "no-evidence",
            f"it proves nothing: {error.reason}",
            where=str(path),
            remedy="take the file anew, and check it against the genesis of that network",
        ) from None
    is_committee = claim.kind == "committee"
    return {
        "proven": True,
        "id": claim.id.hex(),
        "kind": claim.kind,
        "offender": claim.offender.hex() if is_committee else compute_peer_id(claim.offender),
        "committee": "" if claim.kind == "log" else claim.committee.hex(),
        "epoch": claim.epoch,
        "statement": claim.statement,
        "slot": list(claim.slot),
        "double_signers": [
            compute_peer_id(evidence.read_claim(each, anchor.network).offender) for each in signers
        ],
    }
