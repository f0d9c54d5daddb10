"""The block pool under random use does what plain lists would."""

from copy import deepcopy
from itertools import chain, takewhile

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import integers, lists

from server.engine.blocks import BlockPool

BLOCKS = 7
KEYS = 6
AT = integers(0, 100)
SOME_KEYS = lists(integers(0, KEYS - 1), max_size=4, unique=True)


def name(key: int) -> bytes:
    return bytes([key])


class Machine(RuleBasedStateMachine):
    """Every holder's blocks, each block's key, and which free blocks can be found, oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = BlockPool(BLOCKS, 16)
        self.holders: list[list[int]] = []
        self.keys: dict[int, int] = {}
        self.idle: list[int] = []

    @property
    def held(self) -> set[int]:
        return set(chain.from_iterable(self.holders))

    @rule(count=integers(1, 4))
    def take(self, count: int) -> None:
        count = min(count, self.pool.free)
        blank = BLOCKS - len(self.held) - len(self.idle)
        evicted = self.idle[: max(0, count - blank)]
        blocks = self.pool.take(count)
        assert len(set(blocks)) == count
        assert not self.held & set(blocks)
        # Nothing that can be found is given up before it must be, and then the oldest is.
        assert set(blocks) & set(self.idle) == set(evicted)
        for block in evicted:
            self.idle.remove(block)
            del self.keys[block]
        self.holders.append(blocks)

    @rule(keys=SOME_KEYS)
    def reuse(self, keys: list[int]) -> None:
        where = {key: block for block, key in self.keys.items()}
        expected = [where[key] for key in takewhile(where.__contains__, keys)]
        assert self.pool.reuse(map(name, keys)) == expected
        self.idle = [block for block in self.idle if block not in expected]
        self.holders.append(expected)

    @precondition(lambda self: self.holders)
    @rule(at=AT, keys=SOME_KEYS)
    def publish(self, at: int, keys: list[int]) -> None:
        for block, key in zip(self.holders[at % len(self.holders)], keys, strict=False):
            self.pool.publish(block, name(key))
            if key not in self.keys.values():
                self.keys.setdefault(block, key)

    @precondition(lambda self: self.holders)
    @rule(at=AT)
    def forget(self, at: int) -> None:
        blocks = self.holders[at % len(self.holders)]
        self.pool.forget(blocks)
        for block in blocks:
            self.keys.pop(block, None)

    @precondition(lambda self: self.holders)
    @rule(at=AT)
    def give_back(self, at: int) -> None:
        blocks = self.holders.pop(at % len(self.holders))
        self.pool.give_back(blocks)
        freed = [block for block in blocks if block not in self.held]
        self.idle += [block for block in reversed(freed) if block in self.keys]

    @invariant()
    def what_nobody_holds_is_free(self) -> None:
        assert self.pool.free == BLOCKS - len(self.held)
        assert round(self.pool.usage * BLOCKS) == len(self.held)

    @invariant()
    def each_key_finds_its_block(self) -> None:
        where = {key: [block] for block, key in self.keys.items()}
        for key in range(KEYS):
            assert deepcopy(self.pool).reuse([name(key)]) == where.get(key, [])


Machine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestBlockPool = Machine.TestCase
