"""The keys, the network and the members that all vectors share, from fixed seeds."""

import hashlib
from dataclasses import dataclass, field

from devnet.vectors import diagnostic
from devnet.vectors.form import Signer, Signing
from identity import cbor, keys
from identity.keys import PrivateKey
from protocols.committee import Committee
from protocols.genesis import Genesis, Member, compute_committee_id

CREATED_MS = 1_700_000_000_000
EPOCH = 3
"""Of committees' statements: not 0, so that a forgotten epoch is seen."""


def make_key(name: str) -> PrivateKey:
    """The seed is the SHA-256 of a text: nobody could take it for a key that protects anything."""
    return PrivateKey(hashlib.sha256(f"econode/vectors {name}".encode()).digest())


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


MEMBERS = tuple(sorted((make_key(f"member {n}") for n in range(4)), key=lambda key: key.public))
MEMBER_KEYS = tuple(key.public for key in MEMBERS)
CLIENT, STRANGER = make_key("client"), make_key("stranger")
GENESIS = Genesis(
    name="vectors",
    created_ms=CREATED_MS,
    members=tuple(
        Member(keys.compute_peer_id(key), f"/ip4/192.0.2.{n}/tcp/4710", 10_000, 10_000)
        for n, key in enumerate(MEMBER_KEYS, 1)
    ),
)
NETWORK = digest("econode/vectors network")
"""Not that genesis', so that another default of a parameter does not change every vector."""
OTHER_NETWORK = digest("econode/vectors another network")
COMMITTEE = compute_committee_id(NETWORK, "main")
OTHER_COMMITTEE = compute_committee_id(NETWORK, "another")
PLACE = Committee(NETWORK, COMMITTEE, EPOCH, MEMBER_KEYS, start=40)
FIRST = Committee(NETWORK, COMMITTEE, 0, MEMBER_KEYS)

PROTECTED_ALG = -8


@dataclass(frozen=True, slots=True)
class Seal:
    """One way to sign a payload; each field can be made wrong by itself.

    `said_*` is what the envelope claims where it differs from what was signed.
    """

    key: PrivateKey
    payload: bytes
    kind: str
    network: bytes = NETWORK
    committee: bytes = COMMITTEE
    epoch: int = 0
    domain: str = "econode"
    major: int = 1
    protected: bytes | None = None
    said: dict[str, bytes | int | str] = field(default_factory=dict)
    signature: bytes | None = None
    """In place of the right one."""

    def get_protected(self) -> bytes:
        if self.protected is not None:
            return self.protected
        return cbor.encode({1: PROTECTED_ALG, 4: self.key.public})

    def get_external_aad(self) -> bytes:
        place = [self.network, self.committee, self.epoch, self.kind]
        return cbor.encode([self.domain, self.major, *place])

    def get_structure(self) -> list[str | bytes]:
        """Sig_structure of RFC 9052 section 4.4."""
        return ["Signature1", self.get_protected(), self.get_external_aad(), self.payload]

    def sign(self) -> bytes:
        if self.signature is not None:
            return self.signature
        return self.key.sign(cbor.encode(self.get_structure()))

    def get_cose(self) -> list[object]:
        return [self.said.get("protected", self.get_protected()), {}, self.payload, self.sign()]

    def wrap(self, cose: bytes) -> bytes:
        """The envelope around an encoded COSE_Sign1."""
        said = self.said
        place = [said.get("kind", self.kind), said.get("committee", self.committee)]
        return cbor.encode([*place, said.get("epoch", self.epoch), cose])

    def encode(self) -> bytes:
        return self.wrap(cbor.encode(self.get_cose()))

    def describe(self, is_whole: bool) -> Signing:
        structure = self.get_structure()
        if not is_whole:
            return Signing(to_be_signed=cbor.encode(structure).hex())
        return Signing(
            protected=self.get_protected().hex(),
            external_aad=self.get_external_aad().hex(),
            sig_structure=diagnostic.render(structure),
            to_be_signed=cbor.encode(structure).hex(),
            signature=self.sign().hex(),
        )


def describe_key(key: PrivateKey) -> Signer:
    return Signer(key.seed.hex(), key.public.hex(), keys.compute_peer_id(key.public))
