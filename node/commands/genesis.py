"""econode genesis new, add, show: found a network."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands.common import (
    HomeOption,
    JsonOption,
    hint,
    make_app,
    open_home,
    render_pairs,
    render_table,
    show,
)

if TYPE_CHECKING:
    from protocols.genesis import Genesis

BOND_DEFAULT = 10_000
FREE_DEFAULT = 10_000
CREDITS_MAX = (1 << 63) - 1

app = make_app("Found a network: members and credits.")

BondOption = Annotated[
    int, typer.Option(min=0, max=CREDITS_MAX, help="Bonded credits; they burn for proven lies.")
]
FreeOption = Annotated[int, typer.Option(min=0, max=CREDITS_MAX, help="Credits free to spend.")]
AddressOption = Annotated[
    str | None,
    typer.Option(metavar="MULTIADDR", help="Where others dial the member."),
]


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="What people call the network.")],
    bond: BondOption = BOND_DEFAULT,
    free: FreeOption = FREE_DEFAULT,
    address: AddressOption = None,
    add_account: Annotated[
        list[str] | None,
        typer.Option(metavar="PEERID=CREDITS", help="An account that is no member; repeatable."),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Make genesis.json; this node is the first member.

    \b
    Example:
      econode genesis new village --bond 10000 --free 10000
    """
    from protocols.genesis import Genesis, Member

    place = open_home(home)
    place.check_initialised()
    with place.lock():
        if place.genesis_path.exists():
            raise _exists(place.genesis_path)
        peer, own = _find_own(place, address)
        genesis = Genesis(
            name=name,
            created_ms=int(time.time() * 1000),
            members=(Member(peer, own, bond, free),),
            accounts=tuple(_parse_account(text) for text in add_account or []),
        )
        place.write_genesis(_check(genesis, place.genesis_path))
    _show(genesis, place.genesis_path, json)


@app.command("add")
def add(
    peer: Annotated[
        str, typer.Argument(metavar="PEERID[@MULTIADDR]", help="What `econode id` prints there.")
    ],
    address: AddressOption = None,
    bond: BondOption = BOND_DEFAULT,
    free: FreeOption = FREE_DEFAULT,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Add a founding member, before the first start.

    Send the file to all members afterwards: a change makes it another network.

    \b
    Example:
      econode genesis add 12D3KooW…@/ip4/192.0.2.7/tcp/4710
    """
    import msgspec

    from node.addresses import parse_identity
    from protocols.genesis import Member

    place = open_home(home)
    place.check_initialised()
    member = Member(*parse_identity(peer, address), bond, free)
    with place.lock():
        genesis = place.load_genesis()
        place.check_no_history()
        genesis = msgspec.structs.replace(genesis, members=(*genesis.members, member))
        place.write_genesis(_check(genesis, place.genesis_path))
    _show(genesis, place.genesis_path, json)


@app.command("show")
def show_genesis(
    file: Annotated[
        Path | None,
        typer.Argument(help="A genesis.json; default: this home's.", show_default=False),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Check a genesis and show what it says.

    Network id, members, and f: how many faulty members it survives.

    \b
    Example:
      econode genesis show
      econode genesis show genesis.json
    """
    from node.home import read_genesis

    if file is not None:
        _show(read_genesis(file), file, json)
        return
    place = open_home(home)
    place.check_initialised()
    _show(place.load_genesis(), place.genesis_path, json)


def _exists(path: Path) -> Exception:
    from node.problem import Problem

    return Problem(
        "genesis-exists",
        "this home already belongs to a network",
        where=str(path),
        remedy="see it with `econode genesis show`; before the first start you may remove the file",
        status=409,
    )


def _find_own(place: Any, address: str | None) -> tuple[str, str]:
    from node.addresses import check_address, find_dialable
    from node.config_file import load_config
    from node.problem import Problem

    network = load_config(place.config_path).network
    own = address or next(iter(network.announce), None) or find_dialable(network.listen[0])
    if own.endswith("/tcp/0"):
        raise Problem(
            "invalid-address",
            "this node takes any free port when it starts, so nobody could dial it",
            where=f"{place.config_path}, [network] listen",
            remedy="choose a port there, or give --address MULTIADDR",
        )
    return place.load_peer_id(), check_address(own, "--address")


def _parse_account(text: str) -> Any:
    from protocols.genesis import Allotment

    peer, equals, credits_text = text.partition("=")
    if not equals or not credits_text.isascii() or not credits_text.isdigit():
        raise typer.BadParameter(f"{text!r} is not PEERID=CREDITS", param_hint="--add-account")
    return Allotment(peer, int(credits_text))


def _check(genesis: "Genesis", path: Path) -> "Genesis":
    """The genesis as every reader will check it, before it is written."""
    from node.problem import Problem
    from protocols.genesis import InvalidGenesis, dump_genesis, parse_genesis

    try:
        return parse_genesis(dump_genesis(genesis))
    except InvalidGenesis as error:
        raise Problem(
            "invalid-genesis",
            f"no network can be founded so: {error}",
            where=str(path),
            remedy="nothing was written; correct what is named",
        ) from None


def _show(genesis: "Genesis", path: Path, as_json: bool) -> None:
    import msgspec

    from protocols.committee import compute_faults, compute_quorum

    n = len(genesis.members)
    f, q = compute_faults(n), compute_quorum(n)
    sums = {
        "network": genesis.name,
        "network_id": genesis.compute_network_id().hex(),
        "n": n,
        "f": f,
        "q": q,
    }
    document = {
        **sums,
        "file": str(path),
        "members": msgspec.to_builtins(genesis.members),
        "accounts": msgspec.to_builtins(genesis.accounts),
        "parameters": msgspec.to_builtins(genesis.parameters),
    }

    def render() -> list[str]:
        rows = [(m.peer, m.address, m.bond, m.free) for m in genesis.members]
        lines = [*render_pairs([*sums.items(), ("file", path)]), ""]
        lines += render_table(("member", "address", "bond", "free"), rows)
        if genesis.accounts:
            accounts = [(account.peer, account.free) for account in genesis.accounts]
            lines += ["", *render_table(("account", "free"), accounts)]
        return lines

    show(document, as_json, render)
    if f == 0:
        hint(
            f"n = {n}: f = 0, the committee survives no faulty member; "
            "from four members on it survives one",
            as_json,
        )
