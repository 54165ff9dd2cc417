"""Three replicas under any order of writing, forging, losing, repeating and delivering.

Invariants K1 to K4 (docs/invariants.md): the same entries give the same root whatever happened on
the way; what is valid is valid everywhere and for good; nobody writes in another's name; a fork
freezes its author at one entry on every replica.
"""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from crdt import log, replica
from crdt.antientropy import AntiEntropy
from crdt.heads import check_fork
from crdt.replica import Change, ProvenEntry, Replica
from identity.errors import InvalidBytes
from identity.keys import PrivateKey
from node.router import decode_frame, encode_frame
from tests.crdt.logs import COMMITTEE, KEYS, PROVER, exchange, make_replica, prove

HONEST: list[PrivateKey | None] = [KEYS[0], KEYS[1], None]
"""None writes in the committee's name, with its certificate."""
FORKERS = KEYS[2:4]
FOREIGN = bytes(16)
REPLICAS = 3
QUEUE_MAX = 60
ROUNDS_MAX = 120
INDEX = st.integers(0, 1_000_000)
WHICH = st.integers(0, REPLICAS - 1)


def get_id(key: PrivateKey | None) -> bytes:
    return key.public if key else COMMITTEE


class Logs(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(replica, "ORPHANS_AUTHOR_MAX", 3)
        self.patch.setattr(replica, "ORPHANS_MAX", 5)
        self.replicas = [make_replica() for _ in range(REPLICAS)]
        self.folded: list[dict[bytes, list[bytes]]] = [{} for _ in range(REPLICAS)]
        self.nodes = [
            AntiEntropy(each, lambda change, i=i: self.fold(i, change), bytes([i]))  # type: ignore[misc]
            for i, each in enumerate(self.replicas)
        ]
        for i, node in enumerate(self.nodes):
            for other in range(REPLICAS):
                if other != i:
                    node.add_peer(bytes([other]))
        self.written: list[ProvenEntry] = []
        self.tips: dict[bytes, ProvenEntry] = {}
        self.forks: dict[bytes, int] = {}
        self.proofs: list[bytes] = []
        self.frozen: dict[tuple[int, bytes], int] = {}
        self.queue: list[tuple[int, int, bytes]] = []

    def fold(self, index: int, change: Change) -> None:
        """What a view of this replica has been told, as hashes by author."""
        for proven in change.entries:
            header = proven.entry.header
            self.folded[index].setdefault(header.author, []).append(header.hash())
        if change.fork is not None:
            self.proofs.append(change.fork.encode())
            author = change.fork.author
            held = self.replicas[index].iterate(author)
            self.folded[index][author] = [entry.header.hash() for entry in held]

    def write(self, key: PrivateKey | None, base: ProvenEntry | None, salt: bytes) -> ProvenEntry:
        position = base.entry.header.position + 1 if base else 0
        previous = base.entry.header.hash() if base else log.GENESIS_PREVIOUS
        entry = log.append(get_id(key), position, previous, position, [b"%d" % position + salt])
        proven = prove(entry, key)
        self.written.append(proven)
        return proven

    @rule(which=WHICH, key=st.sampled_from(HONEST))
    def an_honest_author_writes(self, which: int, key: PrivateKey | None) -> None:
        proven = self.write(key, self.tips.get(get_id(key)), b"")
        self.tips[get_id(key)] = proven
        self.give(which, proven)

    @rule(which=WHICH, key=st.sampled_from(FORKERS), index=INDEX)
    def a_forker_writes_anywhere(self, which: int, key: PrivateKey, index: int) -> None:
        own = [each for each in self.written if each.entry.header.author == key.public]
        choice = index % (len(own) + 1)
        base = own[choice - 1] if choice else None
        proven = self.write(key, base, b"%d" % len(self.written))
        position = proven.entry.header.position
        if any(each.entry.header.position == position for each in own):
            self.forks[key.public] = min(position, self.forks.get(key.public, position))
        self.give(which, proven)

    @precondition(lambda self: self.written)
    @rule(which=WHICH, index=INDEX)
    def any_entry_arrives_by_itself(self, which: int, index: int) -> None:
        self.give(which, self.written[index % len(self.written)])

    @precondition(lambda self: self.written)
    @rule(which=WHICH, index=INDEX, key=st.sampled_from(KEYS))
    def somebody_writes_in_another_name(self, which: int, index: int, key: PrivateKey) -> None:
        target = self.written[index % len(self.written)].entry.header
        if target.author == key.public:
            return
        entry = log.append(
            target.author, target.position, target.previous, target.time_ms, [b"forged"]
        )
        self.refuse(which, prove(entry, key))
        self.refuse(which, prove(log.append(FOREIGN, 0, bytes(32), 0, []), None))

    @precondition(lambda self: self.proofs)
    @rule(which=WHICH, index=INDEX)
    def any_fork_proof_arrives(self, which: int, index: int) -> None:
        self.fold(which, self.replicas[which].merge_fork(self.proofs[index % len(self.proofs)]))

    @rule(which=WHICH)
    def a_tick(self, which: int) -> None:
        self.send(which, self.nodes[which].tick())

    @precondition(lambda self: self.queue)
    @rule(index=INDEX, twice=st.booleans())
    def a_message_arrives(self, index: int, twice: bool) -> None:
        source, target, frame = self.queue.pop(index % len(self.queue))
        for _ in range(1 + twice):
            self.deliver(source, target, frame)

    @precondition(lambda self: self.queue)
    @rule(index=INDEX)
    def a_message_is_lost(self, index: int) -> None:
        self.queue.pop(index % len(self.queue))

    @invariant()
    def chains_link_and_end_below_their_forks(self) -> None:
        for which, held in enumerate(self.replicas):
            for author in held.get_authors():
                headers = [entry.header for entry in held.iterate(author)]
                hashes = [header.hash() for header in headers]
                assert self.folded[which].get(author, []) == hashes
                links = [log.GENESIS_PREVIOUS, *hashes[:-1]] if hashes else []
                assert [header.previous for header in headers] == links
                fork = held.get_fork(author)
                if fork is not None:
                    assert author in self.forks
                    assert self.forks[author] <= fork.position
                    assert len(hashes) <= fork.position
                    before = self.frozen.get((which, author), fork.position)
                    assert fork.position <= before
                    self.frozen[which, author] = fork.position

    def give(self, which: int, proven: ProvenEntry) -> None:
        self.fold(which, self.replicas[which].merge(proven))

    def refuse(self, which: int, forged: ProvenEntry) -> None:
        held = self.replicas[which]
        fork = held.get_fork(forged.entry.header.author)
        if fork is not None and fork.position <= forged.entry.header.position:
            return  # nothing of this author is looked at any more
        root = held.get_root()
        with pytest.raises(InvalidBytes):
            held.merge(forged)
        assert held.get_root() == root

    def send(self, source: int, sends: list) -> None:  # type: ignore[type-arg]
        for target, message in sends:
            self.queue.append((source, target[0], encode_frame(message)))
        del self.queue[:-QUEUE_MAX]

    def deliver(self, source: int, target: int, frame: bytes) -> None:
        message = decode_frame(frame)
        self.send(target, self.nodes[target].handle(bytes([source]), message))  # type: ignore[arg-type]

    def teardown(self) -> None:
        try:
            self.heal()
            self.check_union()
        finally:
            self.patch.undo()

    def heal(self) -> None:
        """Nothing is lost any more: all roots become equal."""
        for _ in range(ROUNDS_MAX):
            for which, node in enumerate(self.nodes):
                self.send(which, node.tick())
            while self.queue:
                self.deliver(*self.queue.pop(0))
            if len({held.get_root() for held in self.replicas}) == 1:
                break
        assert len({held.get_root() for held in self.replicas}) == 1
        assert len({held.get_weight() for held in self.replicas}) == 1
        self.chains_link_and_end_below_their_forks()
        for held in self.replicas:
            for fork in held.get_forks():
                assert check_fork(fork.encode(), PROVER) == fork

    def check_union(self) -> None:
        """Whoever merges what the replicas hold, in another order and twice, has their root."""
        fresh: Replica = make_replica()
        for held in reversed(self.replicas):
            exchange(held, fresh)
            exchange(held, fresh)
        assert fresh.get_root() == self.replicas[0].get_root()
        # Given everything that was ever written, each is frozen where its branches part.
        self.patch.undo()
        for each in (fresh, *self.replicas):
            for proven in (*reversed(self.written), *self.written):
                each.merge(proven)
        all_replicas = [fresh, *self.replicas]
        for _ in self.written:
            for each in self.replicas:
                exchange(fresh, each)
                exchange(each, fresh)
            if len({each.get_root() for each in all_replicas}) == 1:
                break
        assert len({each.get_root() for each in all_replicas}) == 1
        for author, position in self.forks.items():
            fork = fresh.get_fork(author)
            assert fork is not None
            assert fork.position == position == fresh.get_count(author)
        for author, tip in self.tips.items():
            assert fresh.get_count(author) == tip.entry.header.position + 1


def run(examples: int) -> None:
    run_state_machine_as_test(
        Logs,
        settings=settings(
            max_examples=examples,
            stateful_step_count=100,
            phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_100_histories_of_100_steps() -> None:
    run(100)


@pytest.mark.full
@pytest.mark.timeout(3_600)
def test_2000_histories_of_100_steps() -> None:
    run(2_000)
