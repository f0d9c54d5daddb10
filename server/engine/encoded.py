"""Encoded sources: what the base's encoder makes of a text, once for all who look at it."""

from array import array
from collections.abc import Sequence as List
from dataclasses import dataclass, field
from hashlib import sha256

from server.engine.blocks import BlockPool
from server.engine.prefix_cache import root_of
from server.engine.sequence import Sequence, Source


@dataclass
class EncodedSources:
    """Gives sequences that have a source the cache blocks with its keys and values.

    A source is known by a hash of its tokens, the digest of the delta's version, the tenant and the
    request's salt. Sequences of one source hold one `Source`; where it is to be found later, too,
    its blocks stay until they are needed for something else.
    """

    blocks: BlockPool
    keeps: bool
    _held: dict[bytes, Source] = field(default_factory=dict[bytes, Source])

    def enter(self, sequence: Sequence) -> bool:
        """Give a sequence its source; returns False if there is no room for that."""
        if not sequence.reads or sequence.source is not None:
            return True
        key = self._key(sequence)
        source = self._held.get(key) or self._found(key, sequence)
        if source is None:
            return False
        source.holders += 1
        sequence.source = source
        sequence.spared = source.read
        return True

    def leave(self, sequence: Sequence) -> None:
        """Take a sequence's source from it."""
        source, sequence.source = sequence.source, None
        if source is None:
            return
        source.holders -= 1
        if source.holders:
            return
        if self._held.get(source.key) is source:
            del self._held[source.key]
            if self.keeps and source.read and not sequence.background:
                for block, key in zip(source.blocks, _keys(source.key, source.blocks), strict=True):
                    self.blocks.publish(block, key)
        self.blocks.give_back(source.blocks)

    def disown(self, sequence: Sequence) -> None:
        """Let nobody else get a failed sequence's source: it may be what is wrong."""
        source = sequence.source
        if source is not None:
            self._held.pop(source.key, None)
            self.blocks.forget(source.blocks)

    def _found(self, key: bytes, sequence: Sequence) -> Source | None:
        """A source that nobody holds: read already, or in blocks that are free."""
        needed = self.blocks.lacking(0, sequence.extent.crossed + len(sequence.reads))
        blocks = self.blocks.reuse(_keys(key, range(needed)))
        if read := len(blocks) == needed:
            source = Source(key, blocks, read=read)
        else:
            self.blocks.give_back(blocks)
            if needed > self.blocks.free:
                return None
            source = Source(key, self.blocks.take(needed))
        self._held[key] = source
        return source

    def _key(self, sequence: Sequence) -> bytes:
        own = b"" if self.keeps else sequence.key[0].encode()
        return sha256(root_of(sequence) + own + array("Q", sequence.reads).tobytes()).digest()


def _keys(key: bytes, blocks: List[int]) -> list[bytes]:
    return [sha256(key + index.to_bytes(8)).digest() for index in range(len(blocks))]
