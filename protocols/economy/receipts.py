"""Receipts: a member's signed word that it holds blobs."""

from identity import envelope, schema
from identity.errors import InvalidSchema
from protocols.committee import Committee
from protocols.economy.operations import (
    RECEIPT_BYTES_MAX,
    RECEIPT_KIND,
    STATEMENT_EPOCH,
    Receipt,
)


def check_receipt(committee: Committee, data: bytes) -> tuple[bytes, Receipt]:
    """The signer of a receipt for `committee` and what it holds. Raises InvalidBytes."""
    statement = envelope.parse(data, size_max=RECEIPT_BYTES_MAX)
    place = (statement.kind, statement.committee, statement.epoch)
    if place != (RECEIPT_KIND, committee.id, STATEMENT_EPOCH):
        raise InvalidSchema("not a receipt for this committee")
    receipt = schema.decode(statement.payload, Receipt, size_max=RECEIPT_BYTES_MAX)
    statement.check(committee.network)
    return statement.signer, receipt
