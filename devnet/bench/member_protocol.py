"""What the bench and a member process say to each other: one JSON document a line."""

from typing import Literal

import msgspec

EVENTS_MAX = 256


class Event(msgspec.Struct, frozen=True):
    """A link was lost, or a view was left (a VIEW-CHANGE is durable) or begun."""

    name: Literal["link_lost", "view_left", "view_begun"]
    at_s: float
    subject: str
    """The PeerId, or the view's number."""


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
    view: int
    position: int
    """Of the last executed batch."""
    head: str
    """Hash of the log up to there, in hex."""
    longest_gap_s: tuple[float, float]
    """When the longest time without an executed operation began and ended, since the last reading;
    on the clock of `at_s`. Equal numbers when there was none."""
    queues: dict[str, int]
    """How much waits or is kept, by name; each has a bound in the code."""
    events: tuple[Event, ...]
    """Since the last reading, at most EVENTS_MAX."""
    transfers: int
    """Fetched states that this process went on from."""
    latencies_ms: tuple[float, ...]
    """Of this member's own load, ascending: from submitting to executed here."""


Command = Meet | Load | Read
