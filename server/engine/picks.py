"""Picks: the next tokens of a step's sequences."""

from collections.abc import Mapping
from collections.abc import Sequence as List
from dataclasses import replace

import torch
from torch import Tensor

from server.engine.sequence import Key, Sequence
from server.model.rules import AllowedTokens, TokenMask
from server.model.sampler import Chosen, Lack, Row, sample


def pick(
    writers: List[Sequence],
    logits: Tensor,
    masks: Mapping[Key, TokenMask],
    context: int,
) -> list[Chosen | Lack]:
    """Choose a token for each of some sequences by logits [n, vocabulary], where there is one.

    `masks` are what grammars allow. Where a text has a grammar, whose end would be out of reach
    of its bound or of the `context` behind a token, another one is chosen that leads there.
    """
    rows = [_row(each, masks.get(each.key)) for each in writers]
    chosen = sample(logits, rows)
    return [
        _in_time(each, row, found, logits[index : index + 1], context)
        for index, (each, row, found) in enumerate(zip(writers, rows, chosen, strict=True))
    ]


def _in_time(
    writer: Sequence, row: Row, found: Chosen | Lack, logits: Tensor, context: int
) -> Chosen | Lack:
    if writer.matcher is None or isinstance(found, Lack):
        return found
    token = writer.matcher.instead(found.token, writer.room(context) - 1)
    if token is None:
        return found
    only = AllowedTokens(torch.tensor([token], device=logits.device))
    (other,) = sample(logits, [replace(row, rules=(*row.rules, only))])
    if isinstance(other, Lack):
        # The request's own rules do not let it come.
        return found
    writer.hurried = True
    return other


def _row(writer: Sequence, mask: TokenMask | None) -> Row:
    """What a sequence's next token depends on."""
    return Row(
        writer.sampling, writer.generator, writer.text, writer.generated, writer.acting, mask
    )
