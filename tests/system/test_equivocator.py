"""A primary that proposes two batches for one position, among real processes with a real job."""

import sqlite3

from crdt.facts import Slashed
from devnet import ledger_files, manifest
from identity import envelope, schema
from identity.keys import compute_peer_id
from node.ledger_rows import decode_list
from protocols.committee import Committee
from protocols.economy.operations import OPERATION_BYTES_MAX, Accuse, Operation
from protocols.pbft.evidence import check_equivocation
from tests.system.network import econode

RUN_S_MAX = 110.0
FILES = 12


def read_accusations(folder, node):
    """The evidence that the node's ledger holds, in order."""
    path = manifest.get_home(folder, node).ledger_path
    with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as db:
        rows = db.execute("SELECT operations FROM batches ORDER BY position").fetchall()
    for data in (data for (packed,) in rows for data in decode_list(packed)):
        statement = envelope.parse(data, size_max=OPERATION_BYTES_MAX)
        body = schema.decode(statement.payload, Operation, size_max=OPERATION_BYTES_MAX).body
        if isinstance(body, Accuse):
            yield body


def check_export(folder, node, tmp_path):
    """The logs of the finished devnet, punishment and all, are proven offline and imported."""
    home, file = manifest.get_home(folder, node), tmp_path / "logs.econode"
    exported = econode("ledger", "export", file, "--home", home.path, "--json").document
    proven = econode("ledger", "verify", file, "--genesis", home.genesis_path, "--json")
    assert (proven.code, proven.document["valid"]) == (0, True)
    assert exported["batches"] == proven.document["batches"]
    elsewhere = tmp_path / "elsewhere"
    assert econode("init", "--home", elsewhere, "--genesis", home.genesis_path).code == 0
    taken = econode("ledger", "import", file, "--home", elsewhere, "--json").document
    kinds = ("batches", "certificates", "entries")
    assert [taken[kind] for kind in kinds] == [exported[kind] for kind in kinds]
    again = econode("ledger", "verify", "--home", elsewhere, "--json")
    assert (again.code, again.document["head"]) == (0, proven.document["head"])


def test_one_digest_everywhere_evidence_everywhere_one_slash(tmp_path):
    folder, job = tmp_path / "net", tmp_path / "job"
    job.mkdir()
    for number in range(FILES):
        (job / f"text-{number}").write_text(f"words in file {number}\n" * (number + 1))
    options = ("--nodes", 4, "--role", "equivocator", "--job", job, "--home", folder)
    options += ("--exit", "--json")
    done = econode("devnet", *options, s_max=RUN_S_MAX)
    assert done.code == 0, done.out[-3_000:] + done.err[-3_000:]
    report = done.document
    plan = manifest.load(folder)
    *honest, liar = plan.nodes
    assert liar.role == "equivocator"
    assert report["settled"] == report["tasks"] == FILES
    assert report["invariants"] == []
    assert report["slashed"] == report["liars"] == [liar.peer_id]
    assert report["roots_equal"] is report["conserved"] is True
    genesis = manifest.get_home(folder, liar).load_genesis()
    members = genesis.get_member_keys()
    committee = Committee(genesis.compute_network_id(), plan.committee, 0, members)
    histories = []
    for node in honest:
        accusations = list(read_accusations(folder, node))
        assert accusations
        for accusation in accusations:
            offence = check_equivocation(committee, accusation.first, accusation.second)
            assert compute_peer_id(offence.offender) == liar.peer_id
        path = manifest.get_home(folder, node).ledger_path
        histories.append(ledger_files.read_history(path, node.name, plan.committee))
    shortest = min(len(history.entries) for history in histories)
    for entries in zip(*(history.entries[:shortest] for history in histories), strict=True):
        assert len({entry.hash for entry in entries}) == 1
    for history in histories:
        slashes = [fact for _, fact in history.facts() if isinstance(fact, Slashed)]
        assert [fact.amount for fact in slashes] == [manifest.BOND]
    check_export(folder, honest[0], tmp_path)
    log = manifest.get_log_path(folder, honest[0]).read_text()
    assert "signed two different votes for one slot" in "".join(
        manifest.get_log_path(folder, node).read_text() for node in honest
    )
    assert "view 1 begins" in log
