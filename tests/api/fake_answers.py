"""Idempotency keys of the fake node, in memory."""

from node.idempotency import KeptAnswer


class FakeAnswers:
    """Implements node.idempotency.AnswerStore, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, KeptAnswer] = {}

    async def read(self, key: str) -> KeptAnswer | None:
        return self.kept.get(key)

    async def write(self, key: str, kept: KeptAnswer | None) -> None:
        if kept is None:
            del self.kept[key]
        else:
            self.kept[key] = kept
