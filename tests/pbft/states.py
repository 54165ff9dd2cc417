"""The states that a node of the tests' world keeps, as its ledger would."""

from devnet.sim.disk import answer_from
from identity import schema
from identity.certificate import Certificate
from protocols.messages import Checkpoint, GiveState, OfferState
from protocols.pbft.application import Application
from protocols.state_tree import digest_state
from protocols.step import (
    ChunkFetched,
    Persist,
    ServeChunks,
    ServeOffer,
    Snapshot,
    TransferBegun,
    Transferred,
)


class States:
    """The states that one node keeps: its snapshots, and the one that it fetches."""

    def __init__(self) -> None:
        self.snapshots: dict[int, Snapshot] = {}
        self.coming: TransferBegun | None = None
        self.chunks: dict[int, bytes] = {}

    def keep(self, event: Snapshot | TransferBegun | ChunkFetched | Transferred) -> None:
        match event:
            case Snapshot():
                self.snapshots[event.position] = event
                for old in sorted(self.snapshots)[:-2]:
                    del self.snapshots[old]
            case TransferBegun():
                self.coming, self.chunks = event, {}
            case ChunkFetched():
                assert self.coming is not None
                assert self.coming.position == event.position
                self.chunks[event.chunk] = event.data
            case Transferred():
                state = b"".join(data for _, data in sorted(self.chunks.items()))
                assert len(state) == event.size
                place = (event.committee, event.position, event.certificate)
                self.snapshots[event.position] = Snapshot(*place, state)
                self.coming, self.chunks = None, {}

    def load(self, application: Application) -> list[Persist]:
        """Begin from the newest; the row of its stable checkpoint."""
        if not self.snapshots:
            return []
        newest = self.snapshots[max(self.snapshots)]
        certificate = Certificate.decode(newest.certificate, bytes(32), size_max=1 << 16)
        checkpoint = schema.decode(certificate.payload, Checkpoint, size_max=1 << 10)
        assert checkpoint.state == digest_state(newest.state)
        application.load_state(newest.state, newest.position, checkpoint.head)
        epoch = certificate.context.epoch
        place = (newest.committee, "stable", 0, newest.position)
        return [Persist(*place, newest.certificate, epoch)]

    def answer(self, serve: ServeOffer | ServeChunks) -> list[OfferState | GiveState]:
        return answer_from(self.snapshots, serve)
