"""Target "emulator": the CUDA text as ordinary Python, for tests. Each thread of a block is a thread of Python."""

import sys
import threading

import numpy as np
from samfast.kernels.target_python import device, fma, inline, product64, root

# --- target


class Place:
    """An index or a size of a grid."""

    def __init__(self, x, y=1):
        self.x, self.y = x, y


class Cuda:
    """The part of numba.cuda that the drivers use. A thread sees its own indices, and the memory and barrier of its block."""

    def __init__(self):
        self.own = threading.local()

    threadIdx = property(lambda self: self.own.thread)  # noqa: N815 - CUDA's name
    blockIdx = property(lambda self: self.own.block)  # noqa: N815 - CUDA's name
    gridDim = property(lambda self: self.own.grid)  # noqa: N815 - CUDA's name
    shared = property(lambda self: self)

    def array(self, size, dtype):
        """Shared memory, one array for each line of the text that asks for one, filled with nan."""
        return self.own.memory.setdefault(sys._getframe(1).f_lineno, np.full(size, np.nan, dtype))

    def syncthreads(self):
        self.own.barrier.wait()

    def syncthreads_count(self, predicate):
        votes = self.own.memory.setdefault("votes", {})
        votes[self.own.thread.x] = bool(predicate)
        self.own.barrier.wait()
        count = sum(votes.values())
        self.own.barrier.wait()
        return count


cuda = Cuda()


class Kernel:
    """A driver, launched as kernel[(x, y), threads](*arguments)."""

    def __init__(self, function):
        self.function = function

    def __getitem__(self, launch):
        grid, threads = launch

        def start(*args):
            for x in range(grid[0]):
                for y in range(grid[1]):
                    self.block(Place(*grid), Place(x, y), threads, args)

        return start

    def block(self, grid, block, threads, args):
        memory, barrier, failed = {}, threading.Barrier(threads), []

        def one(thread):
            own = cuda.own
            own.grid, own.block, own.thread, own.memory, own.barrier = grid, block, Place(thread), memory, barrier
            try:
                with np.errstate(all="ignore"):
                    self.function(*args)
            except BaseException as error:
                failed.append(error)
                barrier.abort()

        pool = [threading.Thread(target=one, args=(t,)) for t in range(threads)]
        for thread in pool:
            thread.start()
        for thread in pool:
            thread.join()
        if failed:
            raise next((e for e in failed if not isinstance(e, threading.BrokenBarrierError)), failed[0])


driver = Kernel
