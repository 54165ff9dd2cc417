"""Addresses as people give and take them: multiaddrs of listening nodes, identity lines."""

import re
import socket

from identity import keys
from identity.errors import InvalidKey
from node.problem import Problem

_TCP = re.compile(r"/(ip4|ip6|dns|dns4|dns6)/([^/\s]{1,253})/tcp/(\d{1,5})")
_PORT_MAX = 65_535
# TEST-NET-1 (RFC 5737). Nothing is sent: connecting a datagram socket only asks the routing table.
_SOMEWHERE = ("192.0.2.1", 9)


def check_address(text: str, where: str) -> str:
    """A multiaddr that this node can listen on or dial: /ip4/HOST/tcp/PORT. Raises Problem."""
    found = _TCP.fullmatch(text)
    right = found is not None and int(found[3]) <= _PORT_MAX
    if found is not None and found[1] in ("ip4", "ip6"):
        family = socket.AF_INET if found[1] == "ip4" else socket.AF_INET6
        try:
            socket.inet_pton(family, found[2])
        except OSError:
            right = False
    if not right:
        raise Problem(
            "invalid-address",
            f"{text!r} is not an address",
            where=where,
            remedy="give a multiaddr such as /ip4/192.0.2.7/tcp/4710 or /dns4/node.example/tcp/1",
        )
    return text


def find_dialable(listen: str) -> str:
    """`listen` as others dial it: a wildcard becomes this machine's address on its main route."""
    own = _find_own_address() if "/ip4/0.0.0.0/" in listen else "::1"
    return listen.replace("/ip4/0.0.0.0/", f"/ip4/{own}/").replace("/ip6/::/", f"/ip6/{own}/")


def _find_own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_SOMEWHERE)
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"  # no route anywhere: this machine alone


def parse_identity(text: str, address: str | None) -> tuple[str, str]:
    """PeerId and address of `PEERID@MULTIADDR`, or of a PeerId with `address`. Raises Problem."""
    peer, at, given = text.strip().partition("@")
    try:
        keys.check_public_key(keys.parse_peer_id(peer))
    except InvalidKey as error:
        raise Problem(
            "invalid-peer",
            str(error),
            where="PEERID",
            remedy="give the line that `econode id` prints on the other's machine",
        ) from None
    if at and address is not None and address != given:
        raise Problem(
            "invalid-address",
            f"two addresses: {given} and {address}",
            where="--address",
            remedy="give one of them",
        )
    chosen = given if at else address
    if chosen is None:
        raise Problem(
            "invalid-address",
            f"no address for {peer}",
            where="--address",
            remedy="give PEERID@MULTIADDR as `econode id` prints it, or --address MULTIADDR",
        )
    return peer, check_address(chosen, "the address of the new member")
