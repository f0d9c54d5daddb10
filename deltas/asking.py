"""Asking: attention modules that call no attention function are made to.

Transformers lets a model's attention be replaced by name, where its modules ask for it. Those of a
few architectures do not; their heads are made here, and the projections around them stay theirs.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedConfig, PreTrainedModel

from deltas.biases import BIASES
from deltas.families import Asking, Family
from deltas.kernels.backend import Bias

_IMPLEMENTATION = "_attn_implementation"
_REGISTERED = AttentionInterface()


def use_attention(model: PreTrainedModel, name: str | None, family: Family) -> None:
    """Let a model attend by the function of a name; None is Transformers' own choice."""
    if family.attention is None:
        return
    chosen = model.get_correct_attn_implementation(None) if name is None else name
    if family.asking is None:
        model.set_attn_implementation(chosen)
    else:
        setattr(model.config, _IMPLEMENTATION, chosen)


def let_ask(
    modules: Iterable[nn.Module],
    model: PreTrainedModel,
    family: Family,
    context: int,
    name: str,
) -> None:
    """Let a family's attention modules call the function of a name, while that is chosen."""
    asking = family.asking
    if asking is None:
        return
    bias = BIASES[asking.bias](model.config, context) if asking.bias else None
    if bias is not None:
        bias = replace(bias, table=bias.table.to(model.device))
    for module in modules:
        module.forward = partial(_forward, module, model.config, asking, bias, name)


def _forward(
    module: nn.Module,
    config: PreTrainedConfig,
    asking: Asking,
    bias: Bias | None,
    name: str,
    hidden: Tensor,
    *others: Tensor,
    **said: Any,
) -> Any:
    if getattr(config, _IMPLEMENTATION) != name:
        return type(module).forward(module, hidden, *others, **said)
    attend: Callable[..., tuple[Tensor, None]] = _REGISTERED[name]
    width = config.hidden_size // config.num_attention_heads
    fused = module.get_submodule(asking.fused)(hidden)
    keys = (fused.shape[-1] // width - config.num_attention_heads) // 2
    # [batch, rows, heads of keys, each one's queries, key and value, width]
    heads = fused.view(*hidden.shape[:-1], keys, -1, width)
    query, key, value = heads[..., :-2, :].flatten(2, 3), heads[..., -2, :], heads[..., -1, :]
    query, key, value = (each.transpose(1, 2) for each in (query, key, value))
    if bias is None:
        cosine, sine = said["position_embeddings"]
        query, key = (_rotated(each, cosine[:, None], sine[:, None]) for each in (query, key))
    answer, _ = attend(module, query, key, value, None, scaling=width**-0.5, bias=bias)
    output = module.get_submodule(asking.output)(answer.flatten(2))
    return (output + others[0] if asking.adds_residual else output), None


def _rotated(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary embedding, halves being the parts (Su et al., 2021, arXiv:2104.09864)."""
    real, imaginary = x.chunk(2, dim=-1)
    return x * cosine + torch.cat([-imaginary, real], dim=-1) * sine
