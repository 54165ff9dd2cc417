"""What the types of `node/config.py` cannot say of a configuration."""

import ipaddress
import re
from collections.abc import Callable, Sequence
from functools import partial

from identity import keys
from identity.errors import EconodeError
from node.config import ApiSection, Capability, Config, Sell, Want
from node.problem import Problem

_PYTHON_TARGET = re.compile(r"[A-Za-z_][\w.]{0,199}:[A-Za-z_]\w{0,99}", re.ASCII)

Place = Callable[[tuple[str | int, ...]], str]
"""From the way to a key ("network", "listen", 0) to where it stands, for messages. Ask it only for
one: it parses the file again and again to find the line."""


def check_config(config: Config, place: Place) -> None:
    """What types cannot say. Raises Problem."""
    for peer in config.network.peers:
        try:
            keys.parse_peer_id(peer)
        except EconodeError as error:
            raise Problem(
                "invalid-config",
                f"network.peers: {error}",
                where=place(("network", "peers", peer)),
                remedy="a key of [network.peers] is a PeerId, as `econode id` prints it",
            ) from None
    _check_api(config.api, place)
    _check_trades("want", config.want, place)
    _check_trades("sell", config.sell, place)
    seen: set[tuple[str, str]] = set()
    for number, item in enumerate(config.capability):
        name = (item.name, item.version)
        if name in seen:
            raise Problem(
                "invalid-config",
                f"capability {item.name!r} version {item.version!r} stands twice",
                where=place(("capability", number, "name")),
                remedy="give each capability a name or a version of its own",
            )
        seen.add(name)
        _check_target(item, partial(place, ("capability", number, "target")))
        _check_judge(item, partial(place, ("capability", number, "judge")))


def _check_api(api: ApiSection, place: Place) -> None:
    try:
        is_loopback = ipaddress.ip_address(api.address).is_loopback
    except ValueError:
        raise Problem(
            "invalid-config",
            f"api.address: {api.address!r} is no IP address",
            where=place(("api", "address")),
            remedy="127.0.0.1 is what you want, unless the node runs in a container: 0.0.0.0",
        ) from None
    if not (is_loopback or api.remote):
        raise Problem(
            "invalid-config",
            f"api.address: {api.address} can be reached from other machines",
            where=place(("api", "address")),
            remedy="use 127.0.0.1 and a tunnel; or say that you mean it: [api] remote = true",
        )


def _check_trades(name: str, items: Sequence[Want | Sell], place: Place) -> None:
    for number, item in enumerate(items):
        if any(other.lots == item.lots for other in items[:number]):
            raise Problem(
                "invalid-config",
                f"[[{name}]] {', '.join(item.lots)} stands twice",
                where=place((name, number, "lots")),
                remedy="units are counted by the names of the lots: put both into one",
            )


def _check_target(item: Capability, find_place: Callable[[], str]) -> None:
    target = item.target
    if item.kind == "command":
        form = 'a list of texts such as ["wc", "-w"]'
        right = not isinstance(target, str) and len(target) > 0 and bool(target[0])
    elif item.kind == "python":
        form = '"module:function"'
        right = isinstance(target, str) and bool(_PYTHON_TARGET.fullmatch(target))
    else:
        form = 'a URL such as "http://127.0.0.1:8000/run"'
        right = isinstance(target, str) and target.startswith(("http://", "https://"))
    if not right:
        raise Problem(
            "invalid-config",
            f"[[capability]] {item.name}: target {target!r} does not fit kind {item.kind!r}",
            where=find_place(),
            remedy=f"give as target {form}",
        )


def _check_judge(item: Capability, find_place: Callable[[], str]) -> None:
    judge = item.judge
    if judge is None:
        right = item.verification != "judged"
    elif isinstance(judge, str):
        right = bool(_PYTHON_TARGET.fullmatch(judge)) or judge.startswith(("http://", "https://"))
    else:
        right = len(judge) > 0 and bool(judge[0])
    if not right:
        raise Problem(
            "invalid-config",
            f"[[capability]] {item.name}: "
            + ("judged needs a judge" if judge is None else f"judge {judge!r} is no target"),
            where=find_place(),
            remedy='give as judge "module:function", ["program", "argument"] or an http:// URL',
        )
