"""Traces of the ordered economy, and their replay."""

from collections.abc import Iterator
from functools import partial

from devnet.vectors.cases import CASE_BYTES_MAX
from devnet.vectors.check_cases import load_request
from devnet.vectors.form import InvalidVectors
from devnet.vectors.sales import SALE_STORIES
from devnet.vectors.stories import STORIES
from devnet.vectors.trace_form import TRACE_FORMAT, BatchStep, EconomyTrace
from devnet.vectors.village import Village, list_tags
from identity import schema
from identity.errors import EconodeError, InvalidBytes
from protocols.economy.chain import Chain
from protocols.economy.receipts import check_receipt
from protocols.genesis import Genesis
from protocols.messages import compute_batch_digest

NAMES = (
    *("commit-reveal", "silent-bidder", "verification", "lying-executor", "failing-executor"),
    *("missed-lease", "settlement", "accepted-work", "wrong-reveal"),
    *("membership", "credits", "forming"),
    *("sale", "purchase", "delivery", "undelivered"),
)


def make_traces() -> Iterator[EconomyTrace]:
    for name in NAMES:
        story = (STORIES | SALE_STORIES)[name]
        yield _make_trace(name, " ".join((story.__doc__ or "").split()), story())


def _make_trace(name: str, about: str, village: Village) -> EconomyTrace:
    steps = []
    for case, facts in village.steps:
        steps.append(
            BatchStep(
                time_ms=case.time_ms,
                operations=tuple(data.hex() for data in case.operations),
                facts=tuple(list_tags(facts)),
                entry=schema.encode(case.entry).hex(),
                state_digest=case.state_digest.hex(),
            )
        )
    last = next(case for case, _ in reversed(village.steps) if case.operations)
    signed = last.operations[0]
    spoiled = signed[:-1] + bytes([signed[-1] ^ 1])
    steps.append(BatchStep(village.time_ms + 1, (spoiled.hex(),), refused="cose"))
    steps.append(BatchStep(village.time_ms + 1, (signed[:-1].hex(),), refused="cbor"))
    first = village.steps[0][0]
    return EconomyTrace(
        format=TRACE_FORMAT,
        version=1,
        name=name,
        about=about,
        genesis=first.genesis.hex(),
        state=first.state.hex(),
        head=first.head.hex(),
        steps=tuple(steps),
    )


def replay(trace: EconomyTrace) -> str | None:
    """What differs first; None when all comes out as told. Raises InvalidVectors."""
    try:
        genesis = schema.decode(bytes.fromhex(trace.genesis), Genesis, size_max=CASE_BYTES_MAX)
        committee = genesis.make_committee()
        chain = Chain(genesis, committee, partial(check_receipt, committee))
        chain.load_state(bytes.fromhex(trace.state), 0, bytes.fromhex(trace.head))
    except (EconodeError, ValueError) as error:
        raise InvalidVectors(f"{trace.name}: {error}") from None
    for number, step in enumerate(trace.steps):
        found = _run(chain, step)
        if found != step:
            return f"step {number}: {describe_difference(step, found)}"
    return None


def _run(chain: Chain, step: BatchStep) -> BatchStep:
    """The step as it comes out."""
    try:
        requests = [load_request(bytes.fromhex(data), chain) for data in step.operations]
    except InvalidBytes as error:
        return BatchStep(step.time_ms, step.operations, refused=error.layer)  # type: ignore[arg-type]
    digest = compute_batch_digest(step.time_ms, [request.digest for request in requests])
    outcome = chain.execute(chain.get_position() + 1, step.time_ms, digest, requests)
    return BatchStep(
        time_ms=step.time_ms,
        operations=step.operations,
        facts=tuple(list_tags(outcome.facts)),
        entry=schema.encode(outcome.entry).hex(),
        state_digest=chain.compute_state_digest().hex(),
    )


def describe_difference(said: object, found: object) -> str:
    names = getattr(said, "__struct_fields__", ())
    differing = [name for name in names if getattr(said, name) != getattr(found, name)]
    return f"another {', '.join(differing)}"
