"""Defects of state transfer."""

from devnet.sim.defects.patch import make
from devnet.sim.defects.relevance import both, habit, interrupts_loads, seeks_states, transfers

_TRANSFER = "protocols.pbft.state_transfer:StateTransfer"
_LIES = both(habit("false_state"), transfers)

DEFECTS = (
    make(
        "offers_uncertified",
        "an offered state needs no quorum",
        (f"{_TRANSFER}._parse", "certificate.check(committee.members, committee.q)", "pass"),
        shows=_LIES,
    ),
    make(
        "offers_like_others_uncertified",
        "the certificate of an offer is believed when another one is for the same state",
        (
            f"{_TRANSFER}._parse",
            "source.target != target",
            "not (source.target and source.target.place == target.place)",
        ),
        shows=_LIES,
    ),
    make(
        "chunks_unproven",
        "a chunk needs no path to the root",
        (
            f"{_TRANSFER}.on_chunk",
            "elif not is_chunk(given.data, given.chunk, given.path, target.size, target.root):",
            "elif False:",
        ),
        equivalent_because="the whole state is held against its root again before it is loaded: "
        "a false chunk only costs time",
        shows=_LIES,
    ),
    make(
        "whole_state_not_loaded",
        "a state that was whole when the process ended is not loaded by the next one",
        (
            f"{_TRANSFER}._choose",
            "self._go_on(now_ms, step)",
            "self._request(now_ms, step)",
        ),
        shows=interrupts_loads,
    ),
    make(
        "transferred_backwards",
        "a state is loaded although its positions have come as batches",
        (
            f"{_TRANSFER}._is_reached",
            "self._target.checkpoint.seq > self._core.executed",
            "True",
        ),
        shows=seeks_states,
    ),
)
