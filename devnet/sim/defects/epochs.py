"""Defects of membership: where one epoch ends and the next begins."""

from devnet.sim.defects.patch import make
from devnet.sim.defects.relevance import both, changes_members, habit

DEFECTS = (
    make(
        "enters_uncertified",
        "the next epoch begins before a quorum of the former one has signed its end",
        (
            "protocols.pbft.epoch:is_over",
            "min(core.heads.certified, core.durable) >= core.end",
            "core.heads.certificate is not None",
        ),
        shows=changes_members,
    ),
    make(
        "orders_beyond_the_end",
        "an epoch goes on after the batch that ended it",
        (
            "protocols.pbft.epoch:note_end",
            "core.end = find_end(core.committee, core.application)",
            "return",
        ),
        shows=changes_members,
    ),
    make(
        "votes_of_other_epochs",
        "votes of the former epoch count in the next one",
        ("node.router:Seat._parse", "if statement.epoch != committee.epoch:", "if False:"),
        shows=changes_members,
    ),
    make(
        "end_certificate_unchecked",
        "a peer's certificate of an epoch's end needs no quorum",
        (
            "protocols.pbft.heads:Heads.accept",
            "certificate.check(committee.members, committee.q)",
            "pass",
        ),
        shows=both(habit("weak_proofs"), changes_members),
    ),
    make(
        "offenders_stay",
        "whoever is slashed stays a member",
        ("protocols.economy.membership:_expel", "if books.is_banned(key)", "if False"),
        shows=changes_members,
    ),
)
