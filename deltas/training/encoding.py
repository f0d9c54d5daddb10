"""Encoding: examples as tokens, and what the model should say at which of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from deltas.delta import PromptStyle
from deltas.training.examples import Example, Labelled, Marked, Written

IGNORED = -100
"""The target of a row about which nothing is to be learnt."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """An example's tokens and targets.

    A label's `targets` are its one index; where text is written or words are tagged there is a
    target for each token: the token that should follow it, or its tag's index. Where an encoder
    reads what the text is written for, that is the `source`.
    """

    tokens: list[int]
    targets: list[int]
    source: list[int] = field(default_factory=list[int])

    @property
    def answered(self) -> list[int]:
        """The indices of the targets that are not ignored."""
        return [index for index, target in enumerate(self.targets) if target != IGNORED]


def targets_of(batch: Sequence[Encoded]) -> Tensor:
    """The targets [n] of a batch that are not ignored, in order."""
    return torch.tensor([one.targets[index] for one in batch for index in one.answered])


@dataclass(frozen=True, slots=True)
class Encoder:
    """Turns examples into tokens just as the server turns requests into them.

    Texts are cut to `limit` tokens; messages are not. With `starts` a text begins that is written
    for a source; without any it goes on behind.
    """

    tokenizer: PreTrainedTokenizerFast
    labels: Sequence[str]
    prompt: PromptStyle
    limit: int
    starts: tuple[int, ...] = ()

    def encode(self, example: Example) -> Encoded:
        """Encode one example."""
        match example:
            case Labelled(text, label):
                return self._labelled(self._cut(text), self.labels.index(label))
            case Written(source, output):
                return self._written(self.source_tokens(source), output)
            case Marked(words, tags):
                return self._marked(words, tags)

    def source_tokens(self, source: str | list[dict[str, str]]) -> list[int]:
        """Tokenise what comes before the text to be written."""
        if isinstance(source, str):
            tokens = self._cut(source)
            if self.prompt is PromptStyle.TEXT or not self.tokenizer.chat_template:
                return tokens
            text = str(self.tokenizer.decode(tokens, skip_special_tokens=True))
            source = [{"role": "user", "content": text}]
        chat = self.tokenizer.apply_chat_template(
            source, tokenize=False, add_generation_prompt=True
        )
        return self._tokens(str(chat), special=False)

    def asked(self, source: str | list[dict[str, str]]) -> Encoded:
        """Encode a source, with one target for whatever may be written next."""
        tokens = self.source_tokens(source)
        before = list(self.starts) or tokens
        targets = [IGNORED] * (len(before) - 1) + [0]
        return Encoded(before, targets, tokens if self.starts else [])

    def _labelled(self, tokens: list[int], label: int) -> Encoded:
        if not self.starts:
            return Encoded(tokens, [label])
        # A head looks at the source once more, behind the token that a text begins with.
        return Encoded([self.starts[0], *tokens[:-1]], [label], tokens)

    def _written(self, source: list[int], output: str) -> Encoded:
        written = self._tokens(output + str(self.tokenizer.eos_token or ""), special=False)
        before = list(self.starts) or source
        targets = [IGNORED] * (len(before) - 1) + written
        return Encoded(before + written[:-1], targets, source if self.starts else [])

    def _marked(self, words: Sequence[str], tags: Sequence[str]) -> Encoded:
        # Byte-level tokens may begin with, or be, the space before their word.
        owners = [index for index, word in enumerate(words) for _ in f" {word}"][1:]
        found = self.tokenizer.backend_tokenizer.encode(" ".join(words))
        targets: list[int] = []
        last_piece, last_owner = None, None
        for piece, (_, end) in zip(found.word_ids, found.offsets, strict=True):
            if piece is None or piece == last_piece:
                targets.append(IGNORED)
                continue
            owner = owners[end - 1]
            targets.append(self._tag(tags[owner], continued=owner == last_owner))
            last_piece, last_owner = piece, owner
        return Encoded(list(found.ids)[: self.limit], targets[: self.limit])

    def _tag(self, tag: str, *, continued: bool) -> int:
        inner = tag.replace("B-", "I-", 1) if continued else tag
        return self.labels.index(inner if inner in self.labels else tag)

    def _cut(self, text: str) -> list[int]:
        return list(self.tokenizer(text, truncation=True, max_length=self.limit)["input_ids"])

    def _tokens(self, text: str, *, special: bool = True) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=special)["input_ids"])
