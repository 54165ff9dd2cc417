"""What a node tells its owner of anomalies. The contract is `NodeService`'s."""

from node.answer import Answer


class AnomalyFound(Answer, frozen=True):
    """A reason to look, not a verdict: `subjects` (PeerIds; none for the committee itself) show
    `observed` where `low` to `high` is usual, over `count` observations; `unit` is ppm, ms or
    credits. `capability` is a name or an id. A screen's has its `numbers` instead, and `rule` says
    of each what it compares."""

    kind: str
    subjects: tuple[str, ...]
    capability: str | None
    unit: str | None
    observed: int | None
    low: int | None
    high: int | None
    count: int | None
    since_ms: int | None
    numbers: dict[str, int]
    rule: str


class Anomalies(Answer, frozen=True):
    """What is unusual in the entries from `first` to `last`, of which `skipped` were left out
    because too many came at once."""

    first: int
    last: int
    skipped: int
    anomalies: tuple[AnomalyFound, ...]
