"""What a ledger says of a score suffices to compute it again; of what is not held it says so."""

import hashlib
from itertools import pairwise

import msgspec
import pytest
import trio_asyncio

from crdt import facts, log
from crdt.facts import Fact, Snapshot, encode_fact
from crdt.reputation import ReputationView
from identity import schema
from identity.certificate import Certificate
from identity.keys import compute_peer_id
from node.explain import Explainer, describe_period
from node.ledger import ExecutedBatch, Ledger
from node.problem import Problem
from node.stake_facts import StakeFactsReader
from tests.ledger.network import MEMBERS, Network

NETWORK, COMMITTEE = b"n" * 32, b"c" * 16
A, B, ALICE, CAPABILITY = (hashlib.sha256(name).digest() for name in (b"a", b"b", b"alice", b"c"))
SETTLEMENTS = 30
ALLOWANCE = 2_000_000
"""Less than Alice hands out between two snapshots."""


def make_story() -> tuple[list[list[Fact]], ReputationView]:
    """Entries: a founder, then tasks of Alice's that A and B end, a snapshot after every fifth."""
    view = ReputationView()
    entries: list[list[Fact]] = [[facts.Minted(account=A, founder=True)]]
    view.apply(entries[0][0])
    for number in range(SETTLEMENTS):
        task = hashlib.sha256(b"%d" % number).digest()
        opened = facts.TaskOpened(
            task=task,
            requester=ALICE,
            capability=CAPABILITY,
            input=task,
            input_bytes=1,
            budget=9,
            deadline_ms=99,
        )
        grade = ("excellent", "poor", "satisfactory")[number % 3]
        executor = A if number % 2 else B
        ended = facts.Settled(
            task=task,
            round=0,
            executor=executor,
            grade=grade,
            price=number,
            rater=ALICE,
            allowance=ALLOWANCE,
        )
        entries.append([opened, ended])
        view.apply(ended)
        if number % 5 == 4:
            entries[-1].append(view.compute_snapshot())
            view.apply(entries[-1][-1])
    return entries, view


def append(ledger: Ledger, entries: list[list[Fact]]) -> None:
    previous = log.GENESIS_PREVIOUS
    for position, made in enumerate(entries):
        items = [encode_fact(fact) for fact in made]
        entry = log.append(COMMITTEE, position, previous, position, items)
        ledger.append(ExecutedBatch(COMMITTEE, position, entry.header.root, 0, (), (), entry))
        previous = entry.header.hash()


@pytest.fixture
async def ledger(tmp_path):
    async with (
        trio_asyncio.open_loop(),
        Ledger.open(tmp_path / "ledger.sqlite3", NETWORK) as opened,
    ):
        yield opened


def recompute(document: list[dict], good: int, bad: int) -> int:
    """The score after all periods but the open one, from their JSON alone."""
    for period in document[:-1]:
        assert period["before"] == {"good": good, "bad": bad}
        (alice,) = period["raters"]
        share = min(10**6, alice["allowance"] * 10**6 // alice["handed"])
        assert alice["share_ppm"] == share < 10**6
        assert {receipt["counted_ppm"] for receipt in period["receipts"]} == {share}
        good, bad = good * 63 // 64, bad * 255 // 256
        good += sum(receipt["good"] * share // 10**6 for receipt in period["receipts"])
        bad += sum(receipt["bad"] * share // 10**6 for receipt in period["receipts"])
        assert period["after"] == {"good": good, "bad": bad}
        assert period["score_ppm"] == 10**6 * good // (good + bad + 10**6)
    return 10**6 * good // (good + bad + 10**6)


async def explain(ledger: Ledger, agent: bytes, snapshots: int) -> tuple[bool, list[dict]]:
    end, whole, periods = await Explainer(ledger, COMMITTEE).explain(agent, snapshots)
    assert end == SETTLEMENTS
    return whole, msgspec.to_builtins(list(map(describe_period, periods)))


@pytest.mark.parametrize("agent", [A, B])
async def test_the_score_is_computed_again_from_the_explanation(ledger, agent):
    entries, view = make_story()
    append(ledger, entries)
    await ledger.flush()
    whole, document = await explain(ledger, agent, 10)
    assert whole
    assert len(document) == 7
    good = 4_000_000 if agent == A else 0
    assert recompute(document, good, 0) == view.score_ppm(agent)
    receipts = [receipt for period in document for receipt in period["receipts"]]
    assert len(receipts) == SETTLEMENTS // 2
    assert {receipt["rater"] for receipt in receipts} == {compute_peer_id(ALICE)}
    for receipt in receipts:
        fact = entries[receipt["position"]][receipt["item"]]
        assert (fact.task.hex(), fact.grade) == (receipt["task"], receipt["grade"])
        assert (fact.executor, fact.price) == (agent, receipt["amount"])


async def test_it_begins_at_a_snapshot_where_fewer_are_asked_for(ledger):
    entries, view = make_story()
    append(ledger, entries)
    await ledger.flush()
    whole, document = await explain(ledger, A, 2)
    assert not whole
    assert [period["snapshot"] for period in document] == [5, 6, None]
    (fourth,) = [f for e in entries for f in e if isinstance(f, Snapshot) and f.number == 4]
    line = next(score for score in fourth.scores if score.agent == A)
    assert recompute(document, line.good, line.bad) == view.score_ppm(A)


async def test_facts_of_an_account_are_proven_up_to_the_quorums_certificate(tmp_path):
    """From the answer alone: leaf, path, headers, and the signatures of the genesis' members."""
    network, account = Network(), MEMBERS[0].public
    async with (
        trio_asyncio.open_loop(),
        Ledger.open(tmp_path / "ledger.sqlite3", network.id) as ledger,
    ):
        ledger.append(network.make_genesis_batch())
        batches = [network.make_batch() for _ in range(6)]
        for batch in batches:
            ledger.append(batch)
        for batch in batches[1::2]:
            header = batch.entry.header
            certificate = network.certify(batch.entry)
            ledger.put_certificate(network.committee.id, header.position, certificate)
        await ledger.flush()
        reader = StakeFactsReader(ledger, network.committee.id)
        pages, cursor = [], None
        while True:
            page = await reader.read(account, 4, cursor)
            pages.append(page)
            cursor = page.next
            if cursor is None:
                break
        with pytest.raises(Problem):
            await reader.read(account, 4, "1.x")
    found = [(fact, page.certificates) for page in pages for fact in page.facts]
    places = [(fact.position, fact.item) for fact, _ in found]
    assert places == sorted(set(places), reverse=True)
    assert places[-1] == (0, 0)
    for fact, certificates in found:
        check_proof(network, fact, certificates)


def check_proof(network, fact, certificates):
    headers = [
        log.Header(
            network.committee.id,
            header.position,
            bytes.fromhex(header.previous),
            header.time_ms,
            bytes.fromhex(header.root),
        )
        for header in fact.headers
    ]
    path = [bytes.fromhex(each) for each in fact.path]
    data = bytes.fromhex(fact.data)
    assert log.verify_path(data, fact.item, fact.count, path, headers[0].root)
    for header, following in pairwise(headers):
        assert following.previous == header.hash()
    assert fact.certified == headers[-1].position
    size_max = 1 << 16
    proof = bytes.fromhex(certificates[str(fact.certified)])
    certificate = Certificate.decode(proof, network.id, size_max=size_max)
    certificate.check(network.committee.members, network.committee.q)
    head = schema.decode(certificate.payload, log.Head, size_max=size_max)
    assert head.hash == headers[-1].hash()
