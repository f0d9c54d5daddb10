"""How near a base as it is served comes to the same base in float32, told by a text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from deltas.kinds import Extent
from deltas.segments import BASE_SLOT
from deltas.site import Role
from server.bench.errors import BenchError
from server.build import count_threads, open_base
from server.model.base import Base
from server.model.batch import Item
from server.model.cache import BLOCK
from server.model.runner import Runner
from server.model.threads import take
from server.settings import Settings

_WINDOW = 512
"""Tokens that are read as one sequence."""


@dataclass(frozen=True)
class Fidelity:
    """Means over the positions of a text that predict a token.

    `alike` is the share of them with the same likeliest token as in float32, `divergence` the
    Kullback-Leibler divergence from float32 in nats; `weights` are the bytes of all projections.
    """

    base: str
    dtype: str
    quantized: bool
    positions: int
    perplexity: float
    exact_perplexity: float
    alike: float
    divergence: float
    weights: int


@torch.inference_mode()
def fidelity(settings: Settings, text: str) -> Fidelity:
    """Read a text with the base that the settings name and with Transformers' modules in float32.

    Raises BenchError if the base writes no text or the text has no second token.
    """
    exact = open_base(settings.model_copy(update={"dtype": "float32", "quantize": "none"}))
    if not exact.generates:
        raise BenchError(f"The base {exact.name} writes no text; name a decoder with --base.")
    runner = Runner(open_base(settings), _WINDOW // BLOCK)
    take(count_threads(settings), runner.kernels)
    windows = list(_windows(exact.tokenizer, text, min(_WINDOW, exact.spec.context)))
    positions = sum(len(window) - 1 for window in windows)
    if not positions:
        raise BenchError("The text predicts nothing: give one of two tokens or more with --text.")
    sums = sum(
        (_judge(_served(runner, window), _exact(exact, window), window) for window in windows),
        start=torch.zeros(4, dtype=torch.float64),
    )
    loss, exact_loss, alike, divergence = (sums / positions).tolist()
    return Fidelity(
        base=exact.name,
        dtype=str(runner.base.dtype).removeprefix("torch."),
        quantized=runner.base.quantize,
        positions=positions,
        perplexity=exp(loss),
        exact_perplexity=exp(exact_loss),
        alike=alike,
        # Rounding alone may take it below nothing.
        divergence=max(0.0, divergence),
        weights=sum(tensor.nbytes for tensor in _weights(runner)),
    )


def _windows(tokenizer: PreTrainedTokenizerFast, text: str, length: int) -> Iterator[list[int]]:
    """Cut a text into sequences, each of which begins as the tokenizer begins a text."""
    tokens: list[int] = tokenizer.backend_tokenizer.encode(text).ids
    begin = tokens[:1] if tokens[:1] == [tokenizer.bos_token_id] else []
    step = length - len(begin)
    for start in range(len(begin), len(tokens), step):
        yield begin + tokens[start : start + step]


def _served(runner: Runner, window: Sequence[int]) -> Tensor:
    """The logits [rows, vocabulary] of the base as it is served."""
    # Each row is an item, for only an item's last row has logits; a step writes all rows' keys
    # before any row attends, so that these items read one another as one sequence.
    blocks = range(-(-len(window) // BLOCK))
    items = [
        Item(BASE_SLOT, [token], at, Extent(), blocks, wants_logits=True)
        for at, token in enumerate(window)
    ]
    return runner.forward(items).logits


def _exact(base: Base, window: Sequence[int]) -> Tensor:
    """The logits [rows, vocabulary] of the base's own modules."""
    return base.model(torch.tensor([window], device=base.device)).logits[0]


def _judge(served: Tensor, exact: Tensor, window: Sequence[int]) -> Tensor:
    """Sums over a window's positions: both losses, equal likeliest tokens, divergence."""
    following = torch.tensor(window[1:], device=served.device)[:, None]
    ours, theirs = served[:-1].log_softmax(1), exact[:-1].log_softmax(1)
    rows = (
        -ours.gather(1, following)[:, 0],
        -theirs.gather(1, following)[:, 0],
        ours.argmax(1) == theirs.argmax(1),
        (theirs.exp() * (theirs - ours)).sum(1),
    )
    return torch.stack([row.double().sum() for row in rows]).cpu()


def _weights(runner: Runner) -> Iterator[Tensor]:
    """What the base's projections multiply by, packed where they are."""
    if runner.projections:
        for projection in runner.projections:
            yield from projection.tensors
        return
    for site in runner.base.spec.of_role(Role.LINEAR):
        yield from runner.wiring.module(site.name).parameters()
