"""Which blocks of keys and values are kept for prompts that begin alike (Kwon et al. 2023, 4.3).

A block holds a fixed number of tokens. It is known by the tokens in it and all before it, so two
prompts share exactly the blocks of their common beginning.
"""

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import final

BLOCK = 16
"""Tokens of a block."""


def chain(tokens: Sequence[int], *, after: bytes = b"") -> list[bytes]:
    """A name for each full block of the tokens: a hash of it and of the name before it.

    `after` is the name of the block that the tokens follow, where they follow one.
    """
    names: list[bytes] = []
    for start in range(0, len(tokens) - BLOCK + 1, BLOCK):
        content = array("q", tokens[start : start + BLOCK]).tobytes()
        after = blake2b(after + content, digest_size=16).digest()
        names.append(after)
    return names


@final
class BlockPool:
    """Blocks by name: held by those who use them, and the longest unused given away first."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = list(range(count - 1, -1, -1))
        self._by_name: dict[bytes, int] = {}
        self._name_of: dict[int, bytes] = {}
        self._holders: dict[int, int] = {}
        self._unused: OrderedDict[int, None] = OrderedDict()

    @property
    def free(self) -> int:
        """Blocks that hold nothing."""
        return len(self._free)

    @property
    def held(self) -> int:
        """Blocks that somebody uses."""
        return len(self._holders)

    @property
    def unused(self) -> int:
        """Blocks that hold something that nobody uses now."""
        return len(self._unused)

    def find(self, names: Iterable[bytes]) -> list[int]:
        """Holds and returns the blocks of the longest beginning of a chain that is here."""
        found = []
        for name in names:
            block = self._by_name.get(name)
            if block is None:
                break
            self._hold(block)
            found.append(block)
        return found

    def take(self, name: bytes) -> int | None:
        """Holds and returns a block that its caller must fill; None where there is none to give.

        A name that is here already has its block; its caller need not, but may fill it again.
        """
        if (block := self._by_name.get(name)) is not None:
            self._hold(block)
            return block
        if self._free:
            block = self._free.pop()
        elif self._unused:
            block, _ = self._unused.popitem(last=False)
            del self._by_name[self._name_of.pop(block)]
        else:
            return None
        self._by_name[name], self._name_of[block] = block, name
        self._hold(block)
        return block

    def has(self, name: bytes) -> bool:
        """Whether a block of this name is here."""
        return name in self._by_name

    def release(self, blocks: Sequence[int]) -> None:
        """Lets go of blocks, given in the order of their chain: its end is given away first."""
        for block in reversed(blocks):
            self._holders[block] -= 1
            if not self._holders[block]:
                del self._holders[block]
                self._unused[block] = None

    def forget(self, names: Iterable[bytes]) -> None:
        """Frees those of the named blocks that nobody uses."""
        for name in names:
            block = self._by_name.get(name)
            if block is not None and block in self._unused:
                del self._unused[block], self._by_name[name], self._name_of[block]
                self._free.append(block)

    def clear(self) -> None:
        """Frees every block that nobody uses."""
        self.forget([self._name_of[block] for block in self._unused])

    def _hold(self, block: int) -> None:
        self._holders[block] = self._holders.get(block, 0) + 1
        self._unused.pop(block, None)
