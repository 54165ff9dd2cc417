"""econode init, id, start: a home directory and the node that lives in it."""

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands.common import (
    HomeOption,
    JsonOption,
    hint,
    open_home,
    render_pairs,
    show,
)

if TYPE_CHECKING:
    from node.config import Config
    from node.home import Home


def init(
    listen: Annotated[
        list[str] | None,
        typer.Option(metavar="MULTIADDR", help="Address to listen on; may be repeated."),
    ] = None,
    genesis: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The genesis.json of the network to belong to."),
    ] = None,
    seal: Annotated[
        bool,
        typer.Option(
            "--seal", help="Seal the key with a pass phrase (ECONODE_PASSPHRASE or asked)."
        ),
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Make a home, or give one its genesis.

    A home holds the key, the configuration and the API token. Interrupted at any moment,
    it can be run again and finishes. --genesis also works on a home that has not started yet.

    \b
    Example:
      econode init --listen /ip4/0.0.0.0/tcp/4710
      econode init --genesis genesis.json
    """
    place = open_home(home)
    place.make_folder()
    with place.lock():
        fresh = not place.is_initialised()
        if not fresh and (listen or seal or genesis is None):
            raise _already(place)
        if genesis is not None:
            from node.home import read_genesis

            _put_genesis(place, read_genesis(genesis))
        if fresh:
            _make(place, listen or [], seal)
    document = _describe(place)
    pairs = [(name, value) for name, value in document.items() if value]
    show(document, json, lambda: render_pairs([*pairs, ("home", place.path)]))
    if genesis is not None and not document["member"]:
        hint("this node is no member of that network's founding committee", json)
    if genesis is None:
        hint("next: found a network (econode genesis new NAME) or join one (--genesis FILE)", json)


def _already(place: "Home") -> Exception:
    from node.problem import Problem

    return Problem(
        "already-initialised",
        f"this is the home of {place.load_peer_id()} already",
        where=str(place.path),
        remedy=f"edit {place.config_path} to change it, or give another folder with --home",
        status=409,
    )


def _put_genesis(place: "Home", genesis: Any) -> None:
    from node.home import check_network
    from node.ledger_file import read_network

    if place.genesis_path.exists() and place.load_genesis() == genesis:
        return
    if place.ledger_path.exists():
        check_network(genesis, read_network(place.ledger_path), place.ledger_path)
    place.check_no_history()
    place.write_genesis(genesis)


def _make(place: "Home", listen: list[str], seal: bool) -> None:
    """Key, token and, last, config.toml: it says that the rest is there."""
    from identity import keys
    from node.addresses import check_address
    from node.config_file import render_config
    from node.files import write_atomic
    from node.passphrase import choose_passphrase

    for address in listen:
        check_address(address, "--listen")
    if not place.key_path.exists():
        passphrase = choose_passphrase() if seal else None
        place.write_key(keys.PrivateKey.generate(), passphrase)
    place.load_public_key()
    if not place.token_path.exists():
        place.write_token()
    place.blobs_path.mkdir(mode=0o700, exist_ok=True)
    values = {("network", "listen"): listen} if listen else {}
    write_atomic(place.config_path, render_config(values).encode())


def _describe(place: "Home") -> dict[str, Any]:
    """Who this home is and where others reach it."""
    from node.addresses import find_dialable
    from node.config_file import load_config

    peer_id = place.load_peer_id()
    info = place.load_info()
    config = load_config(place.config_path)
    listen = info.listen if info and info.peer_id == peer_id else config.network.listen
    announced = config.network.announce or tuple(find_dialable(item) for item in listen)
    document: dict[str, Any] = {
        "peer_id": peer_id,
        "address": announced[0],
        "identity": f"{peer_id}@{announced[0]}",
        "network": None,
        "network_id": None,
        "member": False,
    }
    if place.genesis_path.exists():
        genesis = place.load_genesis()
        document["network"] = genesis.name
        document["network_id"] = genesis.compute_network_id().hex()
        document["member"] = any(member.peer == peer_id for member in genesis.members)
    return document


def show_id(home: HomeOption = None, json: JsonOption = False) -> None:
    """Print this node's identity line.

    It is PEERID@MULTIADDR, what others give to `genesis add`.

    \b
    Example:
      econode id
    """
    place = open_home(home)
    place.check_initialised()
    document = _describe(place)
    show(document, json, lambda: [document["identity"]])
    if "/tcp/0" in document["address"]:
        hint(
            "its port is chosen when the node starts: ask again then, or set [network] listen", json
        )


def start(
    listen: Annotated[
        list[str] | None,
        typer.Option(metavar="MULTIADDR", help="Address to listen on, instead of the file's."),
    ] = None,
    api_port: Annotated[
        int | None, typer.Option(metavar="PORT", help="Port of the local API; 0: a free one.")
    ] = None,
    allow_single: Annotated[
        bool,
        typer.Option("--allow-single", help="Run a committee of one, which survives no fault."),
    ] = False,
    log_level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="debug, info, warning or error.")
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="text, or json: an object a line.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="SECTION.KEY=VALUE", help="Any key of config.toml; may be repeated."
        ),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Run the node until Ctrl-C or SIGTERM.

    With --json it prints one document when it ends; logs are on standard error.

    \b
    Example:
      econode start
      econode start --set agent.workers=2
    """
    place = open_home(home)
    place.check_initialised()
    flags = list(settings or [])
    flags += [f"network.listen={','.join(listen)}"] if listen else []
    flags += [f"api.port={api_port}"] if api_port is not None else []
    flags += ["consensus.allow_single=true"] if allow_single else []
    flags += [f"log.level={log_level}"] if log_level is not None else []
    flags += [f"log.format={log_format}"] if log_format is not None else []
    code = _run(place, _load_config(place, flags))
    show({"stopped": True, "exit_code": code}, json, list)
    raise typer.Exit(code)


def _load_config(place: "Home", flags: list[str]) -> "Config":
    from node.addresses import check_address
    from node.config_file import load_config

    config = load_config(place.config_path, flags=flags)
    for address in (*config.network.listen, *config.network.announce):
        check_address(address, "[network] of the configuration")
    return config


def _run(place: "Home", config: "Config") -> int:
    """The node from its lock to its end; logs go to standard error."""
    from node.log_file import keep_log

    with place.lock(), keep_log(place, config.log):
        _check_runnable(place, config)
        if not place.token_path.exists():
            place.write_token()
        place.load_public_key()  # whether the key can be used is said before anything starts
        gc.disable()
        from node.main import run_node

        gc.freeze()  # what modules made lives on: collections need not look at it, now or later
        gc.enable()
        try:
            return run_node(place, config)
        finally:
            place.remove_info()


def _check_runnable(place: "Home", config: "Config") -> None:
    from node.home import check_network
    from node.ledger_file import read_network
    from node.problem import Problem
    from protocols.committee import compute_faults

    genesis = place.load_genesis()
    if place.ledger_path.exists():
        check_network(genesis, read_network(place.ledger_path), place.ledger_path)
    n = len(genesis.members)
    if n == 1 and not config.consensus.allow_single:
        raise Problem(
            "single-member",
            "this network has one member: it survives no fault (f = 0) and nobody checks it",
            where=str(place.genesis_path),
            remedy="add members (econode genesis add) or accept it: econode start --allow-single",
        )
    if compute_faults(n) == 0:
        hint(f"note: n = {n} members survive no fault (f = 0); four or more do", False)


def register(app: typer.Typer) -> None:
    app.command("init")(init)
    app.command("id")(show_id)
    app.command("start")(start)
