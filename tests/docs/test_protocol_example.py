"""The worked example of docs/protocol.md is what the program computes, and what others verify."""

import hashlib
import runpy

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.docs.wire import ROOT

EXAMPLE = runpy.run_path(str(ROOT / "docs" / "protocol_example.py"))
TEXT = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")


def read_values() -> list[str]:
    """The values that the page shows, in its order."""
    shown = TEXT.split(EXAMPLE["BEGIN"])[1].split(EXAMPLE["END"])[0]
    values: list[str] = []
    for line in shown.splitlines():
        if not line.startswith((" ", "```")):
            values.append("")
        elif line.startswith(" "):
            values[-1] += line.strip()
    return values


def test_example_is_what_the_program_computes():
    expected = EXAMPLE["BEGIN"] + EXAMPLE["render"]() + EXAMPLE["END"]
    assert expected in TEXT


def test_example_follows_from_the_rules_of_the_page_alone():
    """From the seed and the page's words, with a CBOR and a signature library and none of ours."""
    values = read_values()
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(values[0]))
    public = key.public_key().public_bytes_raw()
    genesis, network, committee, payload = (bytes.fromhex(value) for value in values[3:7])
    assert public.hex() == values[1]
    assert hashlib.sha256(genesis).digest() == network
    assert hashlib.sha256(b"econode/committee" + network + b"main").digest()[:16] == committee
    aad = cbor2.dumps(["econode", 1, network, committee, 0, "operation"])
    protected = cbor2.dumps({1: -8, 4: public})
    signed = cbor2.dumps(["Signature1", protected, aad, payload])
    signature = key.sign(signed)
    cose = cbor2.dumps([protected, {}, payload, signature])
    statement = cbor2.dumps(["operation", committee, 0, cose])
    digest = hashlib.sha256(statement).digest()
    time_ms = cbor2.loads(genesis)["created_ms"]
    batch = hashlib.sha256(cbor2.dumps(["econode/batch", time_ms, [digest]])).digest()
    vote = {"seq": 2, "view": 0, "digest": batch, "clock_ms": time_ms + 7}
    content = cbor2.dumps(vote, canonical=True)
    aad_vote = cbor2.dumps(["econode", 1, network, committee, 0, "commit"])
    vote_signature = key.sign(cbor2.dumps(["Signature1", protected, aad_vote, content]))
    vote_cose = cbor2.dumps([protected, {}, content, vote_signature])
    commit = cbor2.dumps(["commit", committee, 0, vote_cose])
    computed = [aad, signed, signature, statement, digest, batch, commit]
    assert [value.hex() for value in computed] == values[7:]
