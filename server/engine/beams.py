"""Beams: sequences of one request, of which the likeliest go on step by step."""

from collections.abc import Callable, Iterator
from collections.abc import Sequence as List
from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import Tensor

from server.engine.blocks import BlockPool
from server.engine.event import Token
from server.engine.request import Request
from server.engine.sequence import Beams, Sequence
from server.errors import InvalidRequest
from server.model.beam_search import Continuation, Hypothesis
from server.model.sampler import Chosen, Lack
from server.model.sampling import Sampling

Copy = Callable[[List[tuple[int, int]]], None]
"""Copies what some cache blocks hold to others, all pairs at once."""


@dataclass(frozen=True, slots=True)
class Branching:
    """Lets beams go on, each from the one that it continues, over the blocks of one pool.

    `ends` are the tokens that end a text.
    """

    pool: BlockPool
    copy: Copy
    ends: frozenset[int]

    def advance(self, beams: Beams, context: int) -> List[Hypothesis] | Lack | None:
        """Go on with what may be; returns the `n` texts found once the search is over, else None.

        `context` bounds a sequence's rows.
        """
        first = beams.sequences[0]
        if first.logits is None:
            return None
        if first.generated and any(each.idle for each in beams.sequences):
            self._join(beams)
            return None
        if first.generated and any(each.logits is None for each in beams.sequences):
            return None
        logprobs = _logprobs(beams.sequences if first.generated else [first])
        if logprobs is None:
            return Lack.FINITE
        return self._choose(beams, logprobs, first.room(context))

    def tokens_of(self, found: List[Hypothesis], first: Sequence) -> Iterator[Token]:
        """The tokens of the texts that a sequence and those beside it have found, text by text."""
        ends = self._ends(first.sampling)
        for index, (tokens, score) in enumerate(found):
            key, stopped = (first.key[0], index), tokens[-1] in ends
            for token in tokens[:-1]:
                yield Token(key, Chosen(token))
            finish = "stop" if stopped else "length"
            yield Token(key, Chosen(tokens[-1]), finish, silent=stopped, score=score)

    def _ends(self, sampling: Sampling) -> frozenset[int]:
        return sampling.stop_token_ids | (frozenset() if sampling.ignore_eos else self.ends)

    def _choose(self, beams: Beams, logprobs: Tensor, left: int) -> List[Hypothesis] | Lack | None:
        sampling = beams.sequences[0].sampling
        texts = [each.tokens[each.prompt :] for each in beams.sequences]
        logprobs = logprobs.expand(len(texts), -1)
        found = beams.search.advance(logprobs, texts, self._ends(sampling), left)
        if found:
            if not beams.sequences[0].generated:
                # All of them are where the first one is.
                found = [Continuation(0, token) for _, token in found]
            self._branch(beams, found)
            return None
        best = beams.search.best[: sampling.n]
        return best if len(best) == sampling.n else Lack.TEXTS if best else Lack.ALLOWED

    def _branch(self, beams: Beams, found: List[Continuation]) -> None:
        """Append a token to each beam; those that nothing continues go on from others."""
        before = beams.sequences
        going = {each.parent for each in found}
        spare = [each for index, each in enumerate(before) if index not in going]
        copies: list[tuple[int, int]] = []
        after: list[Sequence] = []
        for parent, token in found:
            sequence = before[parent]
            if parent in going:
                # Its own token comes once no other beam is to go on from where it is.
                going.remove(parent)
            else:
                sequence = spare.pop()
                sequence.tokens = [*before[parent].tokens, token]
                copies += self._share(before[parent], sequence, before[parent].computed)
            after.append(sequence)
        for sequence, (parent, token) in zip(after, found, strict=True):
            if sequence is before[parent]:
                sequence.tokens.append(token)
            sequence.logits = None
        beams.sequences[:] = after
        self.copy(copies)

    def _join(self, beams: Beams) -> None:
        """Let beams that start over have what they have in common with the first one."""
        first = beams.sequences[0]
        copies: list[tuple[int, int]] = []
        for each in beams.sequences:
            if each.idle:
                copies += self._share(first, each, _common(first, each))
        self.copy(copies)

    def _share(self, parent: Sequence, child: Sequence, rows: int) -> list[tuple[int, int]]:
        """Let a beam have the first `rows` rows of another, whose tokens are its own, too.

        Full blocks are shared. Returns the block that ends amid these rows, if there is one, with
        that which is to hold a copy of it; where none is free, the child computes the rest itself.
        """
        pool = self.pool
        pool.give_back(child.blocks)
        full, rest = divmod(parent.extent.cached + rows, pool.size)
        child.blocks = pool.share(parent.blocks[:full])
        child.published, child.keys = min(parent.published, full), parent.keys[:full]
        child.computed, child.reused = rows, 0
        if not rest:
            return []
        if pool.free:
            child.blocks += pool.take(1)
            return [(parent.blocks[full], child.blocks[full])]
        child.computed = full * pool.size - parent.extent.cached
        if child.computed <= 0:
            # What a delta has in the cache is written where a sequence begins.
            pool.give_back(child.blocks)
            child.blocks.clear()
            child.computed = child.published = 0
            child.preempted = True
        return []


def separate(writers: List[Sequence], logits: Tensor) -> tuple[List[Sequence], Tensor, List[Beams]]:
    """Give beams among some sequences their rows of logits [n, vocabulary] to keep.

    Returns the other sequences, their logits, and whose beams there were. Those whose request
    has ended meanwhile are passed over.
    """
    if all(each.beams is None for each in writers):
        return writers, logits, ()
    found: dict[int, Beams] = {}
    others: list[int] = []
    for index, writer in enumerate(writers):
        if writer.beams is None:
            others.append(index)
        elif writer.slot is not None:
            writer.logits = logits[index]
            found[id(writer.beams)] = writer.beams
    return [writers[index] for index in others], logits[others], [*found.values()]


def check_search(request: Request, places: int) -> None:
    """Check that beams can do what is asked of a request, and have places, of which these exist.

    Raises InvalidRequest.
    """
    sampling, count = request.sampling, request.sampling.num_beams
    if count <= 1:
        return
    if sampling.n > count:
        raise _refusal(f"{count} beams find {count} texts: ask for no more than that", "n")
    for param, asked, advice in (
        ("logprobs", sampling.logprobs is not None, "beams show a score for each text alone"),
        ("stop", bool(sampling.stop), "texts end no beam; name the tokens in stop_token_ids"),
        ("max_tokens", not sampling.max_tokens, "beams write a token or more"),
    ):
        if asked:
            raise _refusal(f"With num_beams {count}, {advice}", param)
    if count > places:
        raise _refusal(f"A step has {places} places: ask for as many beams or fewer")


def check_beams(first: Sequence, pool: BlockPool | None, context: int) -> None:
    """Check that beams, of which one is the `first`, are under no grammar and fit the cache.

    Raises InvalidRequest.
    """
    count = first.sampling.num_beams
    if first.beams is None or pool is None:
        return
    if first.matcher is not None:
        raise _refusal(f"With num_beams {count}, a text under a grammar has one beam")
    if (needed := _blocks(first, pool, context)) > pool.total:
        raise _refusal(
            f"{count} beams of this length need {needed} cache blocks of {pool.size} tokens, and "
            f"there are {pool.total}: ask for fewer beams, or set max_tokens lower"
        )


def _refusal(text: str, param: str = "num_beams") -> InvalidRequest:
    return InvalidRequest(f"{text}.", param=param)


def _blocks(first: Sequence, pool: BlockPool, context: int) -> int:
    """The most blocks that beams may come to hold: they share the prompt's full ones."""
    prompt = first.extent.cached + first.prompt
    shared = prompt // pool.size
    # Of the last token nothing is kept: no other follows it.
    own = pool.lacking(shared, prompt + max(1, first.room(context)) - 1)
    source = pool.lacking(0, first.extent.crossed + len(first.reads)) if first.reads else 0
    return source + shared + own * len(first.together)


def _logprobs(sequences: List[Sequence]) -> Tensor | None:
    """What may come next of each, after its rules: [n, vocabulary]; None where it is not finite."""
    rows = [each.logits for each in sequences if each.logits is not None]
    logits = torch.stack(rows).float()
    if not logits.sum(dim=-1).isfinite().all():
        return None
    logprobs = logits.log_softmax(dim=-1)
    for each, values in zip(sequences, logprobs, strict=True):
        for rule in each.acting:
            rule.apply(values, each.text, each.generated)
    return logprobs


def _common(one: Sequence, other: Sequence) -> int:
    """How many rows of one sequence another begins with, of which it has more."""
    pairs = zip(one.tokens[: one.computed], other.tokens[:-1], strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
