"""What a devnet consists of: its nodes, their homes and roles; devnet.json in its folder."""

import hashlib
import random
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from devnet.roles import BYZANTINE, LYING_TARGET, Byzantine, Role, assign_roles
from identity import keys
from node import file_stats
from node.config import Capability
from node.config_file import render_config
from node.files import write_atomic
from node.home import Home
from node.problem import Problem
from protocols.committee import compute_faults
from protocols.genesis import MAIN_COMMITTEE, Genesis, Member, Parameters, compute_committee_id

NODES_MIN = 3
"""The requester, and two agents: one that executes and one that verifies."""
NODES_MAX = 20
MANIFEST_NAME = "devnet.json"
MANIFEST_BYTES_MAX = 64 * 1024
VERSION = 1
BOND = 10_000
FREE = 100_000_000
PRICE_BASE_RANGE = (8, 16)
_PORT_LOWEST = 20_000
_PORT_TRIES_MAX = 10_000
_EPHEMERAL_LOWEST_DEFAULT = 32_768


class NodePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One node; `number` counts from 1 and names it."""

    number: Annotated[int, msgspec.Meta(ge=1, le=NODES_MAX)]
    peer_id: str
    role: Role
    price_base: int

    @property
    def name(self) -> str:
        return f"node-{self.number}"

    @property
    def key(self) -> bytes:
        return keys.parse_peer_id(self.peer_id)


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The content of devnet.json."""

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)] = VERSION
    network_id: str
    seed: int | None
    nodes: Annotated[tuple[NodePlan, ...], msgspec.Meta(min_length=NODES_MIN, max_length=NODES_MAX)]

    @property
    def committee(self) -> bytes:
        return compute_committee_id(bytes.fromhex(self.network_id), MAIN_COMMITTEE)

    def list_liars(self) -> list[NodePlan]:
        """All nodes that do not keep to the protocol, whatever they lie about."""
        return [node for node in self.nodes if node.role in BYZANTINE]


def get_home(folder: Path, node: NodePlan) -> Home:
    return Home((folder / node.name).absolute())


def get_log_path(folder: Path, node: NodePlan) -> Path:
    return get_home(folder, node).path / "node.log"


def check_size(nodes: int, byzantine: int) -> None:
    """Raise Problem `usage` for a network that cannot do the job or stand its liars."""
    if not NODES_MIN <= nodes <= NODES_MAX:
        raise Problem("usage", f"{NODES_MIN} to {NODES_MAX} nodes", where="--nodes")
    if not 0 <= byzantine <= compute_faults(nodes):
        raise Problem(
            "usage",
            f"{nodes} nodes stand {compute_faults(nodes)} liars at most, {byzantine} were asked",
            where="--byzantine",
            remedy=f"give at least {3 * max(0, byzantine) + 1} nodes",
        )


def create(folder: Path, nodes: int, byzantine: Sequence[Byzantine], seed: int | None) -> Manifest:
    """Make keys, one genesis and a home for each node in `folder`; devnet.json comes last.

    With a seed keys and prices are the same every time; ports and the network id are not. An
    equivocator gets the smallest key: it leads the first view.
    """
    check_size(nodes, len(byzantine))
    rng = random.Random(f"econode/devnet/prices/{seed}") if seed is not None else random.Random()
    roles = assign_roles(nodes, byzantine)
    secrets = [_make_key(seed, number) for number in range(1, nodes + 1)]
    if roles[-1] == "equivocator":
        secrets.append(secrets.pop(secrets.index(min(secrets, key=lambda secret: secret.public))))
    plans = [
        NodePlan(
            number=number,
            peer_id=keys.compute_peer_id(secret.public),
            role=role,
            price_base=rng.randint(*PRICE_BASE_RANGE),
        )
        for number, secret, role in zip(range(1, nodes + 1), secrets, roles, strict=True)
    ]
    ports = choose_ports(nodes)
    genesis = _make_genesis(plans, ports)
    for plan, secret, port in zip(plans, secrets, ports, strict=True):
        _make_home(get_home(folder, plan), plan, secret, port, genesis)
    manifest = Manifest(
        network_id=genesis.compute_network_id().hex(), seed=seed, nodes=tuple(plans)
    )
    data = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    write_atomic(folder / MANIFEST_NAME, data + b"\n")
    return manifest


def load(folder: Path) -> Manifest:
    """The devnet that `create` made in `folder`. Raises Problem `no-devnet`."""
    path = folder / MANIFEST_NAME
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(MANIFEST_BYTES_MAX), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise Problem("no-devnet", f"not a devnet's file: {error}", where=str(path)) from None


def open_folder(
    folder: Path, nodes: int, byzantine: Sequence[Byzantine], seed: int | None
) -> Manifest:
    """The devnet in `folder`: the one that is there if it is as asked for, else a new one.

    Raises Problem for a folder with anything else in it.
    """
    check_size(nodes, len(byzantine))
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return create(folder, nodes, byzantine, seed)
    if not (folder / MANIFEST_NAME).is_file():
        raise Problem(
            "no-devnet",
            "this folder is neither empty nor a devnet",
            where=str(folder),
            remedy="give another folder with --home",
        )
    manifest = load(folder)
    found = sorted(node.role for node in manifest.list_liars())
    if (len(manifest.nodes), found) != (nodes, sorted(byzantine)) or seed not in (
        None,
        manifest.seed,
    ):
        raise Problem(
            "no-devnet",
            f"the devnet here has {len(manifest.nodes)} nodes, {len(found)} of them Byzantine "
            f"({', '.join(found) or 'none'}), and seed {manifest.seed}",
            where=str(folder),
            remedy="run it with these options, or give another folder with --home",
        )
    return manifest


def choose_ports(count: int) -> list[int]:
    """Free TCP ports of 127.0.0.1 outside of the range that outgoing connections take theirs
    from: a node that was killed finds its port free when it starts again."""
    highest = min(_read_ephemeral_lowest(), 65_536) - 1
    if highest - _PORT_LOWEST < 1_000:
        highest = 65_535
    found: list[int] = []
    for _ in range(_PORT_TRIES_MAX):
        port = random.SystemRandom().randint(_PORT_LOWEST, highest)
        if port not in found and _is_free(port):
            found.append(port)
            if len(found) == count:
                return found
    raise Problem("port-in-use", f"no {count} free ports on 127.0.0.1", remedy="end other programs")


def _read_ephemeral_lowest() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):  # another system: what most use
        return _EPHEMERAL_LOWEST_DEFAULT


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _make_key(seed: int | None, number: int) -> keys.PrivateKey:
    if seed is None:
        return keys.PrivateKey.generate()
    return keys.PrivateKey(hashlib.sha256(f"econode/devnet/key/{seed}/{number}".encode()).digest())


def _make_genesis(plans: Sequence[NodePlan], ports: Sequence[int]) -> Genesis:
    members = tuple(
        Member(plan.peer_id, _get_address(port), BOND, FREE)
        for plan, port in zip(plans, ports, strict=True)
    )
    # A devnet ends within a minute: its scores move as soon as there are settlements enough.
    rules = Parameters(snapshot_ms_min=0)
    created_ms = time.time_ns() // 1_000_000
    return Genesis(name="devnet", created_ms=created_ms, members=members, parameters=rules)


def _get_address(port: int) -> str:
    return f"/ip4/127.0.0.1/tcp/{port}"


def _make_home(
    home: Home, plan: NodePlan, secret: keys.PrivateKey, port: int, genesis: Genesis
) -> None:
    home.make_folder()
    home.write_key(secret, None)
    home.write_token()
    home.write_genesis(genesis)
    text = render_config(_get_overrides(plan, port)) + "\n" + _render_capability(plan)
    write_atomic(home.config_path, text.encode())


def _get_overrides(plan: NodePlan, port: int) -> dict[tuple[str, str], object]:
    values: dict[tuple[str, str], object] = {
        ("network", "listen"): (_get_address(port),),
        ("agent", "price_base"): plan.price_base,
    }
    if plan.role == "liar":
        values[("agent", "strategy")] = "underbid"  # to win, and lie, as often as it can
    return values


def _render_capability(plan: NodePlan) -> str:
    capability = Capability(
        name=file_stats.NAME,
        version=file_stats.VERSION,
        kind="python",
        target=LYING_TARGET if plan.role == "liar" else file_stats.TARGET,
        specification=file_stats.SPECIFICATION,
    )
    lines = [
        f"{key} = {msgspec.json.encode(value).decode()}"
        for key, value in msgspec.structs.asdict(capability).items()
        if value is not None
    ]
    return "\n".join(["[[capability]]", *lines, ""])
