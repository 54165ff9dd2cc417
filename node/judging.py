"""Judges: what scores another agent's output, 0 to 100, run like any capability.

A judge gets one JSON object, {"input": base64, "output": base64}, and gives the score as decimal
text. For a capability without one the agent runs the capability itself: the same bytes are worth
100, others nothing.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator

from crdt.facts_tasks import SCORE_MAX
from node.capabilities import CapabilitySpec, Completed, Executor, Failed, Outcome, Reason
from node.config import Capability, Config

SCORE_BYTES_MAX = 16
_SCORE = re.compile(rb"\s*([0-9]{1,3})\s*\Z")


def make_judge(capability: Capability, spec: CapabilitySpec) -> CapabilitySpec | None:
    """What judges results of `spec`, as the executor knows it; its kind follows from its form."""
    target = capability.judge
    if target is None:
        return None
    kind = "http" if isinstance(target, str) and target.startswith("http") else "python"
    return CapabilitySpec(
        name=spec.name,
        version=spec.version,
        kind="command" if not isinstance(target, str) else kind,  # type: ignore[arg-type]
        target=target,
        verification=spec.verification,
        specification=f"judge of {spec.id.hex()}",
    )


def pair_judges(
    config: Config, list_capabilities: Callable[[Config], list[CapabilitySpec]]
) -> Iterator[tuple[CapabilitySpec, CapabilitySpec | None]]:
    """Each capability of the config with its judge."""
    for item, spec in zip(config.capability, list_capabilities(config), strict=True):
        yield spec, make_judge(item, spec)


def encode_case(given: bytes, output: bytes) -> bytes:
    """What a judge is given."""
    case = {
        "input": base64.b64encode(given).decode(),
        "output": base64.b64encode(output).decode(),
    }
    return json.dumps(case).encode()


def parse_score(answer: bytes) -> int | None:
    """The score that a judge gave, or None for anything else."""
    match = _SCORE.match(answer) if len(answer) <= SCORE_BYTES_MAX else None
    score = int(match[1]) if match else -1
    return score if 0 <= score <= SCORE_MAX else None


async def run_judge(
    executor: Executor, capability: bytes, judge: bytes | None, given: bytes, output: bytes
) -> int | Failed:
    """Score `output`. Cancelling kills the run. Raises ExecutorClosed."""
    outcome: Outcome
    if judge is None:
        outcome = await executor.execute(capability, given)
        if isinstance(outcome, Completed):
            return SCORE_MAX if outcome.output == output else 0
        return outcome
    outcome = await executor.execute(judge, encode_case(given, output))
    if isinstance(outcome, Failed):
        return outcome
    score = parse_score(outcome.output)
    if score is None:
        return Failed(Reason.CRASHED, f"the judge's answer is no number of 0 to {SCORE_MAX}")
    return score
