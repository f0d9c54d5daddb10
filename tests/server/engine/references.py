"""Deltas of every kind on disk, each with what the reference library computes for it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from peft import (
    IA3Config,
    LoraConfig,
    PeftConfig,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
)
from torch import Tensor, nn
from transformers import PreTrainedModel

from deltas.base import AFTER_FEED_FORWARD, BaseSpec, describe
from deltas.delta import Delta, Part, TaskType
from deltas.formats import native
from deltas.kinds import KINDS
from server.engine.output import TokenLogprob
from tests.deltas.formats.peft_checkpoints import feed_forward_of, measures_of, save, targets_of
from tests.models import tiny_model

TOLERANCE = 1e-4

_Said = Tensor | tuple[Tensor, ...]
"""What a module returns: of several things the first is its output."""

Reference = Callable[[Tensor], Tensor]
"""Token ids [n] → logits [rows, vocabulary], the last row following the last token."""

Deltas = tuple[dict[str, Path], dict[str, Reference]]
"""Where each task's delta is, and each task's reference, the base's included."""

PEFT: dict[str, Callable[[str, str], PeftConfig]] = {
    "lora": lambda family, task: LoraConfig(
        task_type=task, r=4, lora_alpha=6, target_modules=targets_of(family)
    ),
    "ia3": lambda family, task: IA3Config(
        task_type=task,
        target_modules=targets_of(family),
        feedforward_modules=feed_forward_of(family),
    ),
    "prompt": lambda family, task: PromptTuningConfig(
        task_type=task, num_virtual_tokens=3, **measures_of(family)
    ),
    "p-tuning": lambda family, task: PromptEncoderConfig(
        task_type=task, num_virtual_tokens=5, encoder_hidden_size=8, **measures_of(family)
    ),
    "prefix": lambda family, task: PrefixTuningConfig(task_type=task, num_virtual_tokens=4),
}


def references(family: str, folder: Path, kinds: Sequence[str] = ()) -> Deltas:
    """A delta of every generating kind on disk, and what the reference library computes for it.

    Of PEFT's methods those named in `kinds`, else all.
    """
    directories: dict[str, Path] = {}
    answers: dict[str, Reference] = {"base": plain(tiny_model(family))}
    for name in kinds or PEFT:
        config, directories[name] = PEFT[name], folder / name
        answers[name] = plain(save(family, config(family, "CAUSAL_LM"), directories[name]))
    directories["bottleneck"] = folder / "bottleneck"
    model = tiny_model(family)
    base = describe(model, f"tiny-{family}")
    parts = bottleneck(base, seed=11)
    adapt(model, base, parts)
    native.write(Delta(TaskType.GENERATE, parts), directories["bottleneck"], base)
    answers["bottleneck"] = plain(model)
    return directories, answers


def plain(model: nn.Module) -> Reference:
    """What a model of the reference library says itself."""

    @torch.no_grad()
    def logits(ids: Tensor) -> Tensor:
        return model(input_ids=ids[None], attention_mask=torch.ones(1, len(ids))).logits[0]

    return logits


def bottleneck(base: BaseSpec, seed: int, std: float = 0.3) -> tuple[Part, ...]:
    """Random adapters after every feed-forward block."""
    generator = torch.Generator().manual_seed(seed)
    kind = KINDS["bottleneck"]
    parts: list[Part] = []
    for site in kind.sites(base, {}):
        shapes = kind.create(site, {"size": 6}, generator)
        tensors = {
            name: torch.empty_like(tensor).normal_(std=std, generator=generator)
            for name, tensor in shapes.items()
        }
        parts.append(Part("bottleneck", site.name, tensors))
    return tuple(parts)


def adapt(model: PreTrainedModel, base: BaseSpec, parts: Sequence[Part]) -> None:
    """Houlsby's adapter written out by hand on a plain model: h + up(relu(down(h)))."""
    for part in parts:
        layer = model.base_model.get_submodule(part.site.removesuffix(f".{AFTER_FEED_FORWARD}"))
        block = layer.get_submodule(base.family.after_feed_forward.output)
        block.register_forward_hook(_adapter(dict(part.tensors)))


def _adapter(tensors: dict[str, Tensor]) -> Callable[[nn.Module, object, _Said], _Said]:
    down = nn.Linear(*reversed(tensors["down"].shape))
    up = nn.Linear(*reversed(tensors["up"].shape))
    with torch.no_grad():
        down.weight.copy_(tensors["down"])
        down.bias.copy_(tensors["down_bias"])
        up.weight.copy_(tensors["up"])
        up.bias.copy_(tensors["up_bias"])

    def adapted(output: Tensor) -> Tensor:
        return output + up(torch.relu(down(output)))

    def hook(module: nn.Module, inputs: object, output: _Said) -> _Said:
        if isinstance(output, tuple):
            return (adapted(output[0]), *output[1:])
        return adapted(output)

    return hook


def check_greedy(
    reference: Reference, prompt: Sequence[int], answer: Sequence[TokenLogprob], count: int
) -> None:
    """Fail unless an answer is the reference's own greedy continuation of `count` tokens.

    One pass over the whole text tells: each token must be the likeliest after those before it.
    """
    tokens = [token.id for token in answer]
    rows = reference(torch.tensor([*prompt, *tokens]))[-len(tokens) - 1 : -1].log_softmax(dim=-1)
    assert len(tokens) == count
    assert tokens == rows.argmax(dim=-1).tolist()
    found = torch.tensor([token.logprob for token in answer])
    torch.testing.assert_close(found, rows.max(dim=-1).values, rtol=0, atol=TOLERANCE)
