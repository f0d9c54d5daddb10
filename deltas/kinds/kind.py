"""The interface that every kind of delta implements, one file each."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor

from deltas.bank import Bank
from deltas.base import LM_HEAD_SITE, BaseSpec
from deltas.delta import Delta, Option, Options, Part
from deltas.errors import InvalidDelta, UnsupportedDelta, WrongBase
from deltas.site import Role, Rows, Site

OptionType: TypeAlias = type[str] | type[int] | type[bool] | type[float] | type[list[str]]
OptionTypes: TypeAlias = Mapping[str, OptionType]
"""The names of options and what their values are."""

_WORDS: Mapping[OptionType, str] = {
    str: "a text",
    int: "a whole number above 0",
    bool: "true or false",
    float: "a number, such as 0.5",
    list: "a list of texts",
}


@dataclass(frozen=True, slots=True)
class Extent:
    """What a delta adds to every sequence.

    `rows` virtual input rows come before the text and `cached` keys and values before those;
    the first row's position is `shift`. The same of a source, where the base has an encoder for
    that; `crossed` keys and values come before those of a source where rows look at it.
    """

    rows: int = 0
    cached: int = 0
    shift: int = 0
    source_rows: int = 0
    source_cached: int = 0
    source_shift: int = 0
    crossed: int = 0

    def __add__(self, other: "Extent") -> "Extent":
        return Extent(*map(sum, zip(astuple(self), astuple(other), strict=True)))

    @property
    def source(self) -> "Extent":
        """What the encoder adds to a source, as rows of its own."""
        return Extent(self.source_rows, self.source_cached, self.source_shift)

    def at(self, rows: Rows) -> "Extent":
        """What is said of a sequence's own rows, said of these."""
        if rows is Rows.SOURCE:
            return Extent(source_rows=self.rows, source_cached=self.cached, source_shift=self.shift)
        return self if rows is Rows.OWN else Extent(crossed=self.cached)


class Kind(ABC):
    """One kind of delta: how its tensors look, how they act and how they are first made."""

    name: ClassVar[str]
    role: ClassVar[Role]
    bank: ClassVar[type[Bank]]
    """What holds a site's parts of this kind and acts there."""
    options: ClassVar[OptionTypes] = {}
    """What a checkpoint may set, which changes what the tensors do."""
    training: ClassVar[OptionTypes] = {}
    """What decides how the tensors are made; a checkpoint may record it, nothing reads it there."""

    @abstractmethod
    def shapes(self, site: Site, part: Part) -> Mapping[str, tuple[int, ...]]:
        """The exact tensors that a part must hold at a site.

        Free measures (a rank, a length) are taken from the part itself.
        Raises InvalidDelta if they cannot be told.
        """

    @abstractmethod
    def create(self, site: Site, options: Options, generator: torch.Generator) -> dict[str, Tensor]:
        """Make the tensors that training starts from; they change nothing, or next to nothing."""

    def sites(self, base: BaseSpec, options: Options) -> Iterable[Site]:
        """The sites that training uses unless told otherwise."""
        del options
        return base.of_role(self.role)

    def extent(self, part: Part) -> Extent:
        """What a part adds to every sequence."""
        del part
        return Extent()

    def rank(self, part: Part) -> int:
        """The inner width where a part is a product of two narrow matrices, else 0."""
        del part
        return 0

    def check_whole(self, parts: Sequence[Part], delta: Delta, base: BaseSpec) -> None:
        """Raise InvalidDelta unless a delta's parts of this kind fit together."""
        del parts, delta, base

    def check_options(self, options: Options) -> None:
        """Raise UnsupportedDelta for an option that is not the kind's, InvalidDelta for its type.

        Whole numbers count something: they are at least 1.
        """
        known = {**self.options, **self.training}
        for name, value in options.items():
            if name not in known:
                choices = ", ".join(known) or "none"
                raise UnsupportedDelta(
                    f"The kind '{self.name}' has no option '{name[:64]}'; it has: {choices}."
                )
            wanted = known[name]
            # A truth value is a whole number to Python, not to us.
            if type(value) is not wanted or (type(value) is int and value < 1):
                raise InvalidDelta(f"The {self.name} option '{name}' must be {_WORDS[wanted]}.")

    def check(self, site: Site, part: Part) -> None:
        """Raise unless a part fits its site exactly: WrongBase if only its measures differ."""
        if site.role is not self.role:
            raise InvalidDelta(
                f"{self.name} cannot act at '{site.name}', which is a {site.role.value} site."
            )
        self.check_options(part.options)
        expected = dict(self.shapes(site, part))
        found = {name: tuple(tensor.shape) for name, tensor in part.tensors.items()}
        if found.keys() != expected.keys():
            raise InvalidDelta(
                f"{self.name} at '{site.name}' must hold {', '.join(expected)} but holds "
                f"{', '.join(found) or 'nothing'}."
            )
        if found != expected:
            raise WrongBase(f"{self.name} at '{site.name}' must be {expected} but is {found}.")


def measure(part: Part, tensor: str, axis: int, dimensions: int) -> int:
    """Read a free measure off a part's tensor.

    Raises InvalidDelta if the tensor is absent, has another number of dimensions or is empty.
    """
    found = part.tensors.get(tensor)
    if found is None or found.dim() != dimensions or found.shape[axis] < 1:
        shape = None if found is None else tuple(found.shape)
        raise InvalidDelta(
            f"{part.kind} at '{part.site}' needs a non-empty tensor '{tensor}' of {dimensions} "
            f"dimensions; found {shape}."
        )
    return found.shape[axis]


def projections(base: BaseSpec, targets: Option | None) -> list[Site]:
    """The projections of the layers whose path ends in one of `targets`; all of them unless a list.

    The LM head is none of them: it must be named by a checkpoint to be changed. Raises
    UnsupportedDelta for a target that is no projection's end.
    """
    linears = [site for site in base.of_role(Role.LINEAR) if site.name != LM_HEAD_SITE]
    if not isinstance(targets, list):
        return linears
    ends = dict.fromkeys(site.name.rsplit(".", 1)[-1] for site in linears)
    if unknown := [target for target in targets if target not in ends]:
        raise UnsupportedDelta(
            f"The base '{base.name}' has no projection '{unknown[0][:64]}'; its layers have: "
            f"{', '.join(ends)}."
        )
    return [site for site in linears if site.name.rsplit(".", 1)[-1] in targets]
