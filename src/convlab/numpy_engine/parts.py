"""Parts of a batch, small enough for a core's cache, several at once."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

Result = TypeVar("Result")
CACHE = 2**20  # bytes of a part's largest array: about what a core has to itself


class Parts:
    """Threads that work on parts of a batch.

    NumPy's loops use one core, its matrix products all, one after the other; parts in parallel keep every
    core busy. How they are cut depends on the sizes of arrays alone, and they are added up in order: no
    result depends on the number of threads.
    """

    def __init__(self, threads: int):
        self.threads = threads
        self.pool = ThreadPoolExecutor(max(threads - 1, 1))  # the calling thread works, too
        self.blas = ThreadpoolController().select(user_api="blas")

    def one_by_one(self) -> AbstractContextManager[Any]:
        """Return the context for all computation: in it, a matrix product uses one thread.

        Idle threads of BLAS busy-wait for a while, on cores that parts need.
        """
        return self.blas.limit(limits=1)

    def each(self, work: Callable[[slice], Result], images: int, floats: int) -> list[Result]:
        """Call `work` with slices of so many images, each with `floats` numbers in the largest array."""
        parts = -(-images * floats * 4 // CACHE)
        if parts > 1:
            parts = min(-(-parts // 4) * 4, images)  # a multiple of 4: equal shares for two or four cores
        edges = [images * part // parts for part in range(parts + 1)]
        slices = list(map(slice, edges, edges[1:]))
        shares = [slices[thread :: self.threads] for thread in range(self.threads)]
        others = [self.pool.submit(_all, work, share) for share in shares[1:] if share]
        done = [_all(work, shares[0]), *(other.result() for other in others)]
        return [done[number % self.threads][number // self.threads] for number in range(parts)]


def _all(work: Callable[[slice], Result], slices: list[slice]) -> list[Result]:
    return [work(part) for part in slices]


def total(parts: Iterable[np.ndarray]) -> np.ndarray:
    """Add up arrays in their order, in the memory of the first."""
    first, *others = parts
    for other in others:
        first += other
    return first


def sum_rows(images: np.ndarray) -> np.ndarray:
    """Add up [..., C] over all but the channels: a product with ones, at which BLAS is faster than `sum`."""
    rows = images.reshape(-1, images.shape[-1])
    return np.ones(len(rows), rows.dtype) @ rows
