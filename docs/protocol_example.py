"""Print the worked example of docs/protocol.md, from fixed seeds.

python docs/protocol_example.py          print it
python docs/protocol_example.py --write  put it into docs/protocol.md between its markers
"""

import hashlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "protocol.md"
BEGIN, END = "<!-- example: docs/protocol_example.py -->\n", "<!-- end of example -->"
sys.path.insert(0, str(ROOT))

from identity import envelope, keys, schema  # noqa: E402
from identity.envelope import Context  # noqa: E402
from protocols.economy.operations import Operation, Transfer  # noqa: E402
from protocols.genesis import Genesis, Member, compute_committee_id  # noqa: E402
from protocols.messages import Commit, compute_batch_digest  # noqa: E402

MEMBERS = [keys.PrivateKey(bytes([number]) * 32) for number in (1, 2, 3, 4)]
TIME_MS = 1_700_000_000_000


def make_genesis() -> Genesis:
    """Four members, whose seeds are 32 times 01, 02, 03 and 04."""
    members = tuple(
        Member(
            peer=keys.compute_peer_id(key.public),
            address=f"/ip4/192.0.2.{number}/tcp/4710",
            bond=10_000,
            free=10_000,
        )
        for number, key in enumerate(MEMBERS, 1)
    )
    return Genesis(name="example", created_ms=TIME_MS, members=members)


def compute() -> dict[str, bytes | str]:
    """The values of the example by name, in the order they are shown."""
    genesis = make_genesis()
    network = genesis.compute_network_id()
    committee = compute_committee_id(network, "main")
    signer, other = MEMBERS[0], MEMBERS[1]
    place = Context(network, committee, 0, "operation")
    payload = schema.encode(Operation(nonce=1, body=Transfer(to=other.public, amount=5)))
    statement = envelope.sign(signer, place, payload)
    digest = hashlib.sha256(statement.data).digest()
    batch = compute_batch_digest(TIME_MS, [digest])
    vote = Commit(view=0, seq=2, digest=batch, clock_ms=TIME_MS + 7)
    commit = envelope.sign(signer, Context(network, committee, 0, "commit"), schema.encode(vote))
    return {
        "seed of the signer": signer.seed,
        "public key": signer.public,
        "PeerId": keys.compute_peer_id(signer.public),
        "genesis, as CBOR": schema.encode(genesis),
        "network id": network,
        "committee id of main": committee,
        "payload: nonce 1, pay 5 to the member with seed 02…": payload,
        "external_aad": place.encode(),
        "Sig_structure: the bytes that are signed": envelope._to_be_signed(
            place, envelope._PROTECTED_PREFIX + signer.public, payload
        ),
        "signature": statement.signature,
        "statement, as it travels": statement.data,
        "digest of the operation": digest,
        f"digest of a batch of it, at time {TIME_MS}": batch,
        "COMMIT of the signer for that batch at seq 2, view 0, as it travels": commit.data,
    }


def render() -> str:
    lines = ["```text"]
    for name, value in compute().items():
        text = value if isinstance(value, str) else value.hex()
        lines += [name, *(f"    {text[at : at + 96]}" for at in range(0, len(text), 96))]
    return "\n".join([*lines, "```", ""])


def main() -> None:
    if "--write" in sys.argv[1:]:
        head, _, rest = TARGET.read_text(encoding="utf-8").partition(BEGIN)
        TARGET.write_text(head + BEGIN + render() + END + rest.partition(END)[2], encoding="utf-8")
    else:
        print(render(), end="")


if __name__ == "__main__":
    main()
