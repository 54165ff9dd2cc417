"""What an account tells the owner of an operation."""

import pytest

from crdt import log
from identity import envelope
from identity.errors import EconodeError
from node.account import Account, Ordered
from protocols.economy.operations import Transfer, decode_operation
from protocols.pbft.pool import Request
from protocols.step import Executed, Step
from protocols.submitter import RESEND_MS, Submitter
from tests.pbft.world import World


class Queue:
    """The driver's `post`: keeps the inputs until a test runs them."""

    def __init__(self) -> None:
        self.inputs = []

    def post(self, item) -> bool:
        self.inputs.append(item)
        return True

    def run(self) -> list[Step]:
        inputs, self.inputs = self.inputs, []
        return [item(1_000_000) for item in inputs]


class Bench:
    def __init__(self) -> None:
        world = World(4)
        self.queue, self.seat = Queue(), world.nodes[0].seat
        self.committee, self.client = world.committee, world.client
        submitter = Submitter(world.committee, world.client, 1)
        self.account = Account(self.queue, self.seat, submitter)

    def submit(self) -> Ordered:
        ordered = self.account.try_submit(Transfer(to=self.committee.members[0], amount=1))
        assert ordered is not None
        return ordered

    def execute(self, *requests: Request) -> Executed:
        application = self.seat.core.application
        seq = application.get_position() + 1
        application.execute(seq, 0, bytes(32), requests)
        entry = log.append(self.committee.id, seq, bytes(32), 0, [])
        return Executed(
            committee=self.committee.id,
            seq=seq,
            digest=bytes(32),
            time_ms=0,
            operations=tuple(r.data for r in requests),
            operation_digests=tuple(r.digest for r in requests),
            proof=(),
            entry=entry,
            facts=(),
        )


async def test_two_batches_in_one_step_are_told_one_after_the_other():
    bench = Bench()
    ordered = [bench.submit(), bench.submit()]
    executed = [bench.execute(item.request) for item in ordered]
    for batch in executed:
        bench.account.on_executed(batch)
    for item, batch in zip(ordered, executed, strict=True):
        await item.wait()
        assert item.position == batch.seq
    assert len(bench.account) == 0


async def test_an_operation_that_lost_its_nonce_is_told_so():
    bench, other = Bench(), Bench()
    ordered, rival = bench.submit(), Submitter(other.committee, other.client, 1)
    winner = rival.sign(Transfer(to=other.committee.members[1], amount=2))
    assert winner is not None
    bench.account.on_executed(bench.execute(winner))
    with pytest.raises(EconodeError, match="same nonce"):
        await ordered.wait()


async def test_what_is_submitted_together_goes_out_in_one_message():
    bench = Bench()
    for _ in range(5):
        bench.submit()
    (step,) = bench.queue.run()
    submits = [send.message for send in step.sends if hasattr(send.message, "operations")]
    assert [len(submit.operations) for submit in submits if not hasattr(submit, "clock")] == [5]
    bench.submit()
    assert len(bench.queue.run()) == 1


def list_sent(steps: list[Step]) -> list[int]:
    """Nonces of the operations that went out, in order."""
    submits = [send.message for step in steps for send in step.sends]
    data = next((m.operations for m in submits if hasattr(m, "operations")), ())
    return [decode_operation(envelope.parse(d, size_max=1 << 16).payload).nonce for d in data]


async def test_what_is_prepared_is_sent_when_it_is_released():
    bench = Bench()
    ordered = bench.account.prepare(Transfer(to=bench.committee.members[0], amount=1))
    assert ordered is not None
    assert not bench.queue.run()
    for now_ms in (1_000_000, 1_000_000 + RESEND_MS):
        # as its `run` does, twice RESEND_MS: nothing goes out
        assert not list_sent([bench.account._resend(now_ms)])
    bench.account.release(ordered)
    assert list_sent(bench.queue.run()) == [1]


async def test_a_prepared_operation_goes_on_after_a_restart():
    """Two that were signed before it are lost, and with them their nonces."""
    before = Bench()
    for _ in range(2):
        before.submit()
    kept = before.account.prepare(Transfer(to=before.committee.members[0], amount=9))
    assert kept is not None
    bench = Bench()
    ordered = bench.account.resume(kept.request.data)
    assert ordered is not None
    assert list_sent(bench.queue.run()) == [1, 2, 3]
    assert bench.submit().request.operation.nonce == 4
    batch = bench.execute(*(o.request for o in bench.account._ordered.values()))
    bench.account.on_executed(batch)
    await ordered.wait()
    assert ordered.position == batch.seq


async def test_a_prepared_operation_whose_nonce_is_used_is_not_taken_up():
    before = Bench()
    kept = before.account.prepare(Transfer(to=before.committee.members[0], amount=9))
    assert kept is not None
    bench = Bench()
    bench.account.on_executed(bench.execute(bench.submit().request))
    bench.queue.run()
    assert bench.account.resume(kept.request.data) is None
    assert not bench.queue.run()
    assert bench.submit().request.operation.nonce == 2
