"""Receipts: members sign that they hold the inputs of tasks, before the tasks are opened."""

from collections.abc import Callable, Collection, Iterable, Mapping

import trio

from identity import envelope, schema
from identity.envelope import Context, Statement
from identity.errors import EconodeError
from identity.keys import PrivateKey
from node.blobs import Blobs
from protocols.committee import Committee
from protocols.economy.operations import RECEIPT_KIND, STATEMENT_EPOCH, Receipt
from protocols.economy.receipts import check_receipt
from protocols.messages import GiveReceipt, Hop, WantReceipt

BLOBS_MAX = 64
ANSWER_SECONDS_MAX = 10.0
PUSH_SECONDS_MAX = 60.0


class NotHeld(EconodeError):
    """Too few members took an input blob in time."""


class Receipts:
    """Gives receipts for what this node holds, and gathers those of others."""

    def __init__(
        self,
        get_committee: Callable[[], Committee],
        key: PrivateKey,
        blobs: Blobs,
        send: Callable[[bytes, Hop], None],
    ) -> None:
        self._get_committee = get_committee
        self._key = key
        self._blobs = blobs
        self._send = send
        self._answers: dict[bytes, list[bytes]] = {}
        self._arrived = trio.Event()
        self._asking = trio.Lock()

    @property
    def _committee(self) -> Committee:
        return self._get_committee()

    def handle(self, peer: bytes, message: WantReceipt | GiveReceipt) -> None:
        """Raises InvalidBytes for a receipt that is none."""
        match message:
            case WantReceipt():
                held = [digest for digest in message.blobs if self._blobs.store.store.has(digest)]
                if held and self._committee.is_member(self._key.public):
                    answer = self._sign(held).data
                    self._send(peer, GiveReceipt(committee=self._committee.id, receipt=answer))
            case GiveReceipt():
                signer, _ = check_receipt(self._committee, message.receipt)
                if signer == peer and peer in self._answers:
                    self._answers[peer].append(message.receipt)
                    self._arrived.set()

    async def gather(self, blobs: Mapping[bytes, int], members: Collection[bytes]) -> list[bytes]:
        """Push stored blobs (digest -> size) to `members`, and return receipts that show f+1
        members holding each. At most BLOBS_MAX blobs. Raises NotHeld."""
        needed = self._committee.f + 1
        own = self._committee.is_member(self._key.public)
        receipts = [self._sign(sorted(blobs)).data] if own else []
        if own and needed == 1:
            return receipts
        holders = await self._push(blobs, members, needed)
        async with self._asking:  # `_answers` belongs to one question at a time
            return receipts + await self._ask(blobs, holders, members, receipts)

    async def _ask(
        self,
        blobs: Mapping[bytes, int],
        holders: Mapping[bytes, set[bytes]],
        members: Collection[bytes],
        own: list[bytes],
    ) -> list[bytes]:
        needed = self._committee.f + 1
        self._answers = {peer: [] for peer in members}
        for peer in members:
            held = tuple(digest for digest in sorted(blobs) if peer in holders[digest])
            if held:
                self._send(peer, WantReceipt(committee=self._committee.id, blobs=held))
        with trio.move_on_after(ANSWER_SECONDS_MAX):
            while not self._is_covered(blobs, own, needed):
                self._arrived = trio.Event()
                await self._arrived.wait()
        found = [answer for answers in self._answers.values() for answer in answers]
        is_covered, self._answers = self._is_covered(blobs, own, needed), {}
        if not is_covered:
            raise NotHeld(f"fewer than {needed} members signed that they hold every input")
        return found

    async def _push(
        self, blobs: Mapping[bytes, int], members: Collection[bytes], needed: int
    ) -> dict[bytes, set[bytes]]:
        holders: dict[bytes, set[bytes]] = {digest: set() for digest in blobs}

        async def push(digest: bytes, size: int) -> None:
            holders[digest] = await self._blobs.push(digest, size, members, needed)

        with trio.move_on_after(PUSH_SECONDS_MAX):
            async with trio.open_nursery() as nursery:
                for digest, size in blobs.items():
                    nursery.start_soon(push, digest, size)
        return holders

    def _is_covered(self, blobs: Iterable[bytes], own: list[bytes], needed: int) -> bool:
        held: dict[bytes, set[bytes]] = {digest: set() for digest in blobs}
        for data in [*own, *(a for answers in self._answers.values() for a in answers)]:
            signer, receipt = check_receipt(self._committee, data)
            for digest in receipt.blobs:
                held.setdefault(digest, set()).add(signer)
        return all(len(held[digest]) >= needed for digest in blobs)

    def _sign(self, blobs: Iterable[bytes]) -> Statement:
        committee = self._committee
        place = Context(committee.network, committee.id, STATEMENT_EPOCH, RECEIPT_KIND)
        return envelope.sign(self._key, place, schema.encode(Receipt(tuple(blobs))))
