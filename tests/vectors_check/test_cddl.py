"""The normative schema: current, whole, and of one mind with the program about every vector."""

from pathlib import Path
from typing import get_args

import pytest
from cddl_verifier import Validator

from crdt.facts import AnyFact
from devnet.vectors.cddl import TARGET, generate
from devnet.vectors.trace_form import BatchStep
from devnet.vectors.verify import read_folder, read_traces
from identity import cbor, envelope
from node.router import AnyHop
from protocols.messages import FRAME_BYTES_MAX
from tests.docs.wire import list_structs

FOLDER = Path(__file__).resolve().parent.parent / "vectors"
ENVELOPES = ("statement", "operation", "peer_head")
MEANING = {"NotAMember", "Replay"}
"""Flags of vectors that the program refuses in its schema layer for another reason than the form
of the content: it looks at place and membership there."""


@pytest.fixture(scope="module")
def schema():
    return Validator(TARGET)


def test_it_is_what_the_program_says():
    assert TARGET.read_text(encoding="utf-8") == generate()


def test_every_struct_of_the_wire_has_a_rule():
    text = generate()
    missing = [name for name in list_structs() if f"\n{name} = " not in text]
    assert missing == []


@pytest.mark.parametrize("check", [*ENVELOPES, "hop", "fact", "item"])
def test_it_judges_every_vector_like_the_program(schema, check):
    seen = 0
    for file in read_folder(FOLDER):
        if file.check != check or not file.setting.rule:
            continue
        for test in file.tests:
            if test.layer not in (None, "schema") or test.input is None:
                continue
            data = bytes.fromhex(test.input.hex or test.data)
            is_good = test.layer is None or bool(MEANING & set(test.flags))
            result = schema.validate(data, file.setting.rule, require_deterministic=True)
            assert bool(result) == is_good, (test.id, test.comment, result.errors)
            seen += 1
    assert seen


def test_every_operation_and_fact_of_the_traces_is_of_it(schema):
    """Tasks, general auctions, deliveries, members, further committees: what a devnet's job has
    not, whole stories have. (`test_live_traffic.py` has the job.)"""
    operations: set[str] = set()
    facts: set[str] = set()
    rules = {str(kind.__struct_config__.tag): kind.__name__ for kind in get_args(AnyFact)}
    for trace in read_traces(FOLDER):
        for step in getattr(trace, "steps", ()):
            if not isinstance(step, BatchStep) or step.refused:
                continue
            for data in map(bytes.fromhex, step.operations):
                statement = envelope.parse(data, size_max=FRAME_BYTES_MAX)
                assert schema.validate(data, "statement", require_deterministic=True)
                result = schema.validate(statement.payload, "Operation", require_deterministic=True)
                assert result, result.errors
                operations.add(cbor.decode(statement.payload, size_max=len(data))["body"]["type"])
            entry = cbor.decode(bytes.fromhex(step.entry), size_max=FRAME_BYTES_MAX)
            for item in entry["items"]:
                kind = cbor.decode(item, size_max=len(item))["kind"]
                assert schema.validate(item, rules[kind], require_deterministic=True), kind
                facts.add(kind)
    assert operations >= {
        "open_auction",
        "reveal_auction_bid",
        "deliver",
        "open_tasks",
        "inventory",
    }
    assert facts >= {"auction_ended", "delivery_ended", "settled", "slashed", "epoch_began"}


def test_it_knows_no_other_kind(schema):
    body = {"type": "no_such_operation", "to": bytes(32), "amount": 1}
    assert not schema.validate(cbor.encode({"nonce": 1, "body": body}), "Operation")
    hop = cbor.encode({"type": "no_such_message", "committee": bytes(16)})
    assert not any(schema.validate(hop, kind.__name__) for kind in get_args(AnyHop))


@pytest.mark.parametrize("check", ENVELOPES)
def test_it_knows_the_form_of_envelopes(schema, check):
    files = [file for file in read_folder(FOLDER) if file.check == check]
    for test in (test for file in files for test in file.tests):
        data = bytes.fromhex(test.data)
        result = schema.validate(data, "statement", require_deterministic=True)
        if test.verdict == "valid":
            assert result, (test.id, result.errors)
        elif test.flags[0] in ("OtherHeader", "WrongAlgorithm", "DetachedPayload", "OtherForm"):
            assert not result, test.id


@pytest.mark.parametrize(
    ("check", "rule"),
    [
        ("certificate", "certificate"),
        ("fork", "fork-proof"),
        ("light", "light-proof"),
        ("auction_result", "auction-result"),
        ("view_change", "statement"),
    ],
)
def test_it_knows_the_form_of_proofs(schema, check, rule):
    for file in read_folder(FOLDER):
        for test in file.tests:
            if file.check == check and test.verdict == "valid":
                assert schema.validate(bytes.fromhex(test.data), rule), test.id
