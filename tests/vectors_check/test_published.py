"""What others published about Ed25519 and COSE, judged by our verifier."""

import json
from pathlib import Path
from typing import Any

import cbor2
import pytest

from identity import cbor, envelope, keys
from identity.envelope import Context
from identity.errors import InvalidBytes, InvalidKey, InvalidSignature

DATA = Path(__file__).resolve().parent / "data"


def load(name: str) -> dict[str, Any]:
    return json.loads((DATA / f"{name}.json").read_text())


RFC_8032 = load("rfc8032")["tests"]
WYCHEPROOF = load("wycheproof_ed25519")["tests"]
COSE = load("cose_eddsa_sig_01")


def is_taken(public: str, message: str, signature: str) -> bool:
    try:
        keys.verify(*map(bytes.fromhex, (public, message, signature)))
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize("test", RFC_8032, ids=lambda test: test[0])
def test_rfc_8032(test):
    _, seed, public, message, signature = test
    key = keys.PrivateKey(bytes.fromhex(seed))
    assert key.public.hex() == public
    assert key.sign(bytes.fromhex(message)).hex() == signature
    assert is_taken(public, message, signature)


@pytest.mark.parametrize("test", WYCHEPROOF, ids=lambda test: f"{test[0]} {test[1]}")
def test_wycheproof(test):
    """Where both answers are allowed: keys of small order are refused with every signature; mixed
    ones, for which somebody holds a secret, by `check_public_key` before they own anything."""
    _, _, result, flag, public, message, signature = test
    taken = is_taken(public, message, signature)
    if result != "acceptable":
        assert taken == (result == "valid")
        return
    assert taken == (flag == "MixedOrderPublicKey")
    with pytest.raises(InvalidKey):
        keys.check_public_key(bytes.fromhex(public))


def test_the_cose_working_groups_eddsa_example():
    """Sig_structure and signature are those of our own code; its header is not one of ours."""
    key = keys.PrivateKey(bytes.fromhex(COSE["seed"]))
    assert key.public.hex() == COSE["public key"]
    protected, _, payload, signature = cbor2.loads(bytes.fromhex(COSE["cbor"])).value
    structure = cbor.encode(["Signature1", protected, b"", payload])
    assert structure.hex() == COSE["ToBeSign_hex"]
    assert key.sign(structure) == signature
    keys.verify(key.public, structure, signature)
    wrapped = cbor.encode(["x", bytes(16), 0, bytes.fromhex(COSE["cbor"])[1:]])
    with pytest.raises(InvalidBytes):
        envelope.parse(wrapped, size_max=1_024)
    ours = envelope.sign(key, Context(bytes(32), bytes(16), 0, "x"), payload)
    assert ours.signature != signature
