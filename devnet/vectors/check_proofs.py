"""Judging what several signatures prove: certificates, forks, evidence, light proofs, results."""

from crdt.heads import ForkProof, Prover, check_fork
from crdt.replica import ProvenEntry, Replica
from devnet.vectors.cases import CASE_BYTES_MAX, EntryCase
from devnet.vectors.form import InvalidVectors, Setting
from identity import schema
from identity.certificate import Certificate
from identity.errors import InvalidCertificate
from protocols import light
from protocols.auction.result_file import VerifiedResult, verify_result
from protocols.committee import Committee
from protocols.evidence import Claim, Evidence
from protocols.evidence import check as check_claim


def get_place(setting: Setting) -> Committee:
    """The committee of a setting. Raises InvalidVectors."""
    try:
        members = tuple(bytes.fromhex(key) for key in setting.members)
        network, committee = bytes.fromhex(setting.network), bytes.fromhex(setting.committee)
        members = members or (bytes(32),)
        return Committee(network, committee, setting.epoch, members, setting.start)
    except ValueError as error:
        raise InvalidVectors(f"the setting: {error}") from None


def make_prover(setting: Setting) -> Prover:
    """Who knows the committee of a setting, at its epoch."""
    place = get_place(setting)
    return Prover(place.network, {place.id: (place.make_voters(),)})


def check_certificate(setting: Setting, data: bytes) -> None:
    """A certificate of the setting's type, committee and epoch."""
    place = get_place(setting)
    found = Certificate.decode(data, place.network, size_max=setting.size_max)
    context = found.context
    if (context.kind, context.committee, context.epoch) != (setting.kind, place.id, place.epoch):
        raise InvalidCertificate("of another place")
    found.check(place.members, place.q)


def check_entry(setting: Setting, data: bytes) -> None:
    """An entry as a replica takes it."""
    case = schema.decode(data, EntryCase, size_max=CASE_BYTES_MAX)
    Replica(make_prover(setting)).merge(ProvenEntry(case.entry, case.proof))


def check_fork_proof(setting: Setting, data: bytes) -> ForkProof:
    return check_fork(data, make_prover(setting))


def check_evidence(setting: Setting, data: bytes) -> Claim:
    place = get_place(setting)

    def find(committee: bytes, epoch: int) -> Committee | None:
        return place if (committee, epoch) == (place.id, place.epoch) else None

    evidence = schema.decode(data, Evidence, size_max=CASE_BYTES_MAX)
    return check_claim(evidence, place.network, find)


def check_light(setting: Setting, data: bytes) -> light.Proven:
    """A light proof for who trusts the setting's members as of its epoch."""
    return light.verify_bundle(light.decode_bundle(data), _make_anchor(setting), setting.now_ms)


def check_auction_result(setting: Setting, data: bytes) -> VerifiedResult:
    """The file of an auction's result for who trusts the same."""
    return verify_result(data, _make_anchor(setting), setting.now_ms)


def _make_anchor(setting: Setting) -> light.Anchor:
    place = get_place(setting)
    return light.Anchor(
        network=place.network,
        committee=place.id,
        epoch=place.epoch,
        start=0,
        members=place.members,
        time_ms=setting.anchor_ms,
        unbonding_ms=setting.unbonding_ms,
    )
