"""Sequences: one generation, or one pass through a head, as it makes progress."""

import secrets
from collections.abc import Iterator
from collections.abc import Sequence as Tokens
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from deltas.delta import TaskType
from deltas.kinds import Extent
from deltas.segments import BASE_SLOT
from server.engine.matcher import Matcher
from server.engine.prompt import Prompt
from server.engine.request import Request
from server.model.batch import Item, SourceItem
from server.model.beam_search import BeamSearch
from server.model.judge import Judged
from server.model.rules import Rule
from server.model.sampling import Sampling
from server.registry.names import SHARED
from server.registry.version import Version

Key: TypeAlias = tuple[str, int]
"""A request's id and the index of one of its choices."""

_PLACEHOLDER = 0
"""The token id of rows whose vectors a delta gives; never looked at."""

_SEEDS = 1 << 64


@dataclass(eq=False, slots=True)
class Source:
    """A text that the base's encoder reads, as sequences hold it.

    `blocks` have its keys and values once it is `read`; so many sequences look at it.
    """

    key: bytes
    blocks: list[int]
    read: bool = False
    holders: int = 0


@dataclass(eq=False, slots=True)
class Beams:
    """The sequences with which one beam search goes on, the likeliest first.

    They come and go together. The first alone computes what they have in common, before others
    go on from there.
    """

    search: BeamSearch
    sequences: list["Sequence"]


@dataclass(eq=False)
class Sequence:
    """Mutable progress of one row of the batch; only the core thread touches it once submitted.

    `tokens` are the input rows, the delta's virtual ones first, then what was generated; `types`
    are those of the input rows, empty where all are 0.
    `computed` counts the rows whose keys are cached, `reused` those of them that were found so;
    `published` counts the blocks, from the first, that others may find, and `keys` are what they
    are found by. Where it `judges`, it says how likely its prompt's tokens are: `judged`. `rules`
    are what choices of one request share, `matcher` is where the text is in its grammar: always
    after all that was generated. The sequence is `hurried` once a token was chosen for its text to
    end in time. `slot` is None while it waits. In the `background` it takes what others leave.
    Where the base's encoder reads a text for it, that is `reads`, virtual rows first; its `source`
    is there while it runs, and it is `spared` the reading if another did that before. One of
    several `beams` keeps the `logits` of its next token until the others have theirs.
    """

    key: Key
    version: Version
    tokens: list[int]
    sampling: Sampling
    generates: bool
    generator: torch.Generator
    rules: Tokens[Rule] = ()
    types: tuple[int, ...] = ()
    reads: Tokens[int] = ()
    source: Source | None = None
    spared: bool = False
    matcher: Matcher | None = None
    salt: str = ""
    caller: str = ""
    tenant: str = SHARED
    background: bool = False
    judges: bool = False
    prompt: int = 0
    computed: int = 0
    reused: int = 0
    published: int = 0
    preempted: bool = False
    blocks: list[int] = field(default_factory=list[int])
    keys: list[bytes] = field(default_factory=list[bytes])
    slot: int | None = None
    hurried: bool = False
    passed_over: int = 0
    hidden: list[Tensor] = field(default_factory=list[Tensor])
    judged: list[Judged] = field(default_factory=list[Judged])
    beams: Beams | None = None
    logits: Tensor | None = None

    def __post_init__(self) -> None:
        self.tokens = [_PLACEHOLDER] * self.extent.rows + self.tokens
        if self.types:
            self.types = (0,) * self.extent.rows + self.types
        self.prompt = len(self.tokens)

    @property
    def extent(self) -> Extent:
        """What the delta adds to the sequence."""
        return self.version.extent

    @property
    def is_base(self) -> bool:
        """Whether no delta touches the sequence."""
        return not self.version.ref.digest

    @property
    def together(self) -> Tokens["Sequence"]:
        """The sequences that come and go with it, itself among them."""
        return (self,) if self.beams is None else self.beams.sequences

    @property
    def idle(self) -> bool:
        """Whether it has yet to go on from where another one is."""
        return not self.blocks

    @property
    def pending(self) -> int:
        """Rows not computed yet."""
        return len(self.tokens) - self.computed

    @property
    def unread(self) -> int:
        """Rows of its source that the encoder has not read yet."""
        return 0 if self.source is not None and self.source.read else len(self.reads)

    def prompt_rows(self, rows: int) -> int:
        """How many of the next `rows` are the prompt's, those of an unread source among them."""
        return min(rows, max(0, self.prompt - self.computed)) + self.unread

    @property
    def text(self) -> Tokens[int]:
        """The prompt's own tokens and the generated ones."""
        return self.tokens[self.extent.rows :]

    @property
    def generated(self) -> int:
        """How many tokens are generated."""
        return len(self.tokens) - self.prompt

    @property
    def cached_tokens(self) -> int:
        """The text's tokens that were found in the cache."""
        if self.reads:
            return len(self.reads) - self.extent.source_rows if self.spared else 0
        return max(0, self.reused - self.extent.rows)

    @property
    def acting(self) -> Tokens[Rule]:
        """The rules that the next token is subject to."""
        return [rule for rule in self.rules if not rule.is_over(self.generated)]

    @property
    def forced(self) -> Iterator[int]:
        """Take the tokens that must come next, whatever logits say, and yield them.

        Where more is asked about each token than its number, each has a step of its own.
        """
        if self.matcher is not None and not self.acting and self.sampling.logprobs is None:
            yield from self.matcher.forced()

    def reset(self) -> None:
        """Forget all progress but the tokens."""
        self.computed = self.reused = self.published = 0
        if self.together[0] is not self:
            self.computed = len(self.tokens)
        self.logits = None
        self.blocks.clear()
        self.hidden.clear()
        self.judged.clear()
        self.slot = None

    def advance(self, rows: int) -> None:
        """Have so many more rows computed, and the source read."""
        self.computed += rows
        if self.source is not None:
            self.source.read = True

    def cache_length(self, rows: int) -> int:
        """Cached tokens once `rows` more rows are computed."""
        return self.extent.cached + self.computed + rows

    def room(self, context: int) -> int:
        """How many more tokens may be written, in a context of so many rows."""
        full = context - self.cache_length(self.pending)
        return min(full, self.sampling.max_tokens - len(self.tokens) + self.prompt)

    def item(self, rows: int) -> Item:
        """The next rows to compute."""
        end = self.computed + rows
        # A text's first token has nothing before it that tells how likely it is.
        first = max(self.computed, self.extent.rows)
        judged = self.tokens[first + 1 : min(end + 1, self.prompt)] if self.judges else ()
        return Item(
            slot=BASE_SLOT if self.slot is None else self.slot,
            tokens=self.tokens[self.computed : end],
            types=self.types[self.computed : end],
            offset=self.computed,
            extent=self.extent,
            blocks=self.blocks,
            wants_logits=self.generates and end == len(self.tokens),
            wants_hidden=not self.generates,
            judging=first - self.computed,
            judged=judged,
            alternatives=self.sampling.prompt_logprobs or 0,
            source=self._source_item(),
        )

    def _source_item(self) -> SourceItem | None:
        if self.source is None:
            return None
        length = self.extent.crossed + len(self.reads)
        return SourceItem(self.source.blocks, length, self.reads if self.unread else ())


def sequences_of(
    request: Request,
    version: Version,
    prompt: Prompt,
    rules: Tokens[Rule] = (),
    matcher: Matcher | None = None,
    start: Tokens[int] = (),
) -> list[Sequence]:
    """Make one sequence for each choice that a request wants, or one for a head to read.

    Where they `start` by tokens of their own, the prompt is what the base's encoder reads. A head
    there has the prompt's rows once more, behind the first of these tokens. Of beams it is the
    first that is returned, the others being beside it.

    Each draws from a generator of its own; a seed gives every choice the same luck again.
    """
    generates = version.type is TaskType.GENERATE
    seed = request.sampling.seed
    first = secrets.randbits(48) if seed is None else seed
    judges = generates and request.sampling.prompt_logprobs is not None
    virtual = [_PLACEHOLDER] * version.extent.source_rows
    reads = (*virtual, *prompt.tokens) if start else ()
    rows = (start[0], *prompt.tokens[:-1]) if start and not generates else start
    sampling = request.sampling
    searches = generates and sampling.num_beams > 1
    sequences = [
        Sequence(
            key=(request.id, 0 if searches else index),
            version=version,
            tokens=list(rows or prompt.tokens),
            reads=reads,
            types=prompt.types,
            sampling=sampling,
            generates=generates,
            generator=torch.Generator().manual_seed((first + index) % _SEEDS),
            rules=rules,
            matcher=matcher.copy() if matcher is not None else None,
            # The prompt is the same for all choices: one of them judges it.
            judges=judges and index == 0,
            salt=request.cache_salt,
            caller=request.call.caller,
            tenant=request.call.tenant,
            background=request.background,
        )
        for index in range(sampling.rows if generates else 1)
    ]
    if not searches:
        return sequences
    beams = Beams(BeamSearch(sampling, lead=max(0, len(start) - 1)), sequences)
    for sequence in sequences:
        sequence.beams = beams
        sequence.reset()
    return sequences[:1]
