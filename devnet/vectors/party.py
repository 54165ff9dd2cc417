"""One member on the product's cores: what comes out of each input is a trace's step."""

from functools import partial

from devnet.vectors.trace_form import MemberStep, Sent
from identity.errors import InvalidBytes
from identity.keys import PrivateKey
from node.router import Router, Seat, decode_frame, encode_frame, pack_votes
from protocols.economy.chain import Chain
from protocols.economy.receipts import check_receipt
from protocols.genesis import Genesis
from protocols.messages import CommitteeMessage
from protocols.pbft.core import Core
from protocols.step import Send, Step


class Party:
    """A member with an empty vote log."""

    def __init__(self, genesis: Genesis, key: PrivateKey) -> None:
        committee = genesis.make_committee()
        self.public = key.public
        self.chain = Chain(genesis, committee, partial(check_receipt, committee))
        core = Core(
            committee,
            key,
            self.chain,
            lambda statement: statement.check(committee.network),
            checkpoint_batches=genesis.parameters.checkpoint_batches,
        )
        self.seat = Seat(core)
        self.router = Router([self.seat])

    def feed(self, step: MemberStep) -> tuple[MemberStep, list[Send]]:
        """Take the input of `step`; the step as it comes out, and what is to be sent."""
        now_ms, refused = step.now_ms, None
        match step.input:
            case "start":
                done = self.seat.restore((), now_ms)
            case "timer":
                done = self.router.on_timer(now_ms)
            case "durable":
                done = self.seat.on_durable(step.position, now_ms)
            case "frame":
                done, refused = self._hear(step)
        sends = [*done.sends, *pack_votes(done)]
        return self._tell(step, done, sends, refused), sends

    def _hear(self, step: MemberStep) -> tuple[Step, str | None]:
        peer = bytes.fromhex(step.peer)
        try:
            message = decode_frame(bytes.fromhex(step.frame))
        except InvalidBytes as error:
            return Step(), error.layer
        if not isinstance(message, CommitteeMessage):
            return Step(), None
        done = self.router.handle(peer, message, step.now_ms)
        layer = done.faults[0].reason.split(":")[0] if done.faults else None
        return done, layer

    def _tell(
        self, step: MemberStep, done: Step, sends: list[Send], refused: str | None
    ) -> MemberStep:
        return MemberStep(
            input=step.input,
            now_ms=step.now_ms,
            peer=step.peer,
            frame=step.frame,
            position=step.position,
            durable=tuple(row.kind for row in done.persist),
            sends=tuple(
                Sent(encode_frame(send.message).hex(), "" if send.to is None else send.to.hex())
                for send in sends
            ),
            executed=tuple(each.entry.header.hash().hex() for each in done.executed),
            certified=tuple(each.position for each in done.certified),
            evidence=tuple(
                (pair.first.data.hex(), pair.second.data.hex()) for pair in done.evidence
            ),
            refused=refused,  # type: ignore[arg-type]
            view=self.seat.core.view,
            position_after=self.chain.get_position(),
        )
