"""Networks with nodes whose keys only have accounts in the founding committee."""

from pathlib import Path

from identity.keys import PrivateKey
from protocols.genesis import Parameters
from tests.system.network import Network, RealNode, wait_until


class Town(Network):
    """`members` nodes of the founding committee, then `outside` nodes that only have accounts,
    which the genesis gives no address."""

    def __init__(
        self, folder: Path, members: int, outside: int, *, parameters: Parameters | None = None
    ) -> None:
        secrets = [PrivateKey.generate() for _ in range(outside)]
        super().__init__(folder, members, accounts=secrets, parameters=parameters)
        self.members = list(self.nodes)
        self.outside = [RealNode(folder / f"outside-{number}") for number in range(outside)]
        for node, secret in zip(self.outside, secrets, strict=True):
            node.home.make_folder()
            node.home.write_key(secret, None)
            node.home.write_token()
            node.home.write_genesis(self.genesis)
            self.configure(node, {})

    def list_listen(self, node: RealNode) -> tuple[str, ...]:
        return super().list_listen(node) if node in self.nodes else ("/ip4/127.0.0.1/tcp/0",)

    def start(self) -> None:
        super().start()
        for node in self.outside:
            node.start()
        for node in self.outside:
            wait_until(
                lambda node=node: node.count_connected() >= len(self.members), f"{node.log_path}"
            )

    def end(self) -> None:
        super().end()
        for node in self.outside:
            node.end()


def form(nodes: list[RealNode], name: str, bond: int, free: int, parent: str = "main") -> str:
    """Have the last of these nodes propose a committee of all, and each consent. Its id."""
    peers = [node.peer_id for node in nodes]
    proposed = nodes[-1].client.at(parent).form_committee(name, peers, bond, free, 60_000)
    id_: str = proposed.fact["committee"]
    path = name if parent == "main" else f"{parent}/{name}"
    for node in nodes:
        wait_until(lambda node=node: path in list_names(node), f"{path} is proposed")
        node.client.at(parent).consent_committee(id_)
    for node in nodes:
        wait_until(lambda node=node: node.client.at(path).status(), f"a place in {path}")
    return id_


def list_names(node: RealNode) -> list[str]:
    return [committee.name for committee in node.client.committees().committees]
