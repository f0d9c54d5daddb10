"""The training loop."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from deltas.delta import Delta
from deltas.errors import PolydeltaError
from deltas.kinds import Extent, check, extent_of
from deltas.training.encoding import Encoded, targets_of
from deltas.training.examples import InvalidExamples
from deltas.training.forward import Forward
from deltas.training.parameters import Parameters, starting_parameters
from deltas.training.recipe import Recipe

OnStep = Callable[[int, int, float], None]
"""Called after each step with the steps done, the steps in all and the step's loss."""

_STEEPEST = 1.0
_POOL = 8


class Diverged(PolydeltaError):
    """The loss is no longer a finite number."""

    code = "training_diverged"


def train(
    forward: Forward,
    recipe: Recipe,
    blank: Delta,
    examples: Sequence[Encoded],
    on_step: OnStep,
    held_out: Sequence[Encoded] = (),
) -> Delta:
    """Fill a blank delta, which says what it is for, by training on encoded examples.

    The same seed on the same machine gives the same delta. Raises DeltaError or InvalidRecipe if
    the recipe does not fit the base, InvalidExamples if one of these or of those held out is too
    long for it, Diverged if the rate is too high.
    """
    trained = starting_parameters(forward, recipe, blank, examples[0].source or examples[0].tokens)
    check(_filled(blank, trained), forward.spec)
    _check_room([*examples, *held_out], extent_of(_filled(blank, trained), forward.spec), forward)
    parameters = [parameter for group in trained for parameter in group.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.rate, weight_decay=0.0)
    steps = max(1, math.ceil(len(examples) * recipe.epochs / recipe.batch))
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _slope(step, steps, recipe.warmup)
    )
    drawn = islice(batches(examples, recipe.batch, recipe.seed), steps)
    for step, batch in enumerate(drawn, start=1):
        loss = _loss(forward, _filled(blank, trained), batch)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        clip_grad_norm_(parameters, _STEEPEST)
        optimizer.step()
        rate.step()
        on_step(step, steps, loss.item())
    return _stored(_filled(blank, trained))


def batches(examples: Sequence[Encoded], size: int, seed: int) -> Iterator[list[Encoded]]:
    """Draw batches without end, epoch after epoch, each of examples of similar length."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = [examples[i] for i in torch.randperm(len(examples), generator=generator).tolist()]
        drawn: list[list[Encoded]] = []
        for start in range(0, len(order), size * _POOL):
            pool = sorted(order[start : start + size * _POOL], key=_length)
            drawn += [pool[i : i + size] for i in range(0, len(pool), size)]
        for index in torch.randperm(len(drawn), generator=generator).tolist():
            yield drawn[index]


def _length(example: Encoded) -> tuple[int, int]:
    return len(example.tokens), len(example.source)


def _check_room(examples: Sequence[Encoded], extent: Extent, forward: Forward) -> None:
    own = extent.rows + extent.cached
    source = extent.source_rows + max(extent.source_cached, extent.crossed)
    longest = max(max(own + len(one.tokens), source + len(one.source)) for one in examples)
    if longest > forward.spec.context:
        raise InvalidExamples(
            f"An example takes {longest} tokens, those of the delta included; the base has room "
            f"for {forward.spec.context}. Leave it out, shorten its output, or cut inputs by "
            "--tokens; messages are not cut."
        )


def _loss(forward: Forward, delta: Delta, batch: Sequence[Encoded]) -> Tensor:
    answers = forward.answers(delta, batch).float()
    loss = cross_entropy(answers, targets_of(batch).to(answers.device))
    if not torch.isfinite(loss):
        raise Diverged("The loss is not finite any more: lower the learning rate.")
    return loss


def _slope(step: int, steps: int, warmup: float) -> float:
    """The share of the full learning rate: a linear rise, then a linear fall to zero."""
    rise = max(1.0, steps * warmup)
    return max(0.0, min((step + 1) / rise, (steps - step) / max(1.0, steps - rise)))


def _filled(blank: Delta, trained: Sequence[Parameters]) -> Delta:
    return replace(blank, parts=tuple(part for group in trained for part in group.parts()))


def _stored(delta: Delta) -> Delta:
    """Cut a delta off its parameters, in the half precision that it is stored in."""
    parts = (
        replace(part, tensors={name: t.detach().half() for name, t in part.tensors.items()})
        for part in delta.parts
    )
    return replace(delta, parts=tuple(parts))
