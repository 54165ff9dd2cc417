"""Genesis: the file that defines a network. Its digest is the network id.

The file is JSON for people. What is hashed is the deterministic CBOR of its content, so white
space and the order of keys do not matter and every value does.
"""

import hashlib
from typing import Annotated

import msgspec

from crdt.facts import is_transit_account
from crdt.facts_auctions import BIDDERS_MAX, BUNDLES_MAX, LOTS_MAX
from crdt.facts_tasks import Score
from identity import keys, schema
from identity.errors import EconodeError
from identity.schema import Amount, Name, Positive, TimeMs
from protocols.committee import Committee

MEMBERS_MAX = 100
ACCOUNTS_MAX = 10_000
GENESIS_BYTES_MAX = 4 * 1024 * 1024
PPM = 1_000_000

CommitteeName = Annotated[
    str, msgspec.Meta(min_length=1, max_length=32, pattern=r"^[a-z0-9]([a-z0-9_-]*[a-z0-9])?\Z")
]
"""What people call a committee; it must fit into a command and a URL."""
Ppm = Annotated[int, msgspec.Meta(ge=0, le=PPM)]


class InvalidGenesis(EconodeError):
    """The genesis cannot found a network; the message names what and where."""


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Rules of a network, fixed at genesis. Times are agreed time in milliseconds."""

    operation_fee: Amount = 1
    """Credits each operation pays to the treasury."""
    bond_min: Amount = 1_000
    """An agent with a smaller bond is not invited to auctions."""
    deposit_ppm: Ppm = 500_000
    """Bid and task deposit, as a share of the task's budget."""
    verifier_fee_ppm: Ppm = 100_000
    """What each verifier who agreed with the result is paid, as a share of the budget."""
    bonus_ppm: Ppm = 50_000
    """Bonus for an excellent result, as a share of the price paid."""
    failure_slash_ppm: Ppm = 100_000
    """Share of the task deposit that burns when the agent reports a failure."""
    timeout_slash_ppm: Ppm = 250_000
    """Share of the task deposit that burns when a lease or a reveal is missed."""
    awards_active_max: Annotated[int, msgspec.Meta(ge=1, le=64)] = 8
    """Agreements one agent may hold unverified, so that no low bidder wins a whole batch."""
    rounds_max: Annotated[int, msgspec.Meta(ge=1, le=15)] = 4
    """Auctions of one task at most: the first and the re-auctions."""
    bid_phase_ms: Positive = 4_000
    """Time to commit, and again to reveal, a bid; phases close early when all have spoken."""
    work_phase_ms: Positive = 15_000
    """Lease of an agreement, and time for a verifier to commit."""
    reveal_phase_ms: Positive = 4_000
    """Time to reveal results once commitments are closed."""
    lease_ms_max: Positive = 7 * 24 * 3_600_000
    """Longest lease that a requester may choose, and longest grace after it."""
    heartbeat_ms_min: Positive = 1_000
    """Shortest time between two heartbeats that a requester may ask for."""
    delivery_phase_ms: Positive = 15_000
    """Time to open a sealed result that nobody runs again, and to show that members hold it."""
    accept_phase_ms: Positive = 3_600_000
    """Time for a requester to answer, where its task does not say."""
    poor_pay_ppm: Ppm = 500_000
    """What a poor result that is of some use (late, or judged so) is paid, as a share of the
    price."""
    cancel_pay_ppm_min: Ppm = 250_000
    """What an executor is paid at least when its requester cancels, as a share of the price."""
    score_excellent: Score = 80
    """A panel's median from here on is excellent (within half of the lease)."""
    score_satisfactory: Score = 50
    """From here on it is satisfactory."""
    score_poor: Score = 20
    """From here on it is poor and paid in part; below, the result is of no use."""
    score_tolerance: Score = 20
    """A judge farther than this from the median is not paid."""
    inventory_phase_ms: Positive = 20_000
    """Longest wait, after a deadline, for inventories and for what they say is held; it outlasts
    two view changes, so a leader that leaves something out is replaced first."""
    snapshot_settlements: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 20
    """Settlements between two reputation snapshots, at least."""
    snapshot_ms_min: TimeMs = 60_000
    """Agreed time between two, at least: what a bond may say is said once in that time, and nobody
    makes others' good work be forgotten faster by asking for many cheap tasks."""
    tasks_open_max: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 10_000
    """Tasks that may be under way at once in a committee."""
    auctions_open_max: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 256
    """General auctions that may be under way at once in a committee, their deliveries too."""
    auction_lots_max: Annotated[int, msgspec.Meta(ge=1, le=LOTS_MAX)] = LOTS_MAX
    """Lots of one auction."""
    auction_bidders_max: Annotated[int, msgspec.Meta(ge=1, le=BIDDERS_MAX)] = BIDDERS_MAX
    """Bidders of one auction; with bundles fewer, see `auction_bundles_total_max`."""
    auction_bundles_max: Annotated[int, msgspec.Meta(ge=1, le=BUNDLES_MAX)] = 32
    """Bundles of one bid in a combinatorial auction."""
    auction_bundles_total_max: Annotated[int, msgspec.Meta(ge=1, le=16_384)] = 2_048
    """Bundles of all bids in one: so many bidders it has room for as may each bid the most."""
    auction_phase_ms_min: Positive = 1_000
    """Shortest time for bids, for opening them, for delivering and for accepting."""
    member_bond_min: Amount = 10_000
    """Who joins the committee has at least this much bonded."""
    epoch_changes_max: Annotated[int, msgspec.Meta(ge=1, le=MEMBERS_MAX)] = 1
    """Members that may join or leave by their own will at one change of epoch."""
    unbonding_ms: Positive = 14 * 24 * 3_600_000
    """How long a bond that is taken back can still be slashed. A light client trusts nothing older:
    former members may have taken their bonds by then."""
    checkpoint_batches: Annotated[int, msgspec.Meta(ge=10, le=10_000)] = 100
    """Batches between two checkpoints (K); the watermark window is twice that."""


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A founding member: PeerId, where it listens (multiaddr), its credits."""

    peer: str
    address: Annotated[str, msgspec.Meta(max_length=256)]
    bond: Amount
    free: Amount


class Allotment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Credits of an account that is no member."""

    peer: str
    free: Amount


class Founding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a committee begins with: members, credits and rules."""

    name: Name
    created_ms: TimeMs
    members: Annotated[tuple[Member, ...], msgspec.Meta(min_length=1, max_length=MEMBERS_MAX)]
    accounts: Annotated[tuple[Allotment, ...], msgspec.Meta(max_length=ACCOUNTS_MAX)] = ()
    parameters: Parameters = msgspec.field(default_factory=Parameters)

    def compute_supply(self) -> int:
        """All credits of the network that this committee belongs to."""
        members = sum(member.bond + member.free for member in self.members)
        return members + sum(allotment.free for allotment in self.accounts)

    def get_member_keys(self) -> tuple[bytes, ...]:
        """Public keys of the founding members, ascending."""
        return tuple(sorted(keys.parse_peer_id(member.peer) for member in self.members))


class Genesis(Founding, frozen=True, forbid_unknown_fields=True):
    """The content of genesis.json: it founds a network with its committee "main"."""

    def compute_network_id(self) -> bytes:
        return hashlib.sha256(schema.encode(self)).digest()

    def make_committee(self) -> Committee:
        """The founding committee in its first epoch."""
        network = self.compute_network_id()
        id_ = compute_committee_id(network, MAIN_COMMITTEE)
        return Committee(network, id_, 0, self.get_member_keys())


def compute_committee_id(network: bytes, name: str) -> bytes:
    """The id of the committee called `name` in a network (the founding one is "main")."""
    return hashlib.sha256(b"econode/committee" + network + name.encode()).digest()[:16]


def compute_formed_id(network: bytes, parent: bytes, operation: bytes) -> bytes:
    """The id of the committee that the operation with this digest proposed in committee
    `parent`: whoever consents to the id consents to those terms and no others."""
    return hashlib.sha256(b"econode/formed" + network + parent + operation).digest()[:16]


MAIN_COMMITTEE = "main"


def parse_genesis(text: str | bytes) -> Genesis:
    """The genesis in a JSON text. Raises InvalidGenesis naming the field at fault."""
    if len(text) > GENESIS_BYTES_MAX:
        raise InvalidGenesis(f"larger than {GENESIS_BYTES_MAX} bytes")
    try:
        genesis = msgspec.json.decode(text, type=Genesis)
    except (msgspec.DecodeError, ValueError) as error:
        raise InvalidGenesis(str(error)) from None
    seen: set[bytes] = set()
    for peer in (*(m.peer for m in genesis.members), *(a.peer for a in genesis.accounts)):
        try:
            key = keys.parse_peer_id(peer)
            keys.check_public_key(key)
        except EconodeError as error:
            raise InvalidGenesis(f"peer {peer[:64]!r}: {error}") from None
        if is_transit_account(key):
            raise InvalidGenesis(f"peer {peer} stands for credits in transit")
        if key in seen:
            raise InvalidGenesis(f"peer {peer} stands twice")
        seen.add(key)
    if genesis.compute_supply() > schema.U63_MAX:
        raise InvalidGenesis("the credits add up to more than 2^63 - 1")
    return genesis


def dump_genesis(genesis: Genesis) -> str:
    """The JSON text of a genesis, indented for people."""
    return msgspec.json.format(msgspec.json.encode(genesis), indent=2).decode() + "\n"
