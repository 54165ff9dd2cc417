"""Receipts for two submissions at once: each gathers its own."""

import hashlib

import trio

from identity import envelope, schema
from identity.envelope import Context
from identity.keys import PrivateKey
from node.receipts import Receipts, check_receipt
from protocols.committee import Committee
from protocols.economy.operations import RECEIPT_KIND, Receipt
from protocols.messages import GiveReceipt, WantReceipt

MEMBERS = [PrivateKey(bytes([n]) * 32) for n in range(1, 5)]
ME, *OTHERS = MEMBERS
COMMITTEE = Committee(bytes(32), bytes(16), 0, tuple(sorted(key.public for key in MEMBERS)))


class Held:
    """Blobs that every member takes at once."""

    async def push(self, digest, size, peers, enough):
        await trio.lowlevel.checkpoint()
        return set(peers)


async def test_two_questions_at_once_get_their_own_answers(autojump_clock):
    asked: list[tuple[bytes, WantReceipt]] = []
    receipts = Receipts(
        lambda: COMMITTEE, ME, Held(), lambda peer, want: asked.append((peer, want))
    )
    others = [key.public for key in OTHERS]
    blobs = [hashlib.sha256(b"%d" % n).digest() for n in range(2)]
    found = {}

    async def gather(blob):
        found[blob] = await receipts.gather({blob: 1}, others)

    async def answer():
        while True:
            await trio.sleep(1)  # when whoever asks has asked
            for peer, want in asked:
                key = next(key for key in OTHERS if key.public == peer)
                place = Context(COMMITTEE.network, COMMITTEE.id, 0, RECEIPT_KIND)
                statement = envelope.sign(key, place, schema.encode(Receipt(want.blobs)))
                receipts.handle(peer, GiveReceipt(committee=COMMITTEE.id, receipt=statement.data))
            asked.clear()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        async with trio.open_nursery() as gathering:
            for blob in blobs:
                gathering.start_soon(gather, blob)
        nursery.cancel_scope.cancel()
    for blob in blobs:
        signers = {check_receipt(COMMITTEE, data)[0] for data in found[blob]}
        assert len(signers) > COMMITTEE.f
        assert all(blob in check_receipt(COMMITTEE, data)[1].blobs for data in found[blob])
