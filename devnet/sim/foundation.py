"""What all worlds of one size share: keys, genesis, committee. Made once, never changed."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache, partial

from crdt.facts import OfferedCapability
from devnet.sim.memo import SimKey
from identity.keys import PrivateKey, compute_peer_id
from protocols.committee import Committee
from protocols.economy.chain import CheckReceipt
from protocols.economy.receipts import check_receipt
from protocols.genesis import (
    Allotment,
    Genesis,
    Member,
    Parameters,
)

CREATED_MS = 1_700_000_000_000
BOND = 5_000
FREE = 1_000_000
CLIENTS = 3
CAPABILITY = OfferedCapability(hashlib.sha256(b"sim/capability").digest(), "stats", "1")


@dataclass(frozen=True, slots=True)
class Foundation:
    """`keys` are the members' in their order; `spares` may become members, and `clients`, which
    own credits, never do."""

    genesis: Genesis
    committee: Committee
    network: bytes
    keys: tuple[PrivateKey, ...]
    spares: tuple[PrivateKey, ...]
    clients: tuple[PrivateKey, ...]
    check_receipt: CheckReceipt

    def all_keys(self) -> tuple[PrivateKey, ...]:
        return self.keys + self.spares + self.clients


@lru_cache(maxsize=32)
def make_foundation(n: int, *, spares: int = 0, exact: bool = False) -> Foundation:
    """Members, spares and clients with fixed keys; `exact` ones sign with Ed25519."""
    kind = PrivateKey if exact else SimKey
    made = [kind(hashlib.sha256(b"sim/member %d" % i).digest()) for i in range(n)]
    made.sort(key=lambda key: key.public)
    others = tuple(kind(hashlib.sha256(b"sim/spare %d" % i).digest()) for i in range(spares))
    clients = tuple(kind(hashlib.sha256(b"sim/client %d" % i).digest()) for i in range(CLIENTS))
    genesis = Genesis(
        name="simulated",
        created_ms=CREATED_MS,
        members=tuple(
            Member(compute_peer_id(key.public), "/ip4/127.0.0.1/tcp/1", BOND, FREE) for key in made
        ),
        accounts=tuple(Allotment(compute_peer_id(key.public), FREE) for key in (*clients, *others)),
        parameters=Parameters(snapshot_ms_min=0),
    )
    committee = genesis.make_committee()
    check = partial(check_receipt, committee)
    return Foundation(genesis, committee, committee.network, tuple(made), others, clients, check)
