"""The block pool: who holds which blocks of the key/value cache, in integers alone."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence


class BlockPool:
    """Hands out cache blocks of `size` tokens, and finds again those whose content has a key.

    A block may have several holders. Once the last has given it back it is free, yet it is found
    by its key until it is needed for something else; of those, the one free for longest goes
    first.
    """

    def __init__(self, blocks: int, size: int) -> None:
        self.size = size
        self.total = blocks
        self._holders = [0] * blocks
        self._blank = list(range(blocks - 1, -1, -1))
        self._idle: OrderedDict[int, None] = OrderedDict()
        self._keys: dict[int, bytes] = {}
        self._found: dict[bytes, int] = {}

    @property
    def free(self) -> int:
        """Blocks that nobody holds."""
        return len(self._blank) + len(self._idle)

    @property
    def usage(self) -> float:
        """The share of blocks in use, 0 to 1."""
        return 1 - self.free / self.total if self.total else 0.0

    def lacking(self, held: int, tokens: int) -> int:
        """How many more blocks a holder of `held` needs for `tokens` tokens."""
        return max(0, -(-tokens // self.size) - held)

    def take(self, count: int) -> list[int]:
        """Hold free blocks for new content; the caller has seen that there are as many."""
        return [self._claim() for _ in range(count)]

    def reuse(self, keys: Iterable[bytes]) -> list[int]:
        """Hold the blocks with these keys, in order, up to the first that is not found."""
        blocks: list[int] = []
        for key in keys:
            block = self._found.get(key)
            if block is None:
                break
            self._idle.pop(block, None)
            self._holders[block] += 1
            blocks.append(block)
        return blocks

    def share(self, blocks: Iterable[int]) -> list[int]:
        """Hold blocks that another holder has, too."""
        shared = list(blocks)
        for block in shared:
            self._holders[block] += 1
        return shared

    def publish(self, block: int, key: bytes) -> None:
        """Let a held block be found by a key from now on, unless another is found by it."""
        if key not in self._found and block not in self._keys:
            self._found[key] = block
            self._keys[block] = key

    def forget(self, blocks: Iterable[int]) -> None:
        """Let held blocks not be found any more, whoever else holds them."""
        for block in blocks:
            if block in self._keys:
                del self._found[self._keys.pop(block)]

    def give_back(self, blocks: Sequence[int]) -> None:
        """Let go of blocks, of which nobody finds one without all before it."""
        # Without its beginning the rest is of no use: the end must be the first to go.
        for block in reversed(blocks):
            self._holders[block] -= 1
            if self._holders[block]:
                continue
            if block in self._keys:
                self._idle[block] = None
            else:
                self._blank.append(block)

    def _claim(self) -> int:
        if self._blank:
            block = self._blank.pop()
        else:
            block, _ = self._idle.popitem(last=False)
            self.forget([block])
        self._holders[block] = 1
        return block
