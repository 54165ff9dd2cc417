-- The event-sourced ledger: what a node's committees ordered and what peers said of themselves.
--
-- batches, records, entries, certificates, log_entries, forks and evidence are only ever added to;
-- of the first four, rows go that a certified state stands behind (node/ledger_prune.py), position 0
-- never.
-- tasks, auctions, balances and record_accounts are projections: folds over records, rebuilt from them at will.
-- Of the states in snapshots and chunks older ones make room.

CREATE TABLE network (
    id BLOB NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- operations and proof are deterministic CBOR arrays of byte strings (signed statements).
CREATE TABLE batches (
    committee BLOB NOT NULL,
    position INTEGER NOT NULL,
    digest BLOB NOT NULL,
    time_ms INTEGER NOT NULL,
    operations BLOB NOT NULL,
    proof BLOB NOT NULL,
    PRIMARY KEY (committee, position)
) STRICT;

-- Headers of a committee's log; the items of an entry are its rows in records.
CREATE TABLE entries (
    committee BLOB NOT NULL,
    position INTEGER NOT NULL,
    previous BLOB NOT NULL,
    time_ms INTEGER NOT NULL,
    root BLOB NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (committee, position)
) STRICT, WITHOUT ROWID;

-- One row per fact; task is the task or general auction it is about. hash = SHA-256(hash of the
-- committee's row before | the row's fields); behind a snapshot of kind begin the row before is the
-- digest of that state, or what chain_starts says.
CREATE TABLE records (
    committee BLOB NOT NULL,
    position INTEGER NOT NULL,
    item INTEGER NOT NULL,
    kind TEXT NOT NULL,
    task BLOB,
    data BLOB NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (committee, position, item)
) STRICT, WITHOUT ROWID;
CREATE INDEX records_by_task ON records (committee, task, position, item) WHERE task IS NOT NULL;
CREATE INDEX records_by_kind ON records (committee, kind, position, item);

CREATE TABLE certificates (
    committee BLOB NOT NULL,
    position INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (committee, position)
) STRICT;

-- Whole states, each with the certificate of a checkpoint. kind: own, coming or begin (see
-- node/ledger_states.py). leaves are the hashes of the chunks, one after the other.
CREATE TABLE snapshots (
    committee BLOB NOT NULL,
    position INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('own', 'coming', 'begin')),
    certificate BLOB NOT NULL,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    leaves BLOB NOT NULL,
    PRIMARY KEY (committee, position)
) STRICT;

-- Where rows before a state of kind begin were pruned (node/ledger_prune.py): the hash that the chain
-- of records had there, and goes on from.
CREATE TABLE chain_starts (
    committee BLOB NOT NULL,
    position INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (committee, position)
) STRICT;

CREATE TABLE chunks (
    committee BLOB NOT NULL,
    position INTEGER NOT NULL,
    item INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (committee, position, item)
) STRICT;

-- Peers' logs: the whole entry and the proof of its head.
CREATE TABLE log_entries (
    author BLOB NOT NULL,
    position INTEGER NOT NULL,
    data BLOB NOT NULL,
    proof BLOB NOT NULL,
    PRIMARY KEY (author, position)
) STRICT;

-- Proofs that an author forked its log. Of several the one at the lowest position counts.
CREATE TABLE forks (
    author BLOB NOT NULL,
    position INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (author, position)
) STRICT;

-- Evidence of votes and of committees (protocols/evidence.py) that this node has checked; id is the
-- offence's. What is proven of peers' logs stands in forks.
CREATE TABLE evidence (
    id BLOB NOT NULL PRIMARY KEY,
    data BLOB NOT NULL,
    seen_ms INTEGER NOT NULL
) STRICT;

-- Tasks that this node pays with credits from another committee: see node/funding.py. The node's own
-- notes, which nobody else believes.
CREATE TABLE fundings (
    id BLOB NOT NULL PRIMARY KEY,
    is_open INTEGER NOT NULL CHECK (is_open IN (0, 1)),
    data BLOB NOT NULL
) STRICT;

-- What this node sealed, its own notes as well: bids in general auctions (node/bid_notes.py), and
-- reports on variables (node/report_notes.py), whose `want` is 'report'.
CREATE TABLE bids (
    id BLOB NOT NULL PRIMARY KEY,
    is_open INTEGER NOT NULL CHECK (is_open IN (0, 1)),
    want TEXT NOT NULL,
    won INTEGER NOT NULL CHECK (won >= 0),
    data BLOB NOT NULL
) STRICT;

CREATE TABLE record_accounts (
    committee BLOB NOT NULL,
    account BLOB NOT NULL,
    position INTEGER NOT NULL,
    item INTEGER NOT NULL,
    PRIMARY KEY (committee, account, position, item)
) STRICT, WITHOUT ROWID;

CREATE TABLE tasks (
    committee BLOB NOT NULL,
    task BLOB NOT NULL,
    requester BLOB NOT NULL,
    capability BLOB NOT NULL,
    state TEXT NOT NULL,
    round INTEGER NOT NULL,
    budget INTEGER NOT NULL,
    winner BLOB,
    price INTEGER,
    grade TEXT,
    output BLOB,
    opened_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    input BLOB NOT NULL,
    input_bytes INTEGER NOT NULL,
    deadline_ms INTEGER NOT NULL,
    verifiers BLOB NOT NULL,
    holders BLOB NOT NULL,
    output_bytes INTEGER NOT NULL,
    reason TEXT NOT NULL,
    verification TEXT NOT NULL,
    progress_ppm INTEGER NOT NULL,
    scores BLOB NOT NULL,
    score INTEGER,
    PRIMARY KEY (committee, task)
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_by_state ON tasks (committee, state);

CREATE TABLE auctions (
    committee BLOB NOT NULL,
    auction BLOB NOT NULL,
    opener BLOB NOT NULL,
    kind TEXT NOT NULL,
    direction TEXT NOT NULL,
    title TEXT NOT NULL,
    lots INTEGER NOT NULL,
    state TEXT NOT NULL,
    bids INTEGER NOT NULL,
    price INTEGER,
    winners BLOB NOT NULL,
    pending INTEGER NOT NULL,
    opened_ms INTEGER NOT NULL,
    deadline_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    PRIMARY KEY (committee, auction)
) STRICT, WITHOUT ROWID;
CREATE INDEX auctions_by_state ON auctions (committee, state);

CREATE TABLE balances (
    committee BLOB NOT NULL,
    account BLOB NOT NULL,
    bucket TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (committee, account, bucket)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER network_update BEFORE UPDATE ON network
    BEGIN SELECT RAISE(ABORT, 'network is fixed'); END;
CREATE TRIGGER network_delete BEFORE DELETE ON network
    BEGIN SELECT RAISE(ABORT, 'network is fixed'); END;
CREATE TRIGGER batches_update BEFORE UPDATE ON batches
    BEGIN SELECT RAISE(ABORT, 'batches is append-only'); END;
CREATE TRIGGER batches_delete BEFORE DELETE ON batches
    WHEN OLD.position = 0 OR NOT EXISTS (SELECT 1 FROM snapshots s
        WHERE s.kind = 'begin' AND s.committee = OLD.committee AND s.position >= OLD.position)
    BEGIN SELECT RAISE(ABORT, 'batches is append-only'); END;
CREATE TRIGGER entries_update BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries is append-only'); END;
CREATE TRIGGER entries_delete BEFORE DELETE ON entries
    WHEN OLD.position = 0 OR NOT EXISTS (SELECT 1 FROM snapshots s
        WHERE s.kind = 'begin' AND s.committee = OLD.committee AND s.position >= OLD.position)
    BEGIN SELECT RAISE(ABORT, 'entries is append-only'); END;
CREATE TRIGGER records_update BEFORE UPDATE ON records
    BEGIN SELECT RAISE(ABORT, 'records is append-only'); END;
CREATE TRIGGER records_delete BEFORE DELETE ON records
    WHEN OLD.position = 0 OR NOT EXISTS (SELECT 1 FROM snapshots s
        WHERE s.kind = 'begin' AND s.committee = OLD.committee AND s.position >= OLD.position)
    BEGIN SELECT RAISE(ABORT, 'records is append-only'); END;
CREATE TRIGGER certificates_update BEFORE UPDATE ON certificates
    BEGIN SELECT RAISE(ABORT, 'certificates is append-only'); END;
CREATE TRIGGER certificates_delete BEFORE DELETE ON certificates
    WHEN OLD.position = 0 OR NOT EXISTS (SELECT 1 FROM snapshots s
        WHERE s.kind = 'begin' AND s.committee = OLD.committee AND s.position >= OLD.position)
    BEGIN SELECT RAISE(ABORT, 'certificates is append-only'); END;
CREATE TRIGGER log_entries_update BEFORE UPDATE ON log_entries
    BEGIN SELECT RAISE(ABORT, 'log_entries is append-only'); END;
CREATE TRIGGER log_entries_delete BEFORE DELETE ON log_entries
    BEGIN SELECT RAISE(ABORT, 'log_entries is append-only'); END;
CREATE TRIGGER forks_update BEFORE UPDATE ON forks
    BEGIN SELECT RAISE(ABORT, 'forks is append-only'); END;
CREATE TRIGGER forks_delete BEFORE DELETE ON forks
    BEGIN SELECT RAISE(ABORT, 'forks is append-only'); END;
CREATE TRIGGER evidence_update BEFORE UPDATE ON evidence
    BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;
CREATE TRIGGER evidence_delete BEFORE DELETE ON evidence
    BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;
