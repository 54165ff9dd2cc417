"""Text scenarios of the economy: commands, `----`, and the facts that followed.

Run with ECONODE_REWRITE_SCENARIOS=1 to write the traces anew; read the difference before you
commit it. The commands:

    world n=4 [draw=K parameter=value ...]   start; every member offers the capability; other
                                             draws with another K
    offer NAME ...                           one batch
    withdraw NAME
    open NAME [count=1 budget=1000 holders=2 duration_ms=600000]
    transfer FROM TO AMOUNT [nonce=N]
    bid NAME TASK PRICE|pass|broke           sealed; `broke` seals with a wrong salt
    show_bid NAME TASK PRICE [salt=TEXT]
    work NAME TASK OUTPUT|fail [of=NAME]     sealed result or failure; `of`: another's, copied
    show_work NAME TASK OUTPUT
    inventory NAME TASK PHASE [HELD ...]
    form PROPOSER NAME MEMBER,... [bond=5000 free=100 duration_ms=60000]
    consent NAME COMMITTEE
    committees                               proposals and committees that were formed
    found NAME                               the genesis facts of a formed committee
    bond NAME AMOUNT
    unbond NAME AMOUNT
    unbondings NAME                          what leaves the bond, and when
    join NAME BOND
    leave NAME
    both OPERATION NAME ...                  one batch: each NAME joins with 10000, or leaves
    members                                  the epoch, where it began, its members
    wait MS                                  an empty batch later
    play NAME=OUTPUT ...                     let agents do their duties until nothing is left
    stake | scores | duties NAME | tasks | admit FROM TO AMOUNT NONCE
    reload                                   go on with load(dump(state))

General auctions: auction_commands.py. Prices, halts, variables: market_commands.py. Tasks that
nobody runs again: task_commands.py. Versions of the semantics: upgrade_commands.py.
"""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crdt.facts import (
    COMMON,
    AuctionBidCommitted,
    Awarded,
    BidCommitted,
    CommitteeProposed,
    EpochBegan,
    Fact,
    Move,
    OfferedCapability,
    Snapshot,
    TaskOpened,
    TaskTerms,
    WorkCommitted,
    compute_transit_account,
)
from protocols.auction.commit_reveal import compute_bid_commitment, compute_work_commitment
from protocols.economy.committees import derive_founding, make_formed_fact
from protocols.economy.operations import (
    BidCommitment,
    BidOpening,
    Body,
    Bond,
    CommitBids,
    CommitWork,
    ConsentCommittee,
    FormCommittee,
    Held,
    Inventory,
    JoinCommittee,
    LeaveCommittee,
    Offer,
    Operation,
    RevealBids,
    RevealWork,
    Transfer,
    Unbond,
    WorkCommitment,
    WorkOpening,
)
from protocols.economy.state import EconomyState
from tests.economy.auction_commands import AuctionCommands
from tests.economy.market_commands import MarketCommands
from tests.economy.task_commands import PLAIN, TaskCommands, tell_terms
from tests.economy.upgrade_commands import UpgradeCommands
from tests.economy.world import START_MS, World, check_receipt, digest

SCENARIOS = Path(__file__).parent / "scenarios"
REWRITE = os.environ.get("ECONODE_REWRITE_SCENARIOS") == "1"
OUTPUTS = ("right", "wrong", "other", "good")


class Runner(AuctionCommands, MarketCommands, TaskCommands, UpgradeCommands):
    """Executes commands on a world and tells what followed."""

    def __init__(self) -> None:
        self.world = World()
        self.tasks: dict[str, bytes] = {}
        self.auctions: dict[str, bytes] = {}
        self.committees: dict[str, bytes] = {}
        self.variables: dict[str, bytes] = {}
        self.words: dict[bytes, str] = {}

    def command(self, line: str) -> list[str]:
        verb, *words = line.split()
        options = dict(word.split("=", 1) for word in words if "=" in word)
        names = [word for word in words if "=" not in word]
        return getattr(self, f"do_{verb}")(*names, **options)

    # --- commands ----------------------------------------------------------------------------

    def do_world(self, **options: str) -> list[str]:
        verification = options.pop("verification", "exact")
        numbers = {key: int(value) for key, value in options.items()}
        self.world = World(verification=verification, **numbers)
        self.tasks, self.auctions, self.committees, self.variables = {}, {}, {}, {}
        self.words = {COMMON: "", **self.world.names}
        self.words |= {digest(output): output for output in OUTPUTS}
        self.world.run(*self.world.offer(*self.world.members))
        return [f"f={self.world.committee.f} q={self.world.committee.q}"]

    def do_offer(self, *names: str) -> list[str]:
        return self.tell(self.world.run(*self.world.offer(*names)))

    def do_withdraw(self, name: str) -> list[str]:
        return self.submit(name, Offer(()))

    def do_open(self, name: str, **options: str) -> list[str]:
        changes = {k: int(v) if v.isdecimal() else v for k, v in options.items()}
        return self.tell(self.world.run(self.world.open(name, **changes)))

    def do_transfer(self, source: str, to: str, amount: str, nonce: str = "") -> list[str]:
        key = self.world.keys[to] if to in self.world.keys else digest(to)
        if source not in self.world.keys:
            self.world.keys[source] = digest(source)
        signed = self.world.sign(source, Transfer(key, int(amount)), int(nonce) if nonce else None)
        return self.tell(self.world.run(signed))

    def do_admit(self, source: str, to: str, amount: str, nonce: str) -> list[str]:
        key = self.world.keys.get(source, digest(source))
        operation = Operation(int(nonce), Transfer(self.world.keys[to], int(amount)))
        return [str(self.world.state.admit(key, operation))]

    def do_bid(self, name: str, task: str, price: str) -> list[str]:
        id_, round_ = self.find(task)
        seal = None
        if price != "pass":
            salt = digest("salt")
            place = self.world.committee
            key = self.world.keys[name]
            seal = compute_bid_commitment(
                place.network, place.id, id_, round_, key, int(price), salt
            )
        return self.submit(name, CommitBids((BidCommitment(id_, round_, seal),)))

    def do_show_bid(self, name: str, task: str, price: str, salt: str = "salt") -> list[str]:
        id_, round_ = self.find(task)
        return self.submit(name, RevealBids((BidOpening(id_, round_, int(price), digest(salt)),)))

    def do_work(self, name: str, task: str, output: str, of: str = "") -> list[str]:
        id_, round_ = self.find(task)
        if output == "fail":
            return self.submit(name, CommitWork((WorkCommitment(id_, round_, None, "crashed"),)))
        place, key = self.world.committee, self.world.keys[of or name]
        seal = compute_work_commitment(
            place.network, place.id, id_, round_, key, digest(output), 7, digest("salt")
        )
        return self.submit(name, CommitWork((WorkCommitment(id_, round_, seal, None),)))

    def do_show_work(self, name: str, task: str, output: str) -> list[str]:
        id_, round_ = self.find(task)
        opening = WorkOpening(id_, round_, digest(output), 7, digest("salt"))
        return self.submit(name, RevealWork((opening,)))

    def do_inventory(self, name: str, task: str, phase: Any, *held: str) -> list[str]:
        id_, round_ = self.find(task)
        parties = tuple(self.world.keys[word] for word in held)
        return self.submit(name, Inventory((Held(id_, round_, phase, parties),)))

    def do_form(self, proposer: str, name: str, members: str, **terms: str) -> list[str]:
        numbers = {"bond": 5_000, "free": 100, "duration_ms": 60_000}
        numbers |= {key: int(value) for key, value in terms.items()}
        named = tuple(self.world.keys.get(word, digest(word)) for word in members.split(","))
        return self.submit(proposer, FormCommittee(name, named, **numbers))

    def do_consent(self, name: str, committee: str) -> list[str]:
        id_ = self.committees.get(committee, digest(committee)[:16])
        return self.submit(name, ConsentCommittee(id_))

    def do_committees(self) -> list[str]:
        state = self.world.state
        lines = [f"due {self.tell_due()}"]
        for proposal in state.proposals():
            names = " ".join(self.words[key] for key in proposal.consented)
            lines.append(f"proposed {proposal.name} consented=[{names}]")
        for formed in state.formed():
            lines.append(f"formed {formed.name} at {formed.position}")
        return lines

    def do_found(self, name: str) -> list[str]:
        state, committee = self.world.state, self.world.committee
        formed = next(item for item in state.formed() if item.name == name)
        fact = make_formed_fact(formed)
        founding = derive_founding(committee, formed.position, fact, state.parameters)
        child = EconomyState(*founding, check_receipt)
        share = len(formed.members) * (formed.bond + formed.free)
        assert child.stake.totals()["minted"] == share <= state.stake.totals()["transit"]
        return [self.tell_fact(fact) for fact in child.genesis_facts()]

    def do_bond(self, name: str, amount: str) -> list[str]:
        return self.submit(name, Bond(int(amount)))

    def do_unbond(self, name: str, amount: str) -> list[str]:
        return self.submit(name, Unbond(int(amount)))

    def do_unbondings(self, name: str) -> list[str]:
        key, state = self.world.keys[name], self.world.state
        lines = [f"{each.amount} at {each.due_ms - START_MS}" for each in state.unbondings(key)]
        return [f"standing {state.get_standing_bond(key)}", *lines]

    def do_join(self, name: str, bond: str) -> list[str]:
        return self.submit(name, JoinCommittee(int(bond)))

    def do_leave(self, name: str) -> list[str]:
        return self.submit(name, LeaveCommittee())

    def do_both(self, verb: str, *names: str) -> list[str]:
        body = LeaveCommittee() if verb == "leave" else JoinCommittee(10_000)
        pairs: list[tuple[str, Body]] = [(name, body) for name in names]
        return self.tell(self.world.run(*self.world.sign_all(pairs)))

    def do_members(self) -> list[str]:
        now = self.world.state.committee
        names = " ".join(self.words[key] for key in now.members)
        return [f"epoch {now.epoch} from {now.start}: {names} (f={now.f} q={now.q})"]

    def do_wait(self, time_ms: str) -> list[str]:
        return self.tell(self.world.run(wait_ms=int(time_ms)))

    def do_play(self, **says: str) -> list[str]:
        return self.tell(self.world.play(says))

    def do_stake(self) -> list[str]:
        lines: dict[str, str] = {}
        for (account, bucket), value in self.world.state.stake.balances().items():
            name = self.words[account] or "common"
            lines[name] = lines.get(name, name) + f" {bucket}={value}"
        return [*sorted(lines.values()), f"conserved={self.world.state.stake.is_conserved()}"]

    def do_scores(self) -> list[str]:
        view = self.world.state.reputation
        return [
            f"{self.words[score.agent]} {score.score_ppm} "
            + " ".join(receipt.grade for receipt in view.explain(score.agent))
            for score in view.scores()
        ]

    def do_duties(self, name: str) -> list[str]:
        duties = self.world.state.duties(self.world.keys[name])
        return [f"{duty.kind} {self.words[duty.task]} {duty.round} {duty.phase}" for duty in duties]

    def do_tasks(self) -> list[str]:
        lines = [f"due {self.tell_due()}"]
        for task in self.world.state.tasks():
            waiting = " ".join(sorted(self.words[key] for key in task.waiting))
            lines.append(f"{self.words[task.task]} round {task.round} {task.stage} [{waiting}]")
        return lines

    def do_reload(self) -> list[str]:
        world = self.world
        data = world.state.dump()
        world.state = EconomyState.load(data, world.genesis, world.committee, check_receipt)
        assert world.state.dump() == data
        return []

    def tell_due(self) -> int | None:
        due_ms = self.world.state.next_deadline_ms()
        return None if due_ms is None else due_ms - START_MS

    # --- telling -----------------------------------------------------------------------------

    def find(self, task: str) -> tuple[bytes, int]:
        id_ = self.tasks.get(task, digest(task))
        view = self.world.state.get_task(id_)
        return id_, view.round if view else 1

    def submit(self, name: str, body: Body) -> list[str]:
        return self.tell(self.world.run(self.world.sign(name, body)))

    def tell(self, facts: Any) -> list[str]:
        assert self.world.state.stake.is_conserved()
        return [self.tell_fact(fact) for fact in facts] or ["nothing"]

    def tell_fact(self, fact: Fact) -> str:
        if isinstance(fact, TaskOpened):
            name = f"t{len(self.tasks) + 1}"
            self.tasks[name] = fact.task
            self.words[fact.task] = name
        if isinstance(fact, CommitteeProposed):
            self.committees[fact.name] = fact.committee
            self.words[fact.committee] = fact.name
            self.words[compute_transit_account(fact.committee)] = f"to:{fact.name}"
        self.note_variable(fact)
        self.note_auction(fact)
        hidden = {
            "moves",
            "link",
            "operation",
            "seed",
            "offence",
            "capability",
            "input",
            "root",
            "scores",
            "work_max",
        }
        if getattr(fact, "proof", None) is None:
            hidden.add("proof")
        if not isinstance(fact, BidCommitted | WorkCommitted | AuctionBidCommitted):
            hidden.add("commitment")
        if isinstance(fact, Awarded):
            hidden |= {"bids", "budget"}
        if isinstance(fact, EpochBegan) and fact.semantics == 1:
            hidden.add("semantics")
        parts = [fact.__struct_config__.tag]
        for field in msgspec.structs.fields(fact):
            if (field.name, getattr(fact, field.name)) in PLAIN:
                continue
            if field.name not in hidden:
                parts.append(
                    f"{field.name}={self.tell_value(field.name, getattr(fact, field.name))}"
                )
        if isinstance(fact, Snapshot):
            parts.append(f"agents={len(fact.scores)}")
        if fact.moves:
            parts.append("moves=" + ", ".join(self.tell_move(move) for move in fact.moves))
        return " ".join(str(part) for part in parts)

    def tell_value(self, field: str, value: Any) -> str:
        if isinstance(value, bytes):
            return self.words.get(value, "sealed" if field == "commitment" else value.hex()[:8])
        if isinstance(value, tuple):
            return "[" + " ".join(self.tell_value(field, item) for item in value) + "]"
        if isinstance(value, OfferedCapability):
            return value.name
        if isinstance(value, TaskTerms):
            return tell_terms(value)
        if isinstance(value, msgspec.Struct):
            return self.tell_struct(value)
        if (
            field in ("deadline_ms", "created_ms", "due_ms", "opened_ms", "since_ms")
            and value is not None
        ):
            return str(value - START_MS)
        return str(value)

    def tell_move(self, move: Move) -> str:
        source = f"{self.words.get(move.source, '?')}.{move.source_bucket}".lstrip(".")
        target = f"{self.words.get(move.target, '?')}.{move.target_bucket}".lstrip(".")
        return f"{source}>{target} {move.amount}"


def run_scenario(text: str) -> str:
    """The scenario with the traces that its commands give now."""
    runner = Runner()
    blocks = []
    for block in text.strip().split("\n\n"):
        lines = block.splitlines()
        commands = lines[: lines.index("----")] if "----" in lines else lines
        trace: list[str] = []
        for line in commands:
            if not line.startswith("#"):
                trace += runner.command(line)
        blocks.append("\n".join([*commands, "----", *trace]))
    return "\n\n".join(blocks) + "\n"


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.txt")), ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    text = path.read_text()
    now = run_scenario(text)
    if REWRITE:
        path.write_text(now)
    assert now == path.read_text()
