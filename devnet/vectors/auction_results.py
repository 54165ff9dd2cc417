"""Vectors of files that prove the result of an auction: what went in, who won, who signed it."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from crdt import log
from crdt.facts import Awarded, encode_fact
from crdt.facts_auctions import AuctionEnded, BundleBid
from crdt.heads import get_head
from devnet.vectors.draft import Draft, make_file
from devnet.vectors.form import Layer, Setting, VectorFile
from devnet.vectors.places import CREATED_MS, MEMBERS, OTHER_COMMITTEE, OTHER_NETWORK, STRANGER
from devnet.vectors.proofs import QUORUM, certify, list_spellings
from devnet.vectors.sales import CAP, SALES
from devnet.vectors.stories import STORIES
from devnet.vectors.village import Village
from identity import cbor, schema
from protocols import light
from protocols.auction.result_file import ResultFile, encode_result

Result = AuctionEnded | Awarded
FOLLOWING_MS = 1_000


def make_files() -> Iterator[VectorFile]:
    for kind, makes in SALES.items():
        held = [_Held.find(make().village, AuctionEnded) for make in makes]
        about = f"Certified results of {kind.replace('_', ' ')} auctions, as files."
        name = f"auction-result-{kind.replace('_', '-')}"
        yield make_file(name, "auction_result", about, held[0].make_setting(), _list_drafts(held))
    tasks = [_Held.find(STORIES[story](), Awarded) for story in ("commit-reveal", "silent-bidder")]
    about = "Certified awards of tasks, as files."
    setting = tasks[0].make_setting()
    yield make_file("auction-result-task", "auction_result", about, setting, _list_drafts(tasks))


class _Held:
    """An auction that was held, and the files that prove its result or something else."""

    def __init__(self, village: Village, entry: log.Entry, fact: Result) -> None:
        self.village, self.entry, self.fact = village, entry, fact

    @classmethod
    def find(cls, village: Village, kind: type[Result]) -> "_Held":
        """The first auction of the village that has ended."""
        told = ((case, f) for case, facts in village.steps for f in facts if isinstance(f, kind))
        case, fact = next(told)
        return cls(village, case.entry, fact)

    def make_setting(self) -> Setting:
        place, rules = self.village.committee, self.village.genesis.parameters
        return Setting(
            network=place.network.hex(),
            committee=place.id.hex(),
            members=tuple(key.hex() for key in place.members),
            now_ms=CREATED_MS + 1_000_000,
            anchor_ms=CREATED_MS,
            unbonding_ms=rules.unbonding_ms,
        )

    def prove(self, **changes: Any) -> ResultFile:
        """`fact`: another one than was told; `entry`: where it stands; `signers` and `place` of
        the certificate; `is_later`: it certifies the entry after it; `path`: to the root."""
        data = encode_fact(self.fact)
        entry: log.Entry = changes.get("entry", self.entry)
        index = entry.items.index(data) if data in entry.items else 0
        said = encode_fact(changes.get("fact", self.fact))
        path = changes.get("path", log.compute_path(entry.items, index))
        proven = light.ProvenEntry(
            entry.header, len(entry.items), (light.ProvenFact(said, index, path),)
        )
        certified: log.Header = entry.header
        headers: tuple[log.Header, ...] = ()
        if changes.get("is_later"):
            certified = self._follow(entry.header)
            headers = (certified,)
        place = self.village.committee
        home = {"network": place.network, "committee": place.id, "epoch": place.epoch}
        payload = schema.encode(get_head(certified))
        signers = changes.get("signers", MEMBERS[:QUORUM])
        certificate = certify(signers, payload, **{**home, **changes.get("place", {})}).encode()
        named = {"network": place.network, "committee": place.id, **changes.get("bundle", {})}
        bundle = light.Bundle(
            epochs=(),
            entry=proven,
            headers=headers,
            certificate=changes.get("certificate", certificate),
            **named,
        )
        return ResultFile(changes.get("genesis", self.village.genesis), bundle)

    def _follow(self, header: log.Header) -> log.Header:
        time_ms = header.time_ms + FOLLOWING_MS
        return log.append(header.author, header.position + 1, header.hash(), time_ms, []).header

    def lie(self, fact: Result) -> ResultFile:
        """A quorum that colludes certifies another fact."""
        data = encode_fact(self.fact)
        items = [encode_fact(fact) if item == data else item for item in self.entry.items]
        header = self.entry.header
        entry = log.append(header.author, header.position, header.previous, header.time_ms, items)
        return _Held(self.village, entry, fact).prove()


def _draft(flag: str, comment: str, file: ResultFile, layer: Layer | None = None) -> Draft:
    """With the fact, where it is judged: terms and bids go in, awards come out."""
    data = encode_result(file)
    content = file.proof.entry.facts[0].data
    if flag not in ("Valid", "WrongInput", "WrongResult"):
        return Draft(flag, comment, data, layer)
    return Draft(flag, comment, data, layer, cbor.decode(content, size_max=len(content)), content)


def _list_drafts(held: list[_Held]) -> Iterator[Draft]:
    for each in held:
        comment = _describe(each.fact)
        yield _draft("Valid", comment, each.prove())
    yield _draft("EdgeOfBounds", "certified with the entry after it", held[0].prove(is_later=True))
    yield _draft("EdgeOfBounds", "all four sign", held[0].prove(signers=MEMBERS))
    for each in held[:2]:
        for flag, comment, fact in _list_lies(each.fact):
            words = f"{comment}, and a quorum signs it"
            yield _draft(flag, words, each.lie(fact), "semantics")
            words = f"{comment}, under the honest certificate"
            yield _draft("WrongHash", words, each.prove(fact=fact), "schema")
    yield from _list_certificates(held[-1])
    yield from _list_places(held[0])
    if isinstance(first := held[0].fact, Awarded) or first.terms.kind == "vickrey":
        yield from _list_forms(held[0])


def _describe(fact: Result) -> str:
    if isinstance(fact, Awarded):
        return f"{len(fact.bids)} bids, and the winner is paid {fact.price}"
    verb = {"forward": "pays", "reverse": "is paid"}[fact.terms.direction]
    paid = ", ".join(str(award.price) for award in fact.awards)
    silent = f", {len(fact.silent)} silent" if fact.silent else ""
    ended = f"who wins {verb} {paid}" if paid else "nobody wins"
    pricing = f", {fact.terms.pricing}" if fact.terms.kind == "combinatorial" else ""
    return f"{fact.terms.direction}{pricing}: {len(fact.bids)} bids{silent}, {ended}"


# --- another fact --------------------------------------------------------------------------------


def _list_lies(fact: Result) -> Iterator[tuple[str, str, Result]]:
    """Results that do not follow from their inputs: (flag, what was altered, the fact)."""
    if isinstance(fact, Awarded):
        yield from _list_award_lies(fact)
        return
    replace: Callable[..., AuctionEnded] = msgspec.structs.replace
    best = CAP if fact.terms.direction == "forward" else 1
    award = fact.awards[0]
    altered = next(
        (bid for bid in fact.bids if bid.bidder != award.winner), fact.bids[0]
    )  # in a Dutch auction there is only the winner's
    bundles = tuple(BundleBid(each.lots, best) for each in altered.bundles)
    bids = tuple(replace(bid, bundles=bundles) if bid is altered else bid for bid in fact.bids)
    yield "WrongInput", "a bid altered", replace(fact, bids=bids)
    left = tuple(bid for bid in fact.bids if bid.bidder != award.winner)
    yield "WrongInput", "the winner's bid left out", replace(fact, bids=left)
    for words, changed in (
        ("a price raised by a credit", {"price": award.price + 1}),
        ("another winner", {"winner": _find_loser(fact)}),
    ):
        awards = (replace(award, **changed), *fact.awards[1:])
        yield "WrongResult", words, replace(fact, awards=awards)
    yield "WrongResult", "no winner", replace(fact, awards=())


def _find_loser(fact: AuctionEnded) -> bytes:
    winners = {award.winner for award in fact.awards}
    return next((bid.bidder for bid in fact.bids if bid.bidder not in winners), STRANGER.public)


def _list_award_lies(fact: Awarded) -> Iterator[tuple[str, str, Result]]:
    replace: Callable[..., Awarded] = msgspec.structs.replace
    first = next(bid for bid in fact.bids if bid.bidder != fact.winner)
    bids = tuple(replace(bid, price=1) if bid is first else bid for bid in fact.bids)
    yield "WrongInput", "a bid altered", replace(fact, bids=bids)
    left = tuple(bid for bid in fact.bids if bid.bidder != fact.winner)
    yield "WrongInput", "the winner's bid left out", replace(fact, bids=left)
    yield "WrongResult", "a price raised by a credit", replace(fact, price=fact.price + 1)
    yield "WrongResult", "another winner", replace(fact, winner=first.bidder)
    yield "WrongResult", "another bid of the winner", replace(fact, bid=fact.bid + 1)


# --- another proof -------------------------------------------------------------------------------


def _list_certificates(held: _Held) -> Iterator[Draft]:
    """The honest fact, not certified by a quorum of the members."""
    proven = held.prove().proof.certificate
    for flag, comment, changes, layer in (
        ("TooFewSigners", "two of four sign", {"signers": MEMBERS[:2]}, "semantics"),
        ("TooFewSigners", "nobody signs", {"signers": ()}, "semantics"),
        (
            "NotAMember",
            "a stranger for the third",
            {"signers": (*MEMBERS[:2], STRANGER)},
            "semantics",
        ),
        ("NoSignature", "no certificate", {"certificate": b""}, "cbor"),
        ("Truncated", "a certificate cut short", {"certificate": proven[:-1]}, "cbor"),
        ("BadSignatureInside", "a signature altered", {"certificate": _turn(proven)}, "cose"),
        ("WrongType", "certified as a checkpoint", {"place": {"kind": "checkpoint"}}, "semantics"),
        ("WrongEpoch", "certified for another epoch", {"place": {"epoch": 1}}, "semantics"),
    ):
        yield _draft(flag, comment, held.prove(**changes), layer)  # type: ignore[arg-type]


def _turn(data: bytes) -> bytes:
    """With one bit of the last byte turned over."""
    return data[:-1] + bytes([data[-1] ^ 1])


def _list_places(held: _Held) -> Iterator[Draft]:
    """The result of another place, or of another thing."""
    for flag, comment, changes, layer in (
        (
            "WrongNetwork",
            "a proof of another network",
            {"bundle": {"network": OTHER_NETWORK}},
            "schema",
        ),
        (
            "WrongNetwork",
            "certified on another network",
            {"place": {"network": OTHER_NETWORK}},
            "cose",
        ),
        (
            "WrongCommittee",
            "of another committee",
            {"bundle": {"committee": OTHER_COMMITTEE}},
            "schema",
        ),
        ("WrongPosition", "a path one longer", {"path": (bytes(32),) * 9}, "schema"),
    ):
        yield _draft(flag, comment, held.prove(**changes), layer)  # type: ignore[arg-type]
    first = held.village.steps[0][0].entry
    other = held.village.steps[0][1][0]
    file = held.prove(entry=first, fact=other)
    yield _draft("WrongSubject", "it proves how something else began", file, "schema")


def _list_forms(held: _Held) -> Iterator[Draft]:
    data = encode_result(held.prove())
    value = cbor.decode(data, size_max=len(data))
    for comment, changed in (
        ("another version", [value[0], 2, *value[2:]]),
        ("another format", ["econode/light", *value[1:]]),
    ):
        yield Draft("OtherForm", comment, cbor.encode(changed), "schema")
    digest = [*value[:2], bytes(32), value[3]]
    yield Draft("ChangedByte", "the digest of another payload", cbor.encode(digest), "schema")
    yield from list_spellings(value)
