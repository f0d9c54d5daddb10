"""Packed experts: mixtures of experts whose products are the kernels'."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel

from deltas.kernels import Kernels
from deltas.kernels.backend import Packed

_WIDEST = 32
"""What PyTorch computes at a time, at most."""


class PackedExperts:
    """The mixtures of experts of a base, computing by packed matrices.

    Only the `forward` of the experts, and of what holds them beside their router, is another. What
    PyTorch makes of a row depends on the others; what these make of it does not.
    """

    def __init__(self, kernels: Kernels, model: PreTrainedModel, *, quantize: bool) -> None:
        pairs = list(_mixtures_of(model))
        self._mixtures = [mixture for mixture, _ in pairs]
        self._experts = [experts for _, experts in pairs]
        pack = kernels.pack_bytes if quantize else kernels.pack
        for mixture, experts in pairs:
            into, out = (
                [pack(weight, bias) for weight, bias in _matrices(experts, name)]
                for name in _names(experts)
            )
            experts.forward = partial(_forward, kernels, experts, into, out)
            routers = [*_routers_of(mixture, experts)]
            mixture.forward = partial(
                _mix, mixture, kernels, {weight: kernels.pack(weight) for weight in routers}
            )

    def undo(self) -> None:
        """Give the modules their own `forward` back."""
        for module in (*self._experts, *self._mixtures):
            del module.forward

    def release(self) -> None:
        """Let go of the experts' weights: no step asks for them any more."""
        for experts in self._experts:
            for name, parameter in list(experts.named_parameters(recurse=False)):
                empty = nn.Parameter(parameter.new_empty(0), requires_grad=False)
                experts.register_parameter(name, empty)


def _mixtures_of(model: nn.Module) -> Iterator[tuple[nn.Module, nn.Module]]:
    """Each module that has experts beside a router, and that of all its experts' matrices."""
    for mixture in model.modules():
        for child in mixture.children():
            own = dict(child.named_parameters(recurse=False))
            held = all(name in own and own[name].dim() == 3 for name in _names(child))
            if held and not getattr(child, "has_post_expert_norm", False):
                yield mixture, child


def _routers_of(mixture: nn.Module, experts: nn.Module) -> Iterator[Tensor]:
    """The matrices beside experts that are no linear module's: by these experts are chosen."""
    for child in mixture.children():
        own = dict(child.named_parameters(recurse=False)).get("weight")
        linear_module = child is experts or isinstance(child, nn.Linear)
        if own is not None and own.dim() == 2 and not linear_module:
            yield own


def _names(experts: nn.Module) -> tuple[str, str]:
    return ("gate_up_proj" if getattr(experts, "has_gate", True) else "up_proj", "down_proj")


def _matrices(experts: nn.Module, name: str) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Each expert's matrix [outputs, inputs] and bias."""
    own = dict(experts.named_parameters(recurse=False))
    biases = own.get(f"{name}_bias")
    for index, weight in enumerate(own[name]):
        turned = weight.T if getattr(experts, "is_transposed", False) else weight
        yield turned, None if biases is None else biases[index]


def _forward(
    kernels: Kernels,
    experts: nn.Module,
    into: Sequence[Packed],
    out: Sequence[Packed],
    hidden: Tensor,
    chosen: Tensor,
    weights: Tensor,
) -> Tensor:
    """Sum each row's experts, hidden [rows, width], its choices and their weights [rows, k].

    In the order of the experts, whichever rows are computed together.
    """
    gate = getattr(experts, "_apply_gate")  # noqa: B009
    total = torch.zeros_like(hidden)
    for expert in chosen.unique().tolist():
        rows, place = torch.where(chosen == expert)
        inner = gate(kernels.linear(hidden[rows], into[expert])).contiguous()
        said = kernels.linear(inner, out[expert]) * weights[rows, place, None]
        total.index_add_(0, rows, said.to(total.dtype))
    return total


def _mix(
    mixture: nn.Module, kernels: Kernels, routers: Mapping[Tensor, Packed], *args: Any, **said: Any
) -> Any:
    with _RowByRow(kernels, routers):
        return type(mixture).forward(mixture, *args, **said)


class _RowByRow(TorchFunctionMode):
    """Computes rows in one way whatever the others: products with routers, and narrow gates."""

    def __init__(self, kernels: Kernels, routers: Mapping[Tensor, Packed]) -> None:
        super().__init__()
        self._kernels, self._routers = kernels, routers

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        said = kwargs or {}
        if func is linear and len(args) > 1 and args[1] in self._routers:
            return self._route(*args, **said)
        if func in (torch.sigmoid, Tensor.sigmoid) and args[0].shape[-1] % _WIDEST:
            # PyTorch computes the end of what it is given in another way than the rest.
            width = args[0].shape[-1]
            return torch.sigmoid(pad(args[0], (0, -width % _WIDEST)))[..., :width]
        return func(*args, **said)

    def _route(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        matrix = self._routers[weight]
        rows = x.reshape(-1, matrix.inputs).contiguous()
        y = self._kernels.linear(rows, matrix).view(*x.shape[:-1], matrix.outputs)
        return y if bias is None else y + bias
