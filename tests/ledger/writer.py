"""A process that appends until it is killed; it prints each position that `flush` acknowledged."""

import sys

import trio
import trio_asyncio

from node.ledger import Ledger
from tests.ledger.network import Network


async def main(path: str) -> None:
    network = Network()
    async with trio_asyncio.open_loop(), Ledger.open(path, network.id) as ledger:
        ledger.append(network.make_genesis_batch())
        while True:
            for _ in range(5):
                batch = network.make_batch()
                ledger.append(batch)
            await ledger.flush()
            print(batch.position, flush=True)


trio.run(main, sys.argv[1])
