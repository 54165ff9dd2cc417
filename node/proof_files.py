"""Answers of the local API that came with their proof, as files: see `node/proven.py`."""

import hashlib
from pathlib import Path

from identity.errors import EconodeError
from node.problem import Problem
from node.proven import DOCUMENT_BYTES_MAX, Proven, Trust, check_document
from protocols.economy.operations import BLOB_BYTES_MAX
from protocols.light import StaleAnchor


def verify_document(path: Path, trust: Trust, now_ms: int) -> Proven:
    """What the answer at `path` says, every byte of it proven. Raises Problem otherwise."""
    try:
        return check_document(_read(path, DOCUMENT_BYTES_MAX), trust, now_ms)
    except StaleAnchor as error:
        raise Problem(
            "stale-anchor",
            str(error),
            where=str(path),
            remedy="trust a newer one: --anchor with a file that `econode ledger verify --light "
            "FILE --save-anchor` wrote here or at somebody you trust",
        ) from None
    except EconodeError as error:
        if isinstance(error, Problem):
            raise
        raise Problem(
            "not-proven",
            f"it proves nothing: {error}",
            where=str(path),
            remedy="take it anew (econode proof get, or ?proof=1), and check it against the "
            "genesis of that network",
        ) from None


def check_result(path: Path, proven: Proven) -> None:
    """Raise Problem unless the file at `path` is the result that `proven` names."""
    digest = hashlib.sha256(_read(path, BLOB_BYTES_MAX)).hexdigest()
    if digest not in {fact.get("output") for fact in proven.facts}:
        raise Problem(
            "another-result",
            "the file is not the result that is proven",
            where=str(path),
            remedy="fetch it anew: econode task result TASK --out FILE",
        )


def _read(path: Path, size_max: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(size_max + 1)
    if len(data) > size_max:
        raise Problem("too-large", f"more than {size_max} bytes", where=str(path))
    return data
