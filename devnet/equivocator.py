"""A node that equivocates whenever it leads: `python -m devnet.equivocator start --home DIR`.

It is the product's node in all but one thing: where its consensus core proposes a batch of
operations, some members are sent another proposal for the same slot, an empty one under a good
signature. At odd positions one member is told so, who must find out and catch up; at even ones
half of them, so that no digest may get its quorum and the view must change.
"""

from collections.abc import Callable

from identity import envelope, schema
from node.cli import main
from node.driver import Driver
from protocols.messages import (
    PRE_PREPARE_KIND,
    VOTE_BYTES_MAX,
    PrePrepare,
    Propose,
    compute_batch_digest,
)
from protocols.pbft.core import Core
from protocols.step import Send


def choose_fooled(core: Core, seq: int) -> tuple[bytes, ...]:
    """Who is told something else at `seq`."""
    others = [member for member in core.committee.members if member != core.me]
    return tuple(others[: 1 if seq % 2 else (len(others) + 1) // 2])


def tell(core: Core, peer: bytes, hop: Propose) -> Propose:
    """The proposal for `peer`: the core's, or the other one."""
    statement = envelope.parse(hop.pre_prepare, size_max=VOTE_BYTES_MAX)
    said = schema.decode(statement.payload, PrePrepare, size_max=VOTE_BYTES_MAX)
    if not hop.operations or statement.signer != core.me:
        return hop
    if peer not in choose_fooled(core, said.seq):
        return hop
    other = PrePrepare(said.view, said.seq, compute_batch_digest(hop.time_ms, ()))
    return Propose(
        committee=hop.committee,
        pre_prepare=core.sign(PRE_PREPARE_KIND, other).data,
        time_ms=hop.time_ms,
        operations=(),
        clock=hop.clock,
    )


def equivocate(honest: Callable[[Driver, Send], None]) -> Callable[[Driver, Send], None]:
    """What stands for `Driver.send`."""

    def send(driver: Driver, item: Send) -> None:
        message = item.message
        if not isinstance(message, Propose) or message.committee not in driver.router.seats:
            honest(driver, item)
            return
        core = driver.router.seats[message.committee].core
        everybody = [member for member in core.committee.members if member != core.me]
        for peer in everybody if item.to is None else [item.to]:
            honest(driver, Send(peer, tell(core, peer, message)))

    return send


if __name__ == "__main__":
    setattr(Driver, "send", equivocate(Driver.send))  # noqa: B010 - a method is replaced on purpose
    main()
