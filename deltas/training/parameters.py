"""Parameters: what is trained, and the parts of a delta that it stands for."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle, islice
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from deltas.base import HEAD_SITE, BaseSpec
from deltas.delta import Delta, Options, Part, TaskType
from deltas.kinds import kind_named
from deltas.site import Role, Site
from deltas.training.forward import Forward
from deltas.training.recipe import InvalidRecipe, Recipe


class Parameters(Protocol):
    """Trained tensors that stand for parts of a delta."""

    def parameters(self) -> Iterable[nn.Parameter]:
        """What the optimiser changes."""
        ...

    def parts(self) -> list[Part]:
        """The parts as they are now; gradients flow from them to the parameters."""
        ...


class Address(NamedTuple):
    """Where a tensor belongs in a delta."""

    site: str
    tensor: str


class Direct:
    """Every tensor of one kind is trained as it is."""

    def __init__(self, kind: str, options: Options, start: dict[Address, Tensor]) -> None:
        self._kind = kind
        self._options = options
        self._tensors = {address: nn.Parameter(tensor) for address, tensor in start.items()}

    def parameters(self) -> Iterable[nn.Parameter]:
        """The tensors themselves."""
        return self._tensors.values()

    def parts(self) -> list[Part]:
        """A part for each site."""
        return gather(self._kind, self._options, self._tensors)


class Reparametrised(nn.Module):
    """All tensors of one kind change by a small matrix through one MLP, which steadies training.

    Li & Liang, 2021, arXiv:2101.00190, section 4.3. The tensors' first axis must be the same:
    row i of each changes by row i of the matrix. The MLP is only how they are trained; `parts`
    has it folded.
    """

    def __init__(
        self, kind: str, options: Options, start: dict[Address, Tensor], width: int,
        generator: torch.Generator,
    ) -> None:  # fmt: skip
        super().__init__()
        self._kind = kind
        self._options = options
        self._shapes = {address: tensor.shape[1:] for address, tensor in start.items()}
        self._start = torch.cat([tensor.flatten(1) for tensor in start.values()], dim=1)
        length, outputs = self._start.shape
        self.rows = _random((length, width), 1.0, generator)
        self.inner = _random((width, width), width**-0.5, generator)
        self.outer = nn.Parameter(torch.zeros(outputs, width))

    def parts(self) -> list[Part]:
        """The start plus the MLP's output, cut into the tensors of each site."""
        whole = self._start + torch.tanh(self.rows @ self.inner.T) @ self.outer.T
        sizes = [shape.numel() for shape in self._shapes.values()]
        pieces = zip(self._shapes.items(), whole.split(sizes, dim=1), strict=True)
        tensors = {address: piece.reshape(-1, *shape) for (address, shape), piece in pieces}
        return gather(self._kind, self._options, tensors)


def gather(kind: str, options: Options, tensors: Mapping[Address, Tensor]) -> list[Part]:
    """Group tensors into one part a site."""
    sites: dict[str, dict[str, Tensor]] = {}
    for address, tensor in tensors.items():
        sites.setdefault(address.site, {})[address.tensor] = tensor
    return [Part(kind, site, found, options) for site, found in sites.items()]


def starting_parameters(
    forward: Forward, recipe: Recipe, blank: Delta, text: Sequence[int]
) -> list[Parameters]:
    """Make what a recipe trains: the kind's parameters and, to read labels from, a head's.

    `blank` says what the delta is for; it has no parts yet. A prefix starts from the keys and
    values of `text`, any text's tokens: real words are a better start than noise (Li & Liang,
    section 7.4).
    """
    base = forward.spec
    generator = torch.Generator().manual_seed(recipe.seed)
    kind = kind_named(recipe.kind)
    sites = _chosen(kind.sites(base, recipe.options), base, recipe.layers)
    start = _start(recipe.kind, sites, recipe.options, generator)
    if kind.role is Role.ATTENTION:
        known = _read(forward, text, length=len(next(iter(start.values()))))
        start = {address: known[address] for address in start}
    parameters: list[Parameters] = []
    if kind.role is Role.ATTENTION and recipe.width:
        parameters.append(
            Reparametrised(recipe.kind, recipe.options, start, recipe.width, generator)
        )
    elif kind.role is not Role.HEAD:
        parameters.append(Direct(recipe.kind, recipe.options, start))
    if blank.task is not TaskType.GENERATE:
        options = _head_options(base, blank)
        head = _start("head", [base.sites[HEAD_SITE]], options, generator)
        parameters.append(Direct("head", options, head))
    return parameters


def _head_options(base: BaseSpec, blank: Delta) -> Options:
    pooling = "last" if base.family.causal else "mean"
    return {
        "labels": len(blank.labels),
        "pooling": "all" if blank.task is TaskType.TAG else pooling,
    }


def _start(
    kind: str, sites: Iterable[Site], options: Options, generator: torch.Generator
) -> dict[Address, Tensor]:
    return {
        Address(site.name, name): tensor
        for site in sites
        for name, tensor in kind_named(kind).create(site, options, generator).items()
    }


def _read(forward: Forward, text: Sequence[int], length: int) -> dict[Address, Tensor]:
    """The base's keys and values for the first tokens of a text, repeated if it is too short."""
    tokens = list(islice(cycle(text), length))
    return {
        Address(site, name): tensor.float().cpu()
        for site, states in forward.key_values(tokens).items()
        for name, tensor in (("key", states["key"]), ("value", states["value"]))
    }


def _chosen(sites: Iterable[Site], base: BaseSpec, layers: int | None) -> list[Site]:
    """Leave out the sites of the layers before the last `layers` of each stack.

    Raises InvalidRecipe if the base has fewer.
    """
    if layers is None:
        return list(sites)
    if layers > base.layers:
        raise InvalidRecipe(f"layers must be {base.layers} at most, the base's; it is {layers}.")
    stacks = [base.layer_paths_of(stack.rows) for stack in base.family.stacks]
    early = tuple(f"{path}." for paths in stacks for path in paths[:-layers])
    return [site for site in sites if not site.name.startswith(early)]


def _random(shape: tuple[int, int], std: float, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).normal_(std=std, generator=generator))
