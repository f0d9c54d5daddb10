"""Deriving a record of a decoder that has none, from the tree of its modules.

A record that is there is taken over where its modules are all that layers hold; how these are
added up is then tried on a few tokens.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from deltas.errors import UnsupportedBase
from deltas.families.family import Family, PreNorm

_TOKENS = 7
_NEAR = 0.02
"""What rounding in 16 bits may leave, as a share of a layer's output."""
_RECURRENT = ("conv", "linear_attn", "mamba", "recurrent", "ssm", "temporal", "time_mix")
_ROTARY = "rotary_emb"


def derive(model: PreTrainedModel, known: Iterable[Family]) -> Family:
    """The record of a model, which may be without weights, like that of a known decoder.

    Raises UnsupportedBase naming the modules that are not understood.
    """
    backbone: nn.Module = model.base_model
    name = str(model.config.model_type)
    fitting: list[Family] = []
    strange: dict[str, nn.Module] = {}
    for family in known:
        if not family.causal or family.asking is not None or not _has(backbone, family.embedding):
            continue
        if not _has(backbone, family.layers):
            continue
        found = _strange(family, list(backbone.get_submodule(family.layers).children()))
        if found is None:
            fitting.append(family)
        elif not strange or len(found) < len(strange):
            strange = found
    if not fitting:
        raise UnsupportedBase(_refusal(name, strange))
    best = next((each for each in fitting if _is_pre_norm(each.pre_norm, each, backbone)), None)
    return replace(best or replace(fitting[0], pre_norm=None), name=name)


@torch.no_grad()
def check_sums(model: PreTrainedModel, family: Family) -> None:
    """Raise UnsupportedBase unless a layer adds up what its sub-blocks say as a record has it."""
    layer: nn.Module = next(model.base_model.get_submodule(family.layers).children())
    said: dict[str, Tensor] = {}
    handles = list(_listen(layer, family, said))
    try:
        tokens = torch.arange(1, _TOKENS + 1, device=model.device)[None] % model.config.vocab_size
        model(input_ids=tokens, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    try:
        x, y = said["x"], said["y"]
        attended, fed = said["attention"], said["feed_forward"]
        first, second = said["read by attention"], said["read by feed_forward"]
    except KeyError as error:
        raise UnsupportedBase(
            f"A layer of model type '{family.name}' is not run as its modules' names promise "
            f"({error.args[0]}). Say in a JSON record how it is: --family-record."
        ) from error
    behind = _near(second, x + attended) and _near(y, second + fed)
    beside = _near(second, x) and _near(y, x + attended + fed)
    if not _near(first, x) or not (behind or beside):
        raise UnsupportedBase(
            f"What the layers of model type '{family.name}' add up is not what their modules' "
            "names promise. Say in a JSON record how they are: --family-record."
        )


def _strange(family: Family, layers: list[nn.Module]) -> dict[str, nn.Module] | None:
    """What layers hold that a record does not know; None where they hold just what it knows."""
    blocks = (family.after_attention, family.after_feed_forward)
    paths = {str(family.attention), *(block.output for block in blocks)}
    paths |= {block.norm for block in blocks if block.norm}
    paths |= {block.residual for block in blocks if block.residual}
    names = {path.partition(".")[0] for path in paths}
    strange: dict[str, nn.Module] = {}
    lacking = not layers
    for layer in layers:
        held = {name: each for name, each in layer.named_children() if _weighs(each)}
        strange |= {name: each for name, each in held.items() if name not in names}
        lacking = lacking or not all(_has(layer, path) for path in paths)
    return strange if strange or lacking else None


def _is_pre_norm(parts: PreNorm | None, family: Family, backbone: nn.Module) -> bool:
    """Whether the fast path's modules are there, with norms of heads just where it has them."""
    # What an attribute would say of rotation nobody knows of others' attention.
    if (
        parts is None
        or parts.rotates
        or not (_has(backbone, _ROTARY) and _has(backbone, parts.last_norm))
    ):
        return False
    layer = next(backbone.get_submodule(family.layers).children())
    paths = (*parts.attention, parts.attention_output)
    paths = (*paths, *parts.feed_forward, parts.feed_forward_output, *(parts.head_norms or ()))
    own = {name for name, each in layer.named_modules() if _weighs(each, recurse=False)}
    norms = {
        path
        for block in (family.after_attention, family.after_feed_forward)
        for path in (block.residual, block.norm)
        if path
    }
    return own == {*paths, *norms}


def _listen(layer: nn.Module, family: Family, said: dict[str, Tensor]) -> Iterator[Any]:
    """Hooks that keep what a layer and its sub-blocks read and say."""

    def reads(name: str, argument: int) -> Any:
        def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if len(inputs) > argument:
                said.setdefault(name, inputs[argument].clone())

        return keep

    def says(name: str) -> Any:
        def keep(_: nn.Module, __: object, output: Any) -> None:
            said[name] = (output[0] if isinstance(output, tuple) else output).clone()

        return keep

    yield layer.register_forward_pre_hook(reads("x", 0))
    yield layer.register_forward_hook(says("y"))
    for name, block in (
        ("attention", family.after_attention),
        ("feed_forward", family.after_feed_forward),
    ):
        source = layer.get_submodule(block.residual) if block.residual else layer
        yield source.register_forward_pre_hook(reads(f"read by {name}", block.argument))
        yield layer.get_submodule(block.norm or block.output).register_forward_hook(says(name))


def _refusal(name: str, strange: dict[str, nn.Module]) -> str:
    shown = ", ".join(f"{path} ({type(each).__name__})" for path, each in strange.items())
    told = f": its layers hold {shown}, which no record knows" if shown else ""
    if any(part in path for path in strange for part in _RECURRENT):
        told += "; such modules hand a recurrent state from token to token, which is not kept here"
    return (
        f"A base of model type '{name}' is of no family that is known or could be derived{told}. "
        "Serve one of another architecture (docs/families.md), or say in a JSON record how its "
        "modules lie: --family-record."
    )


def _weighs(module: nn.Module, *, recurse: bool = True) -> bool:
    return next(module.parameters(recurse), None) is not None


def _has(module: nn.Module, path: str) -> bool:
    try:
        module.get_submodule(path)
    except AttributeError:
        return False
    return True


def _near(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).float().norm() <= _NEAR * expected.float().norm())
