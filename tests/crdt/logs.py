"""Logs with forks, made with real keys, for tests of replicas."""

import hashlib
from functools import cache

from crdt import log
from crdt.heads import Prover, Voters, get_head, sign_head
from crdt.replica import Change, ProvenEntry, Replica
from identity import envelope, schema
from identity.certificate import Certificate
from identity.envelope import Context
from identity.keys import PrivateKey

NETWORK = hashlib.sha256(b"network").digest()
COMMITTEE = bytes(range(16))
KEYS = [PrivateKey(hashlib.sha256(b"peer%d" % i).digest()) for i in range(6)]
MEMBERS = KEYS[:4]
PROVER = Prover(NETWORK, {COMMITTEE: [Voters(0, frozenset(key.public for key in MEMBERS), 3)]})


def make_replica() -> Replica:
    return Replica(PROVER)


def prove(entry: log.Entry, key: PrivateKey | None) -> ProvenEntry:
    """The entry with the proof of `key`, or of the committee."""
    if key is not None:
        return ProvenEntry(entry, sign_head(key, NETWORK, entry.header))
    context = Context(NETWORK, COMMITTEE, 0, log.HEAD_KIND)
    payload = schema.encode(get_head(entry.header))
    signatures = {
        member.public: envelope.sign(member, context, payload).signature for member in MEMBERS[:3]
    }
    return ProvenEntry(entry, Certificate.collect(context, payload, signatures).encode())


def make_chain(
    key: PrivateKey | None, count: int, *, base: list[ProvenEntry] | None = None, salt: bytes = b""
) -> list[ProvenEntry]:
    """`base` and entries after it up to `count`; another salt makes a fork."""
    author = key.public if key else COMMITTEE
    chain = list(base or [])
    for position in range(len(chain), count):
        previous = chain[-1].entry.header.hash() if chain else log.GENESIS_PREVIOUS
        items = [b"%d" % position + salt]
        chain.append(prove(log.append(author, position, previous, position, items), key))
    return chain


@cache
def make_pool() -> tuple[ProvenEntry, ...]:
    """Three honest authors (one a committee), one that forked thrice, one that forked at once."""
    honest = [*make_chain(KEYS[0], 6), *make_chain(KEYS[1], 4), *make_chain(None, 3)]
    trunk = make_chain(KEYS[2], 7)
    branches = [
        *make_chain(KEYS[2], 7, base=trunk[:2], salt=b"b")[2:],
        *make_chain(KEYS[2], 6, base=trunk[:4], salt=b"c")[4:],
        *make_chain(KEYS[2], 6, base=trunk[:5], salt=b"d")[5:],
    ]
    twice = [*make_chain(KEYS[3], 2), *make_chain(KEYS[3], 2, salt=b"e")]
    return (*honest, *trunk, *branches, *twice)


def exchange(source: Replica, target: Replica) -> None:
    """Merge the state of one replica into another."""
    for fork in source.get_forks():
        target.merge_fork(fork.encode())
    for author in source.get_authors():
        for proven in source.entries_since(author, 0, count_max=1_000, bytes_max=1 << 30):
            target.merge(proven)


def count_entries(changes: list[Change]) -> int:
    return sum(len(change.entries) for change in changes)
