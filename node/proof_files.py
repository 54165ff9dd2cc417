"""Answers of the local API that came with their proof, as files: see `node/proven.py`."""

import hashlib
from pathlib import Path

from node.files import read_bounded
from node.light_files import explain_unproven
from node.problem import Problem
from node.proven import DOCUMENT_BYTES_MAX, Proven, Trust, check_document
from protocols.economy.operations import BLOB_BYTES_MAX


def verify_document(path: Path, trust: Trust, now_ms: int) -> Proven:
    """What the answer at `path` says, every byte of it proven. Raises Problem otherwise."""
    remedy = (
        "take it anew (econode proof get, or ?proof=1), and check it against the genesis of that "
        "network"
    )
    with explain_unproven(path, remedy):
        return check_document(read_bounded(path, DOCUMENT_BYTES_MAX), trust, now_ms)


def check_result(path: Path, proven: Proven) -> None:
    """Raise Problem unless the file at `path` is the result that `proven` names."""
    digest = hashlib.sha256(read_bounded(path, BLOB_BYTES_MAX)).hexdigest()
    if digest not in {fact.get("output") for fact in proven.facts}:
        raise Problem(
            "another-result",
            "the file is not the result that is proven",
            where=str(path),
            remedy="fetch it anew: econode task result TASK --out FILE",
        )
