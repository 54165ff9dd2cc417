"""The same seeds once more, in other processes with another order of hashes."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

from devnet.sim.run import run_seed

HASH_SEED = "4711"
CHUNK_SEEDS = 10


def hash_again(first: int, count: int, n: int, jobs: int) -> list[str]:
    """The trace hashes of `count` seeds, run in fresh processes whose PYTHONHASHSEED is
    `HASH_SEED`: sets and dicts of theirs may have another order than here."""
    starts = range(first, first + count, CHUNK_SEEDS)
    chunks = [(range(s, min(s + CHUNK_SEEDS, first + count)), n) for s in starts]
    with _other_hashes(), ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        return [found for chunk in pool.map(_hash_chunk, chunks) for found in chunk]


def _hash_chunk(chunk: tuple[range, int]) -> list[str]:
    return [run_seed(seed, chunk[1]).trace_hash for seed in chunk[0]]


@contextmanager
def _other_hashes() -> Iterator[None]:
    former = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = HASH_SEED
    try:
        yield
    finally:
        if former is None:
            del os.environ["PYTHONHASHSEED"]
        else:
            os.environ["PYTHONHASHSEED"] = former
