"""Nodes that are no members: what they are told, and believe."""

from node.router import encode_frame
from protocols.messages import Batches, CommittedBatch
from tests.pbft.world import COMMITTEE, Node, World


def run(world: World, rounds: int = 15) -> None:
    for _ in range(rounds):
        world.tick(300)


def test_who_only_follows_gets_the_certificate_of_what_it_executed():
    world = World(4, spare=1)
    observer = world.nodes[4]
    for _ in range(3):
        world.submit()
        run(world)
        assert observer.core.executed == world.nodes[0].core.executed
        assert observer.core.heads.certified == observer.core.executed
    assert observer.core.executed in observer.certificates
    assert not world.faults


def test_certificates_come_although_the_last_batch_has_none_yet():
    """The last of the batches that are given is being signed; the one before is certified."""
    world = World(4, spare=1)
    observer = world.nodes[4]
    world.cut |= {(node.key.public, observer.key.public) for node in world.nodes[:4]}
    for _ in range(3):
        world.submit()
        run(world, 3)
    last = world.nodes[0].core.executed
    for node in world.nodes[:4]:
        assert node.certificates.pop(last)
    world.cut.clear()
    run(world, 4)
    assert (observer.core.executed, observer.core.heads.certified) == (last, last - 1)


def test_a_false_certificate_is_the_fault_of_who_gave_it():
    world = World(4, spare=1)
    observer, liar = world.nodes[4], world.nodes[0]
    honest = world.serve

    def serve(node: Node, to: bytes, start: int) -> None:
        if node is not liar:
            honest(node, to, start)
            return
        batches = [
            CommittedBatch(
                *(b.seq, b.time_ms, b.operations, b.proof, node.certificates.get(1, b"lie"))
            )
            for b in node.ledger
            if b.seq >= start
        ]
        answer = Batches(committee=COMMITTEE, batches=tuple(batches))
        world.queues[node.key.public, to].append(encode_frame(answer))

    world.serve = serve  # type: ignore[method-assign]
    for _ in range(6):
        world.submit()
        run(world)
    assert {fault.peer for fault in world.faults} <= {liar.key.public}
    assert observer.core.heads.certified == observer.core.executed
