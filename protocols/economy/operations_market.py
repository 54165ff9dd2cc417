"""Operations of variables: open one, set it, report how well it did."""

from typing import Annotated

import msgspec

from crdt.facts_market import VariableTerms
from identity.schema import U63, Digest, Positive, Salt
from protocols.economy.body import Body
from protocols.genesis import PPM


class OpenVariable(Body, frozen=True, tag="open_variable"):
    """Open a variable; its pool goes into the signer's escrow."""

    terms: VariableTerms


class SetVariable(Body, frozen=True, tag="set_variable"):
    """The holder of the present term sets the value."""

    variable: Digest
    round: Positive
    value: U63


class CommitReport(Body, frozen=True, tag="commit_report"):
    """A member's sealed measurement of a term (`compute_report_commitment`)."""

    variable: Digest
    round: Positive
    commitment: Digest


class RevealReport(Body, frozen=True, tag="reveal_report"):
    """Open a sealed measurement: how far the objective was reached."""

    variable: Digest
    round: Positive
    objective_ppm: Annotated[int, msgspec.Meta(ge=0, le=PPM)]
    salt: Salt
