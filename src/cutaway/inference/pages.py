"""Memory in large pages, for numbers that are read from end to end again and again.

A processor asks the memory ahead up to the end of a page, and it remembers where some thousand
pages are: at 4 KiB a page that is less than a model's weights, at 2 MiB it is all of them.
"""

import mmap
import sys
from contextlib import suppress
from typing import final

import torch
from torch import Tensor

PAGE = 2**21
"""Bytes of a large page of x86-64 and of most Arm; where they are larger, they are not used."""

AT_ONCE = 16 * PAGE
"""Bytes asked for at once; what is never written to takes no memory."""

LINE = 64
"""Bytes that a processor reads at once: a tensor begins at a multiple."""


@final
class Pages:
    """Hands out pieces one after the other; they live as long as a tensor in them does."""

    def __init__(self) -> None:
        self._free = torch.empty(0, dtype=torch.uint8)

    def place(self, tensor: Tensor) -> Tensor:
        """A copy of a tensor that lies in these pages."""
        size = -(-tensor.nbytes // LINE) * LINE
        if size > len(self._free):
            self._free = _reserve(max(size, AT_ONCE))
        piece, self._free = self._free[:size], self._free[size:]
        copied = piece[: tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        return copied.copy_(tensor)


def _reserve(size: int) -> Tensor:
    """Bytes from the beginning of a large page on."""
    region = mmap.mmap(-1, size + PAGE)
    if sys.platform == "linux":
        with suppress(OSError):  # a kernel that was built without them
            region.madvise(mmap.MADV_HUGEPAGE)
    whole = torch.frombuffer(region, dtype=torch.uint8)
    return whole[-whole.data_ptr() % PAGE :][:size]
