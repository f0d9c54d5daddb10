"""The prefix cache: beginnings that one sequence computed and others need not."""

from array import array
from hashlib import sha256

from server.engine.blocks import BlockPool
from server.engine.sequence import Sequence


class PrefixCache:
    """Gives sequences that generate the cache blocks that hold their first rows already.

    A full block is known by a hash chained over the digest of the delta's version, the tenant for
    whom it is computed, the request's salt and every token up to the block's end. Two blocks of one
    key hold the same, and no key is common to two versions, two tenants or two salts.
    `queries` and `hits` count the tokens of all admitted sequences and those of them found.
    """

    def __init__(self, blocks: BlockPool) -> None:
        self.queries = 0
        self.hits = 0
        self._blocks = blocks

    def enter(self, sequence: Sequence) -> None:
        """Let a sequence without blocks begin after its longest known beginning."""
        if not sequence.generates or sequence.judges:
            # A head reads every row's hidden state, and so does who judges; those are not kept.
            return
        # The last row is computed in any case, for its logits.
        most = (sequence.cache_length(sequence.pending) - 1) // self._blocks.size
        blocks = self._blocks.reuse(self._key(sequence, index) for index in range(most))
        rows = len(blocks) * self._blocks.size - sequence.extent.cached
        if rows <= 0:
            # A trained prefix is placed, not computed: nothing would be saved.
            self._blocks.give_back(blocks)
            return
        sequence.blocks.extend(blocks)
        sequence.computed = sequence.reused = rows
        sequence.published = len(blocks)

    def count(self, sequence: Sequence) -> None:
        """Count an admitted sequence, unless it only starts over."""
        if sequence.generates and not sequence.preempted:
            self.queries += len(sequence.text)
            self.hits += sequence.cached_tokens

    def publish(self, sequence: Sequence) -> None:
        """Let others find the blocks that a sequence's computed rows fill."""
        filled = sequence.cache_length(0) // self._blocks.size
        for index in range(sequence.published, filled):
            self._blocks.publish(sequence.blocks[index], self._key(sequence, index))
        sequence.published = filled

    def disown(self, sequence: Sequence) -> None:
        """Let nobody find a failed sequence's blocks any more: they may be what is wrong."""
        self._blocks.forget(sequence.blocks)

    def _key(self, sequence: Sequence, index: int) -> bytes:
        keys = sequence.keys
        while len(keys) <= index:
            before = keys[-1] if keys else root_of(sequence)
            keys.append(sha256(before + self._tokens(sequence, len(keys))).digest())
        return keys[index]

    def _tokens(self, sequence: Sequence, index: int) -> bytes:
        # A trained prefix fills the first rows without tokens: its delta's digest stands for it.
        start = index * self._blocks.size - sequence.extent.cached
        rows = sequence.tokens[max(0, start) : max(0, start + self._blocks.size)]
        return array("Q", rows).tobytes()


def root_of(sequence: Sequence) -> bytes:
    """What whatever is computed for a sequence depends on besides its tokens, as a hash."""
    # Neither digests nor tenants have a line's end in them: nothing else reads the same.
    root = f"{sequence.version.ref.digest}\n{sequence.tenant}\n{sequence.salt}"
    source = b"" if sequence.source is None else sequence.source.key
    return sha256(root.encode(errors="surrogatepass") + source).digest()
