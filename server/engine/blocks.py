"""The block pool: which blocks of the key/value cache are free, in integers alone."""

from collections.abc import Iterable


class BlockPool:
    """Hands out cache blocks of `size` tokens."""

    def __init__(self, blocks: int, size: int) -> None:
        self.size = size
        self.total = blocks
        self._free = list(range(blocks - 1, -1, -1))

    @property
    def free(self) -> int:
        """Blocks that nobody holds."""
        return len(self._free)

    @property
    def usage(self) -> float:
        """The share of blocks in use, 0 to 1."""
        return 1 - self.free / self.total if self.total else 0.0

    def lacking(self, held: int, tokens: int) -> int:
        """How many more blocks a holder of `held` needs for `tokens` tokens."""
        return max(0, -(-tokens // self.size) - held)

    def take(self, count: int) -> list[int]:
        """Take free blocks; the caller has seen that there are as many."""
        return [self._free.pop() for _ in range(count)]

    def give_back(self, blocks: Iterable[int]) -> None:
        """Return blocks."""
        self._free.extend(blocks)
