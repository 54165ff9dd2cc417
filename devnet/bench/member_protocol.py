"""What the bench and a member process say to each other: one JSON document a line."""

import msgspec


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The node runs and listens here."""

    peer: str
    address: str


class Meet(msgspec.Struct, frozen=True, tag="meet"):
    """Where the other members listen, by PeerId."""

    addresses: dict[str, str]


class Load(msgspec.Struct, frozen=True, tag="load"):
    """Keep this many operations outstanding from now on; 0 ends the load and drains it."""

    outstanding: int


class Read(msgspec.Struct, frozen=True, tag="read"):
    """Give a reading now; latencies are those since the one before."""


class Reading(msgspec.Struct, frozen=True, tag="reading", kw_only=True):
    """Counters of one member since it started."""

    at_s: float
    """A clock that all processes of the machine share."""
    cpu_s: float
    rss_bytes: int
    frames_out: int
    bytes_out: int
    drops: int
    faults: int
    batches: int
    operations: int
    connected: int
    position: int
    """Of the last executed batch."""
    transfers: int
    """Fetched states that this process went on from."""
    latencies_ms: tuple[float, ...]
    """Of this member's own load, ascending: from submitting to executed here."""


Command = Meet | Load | Read
