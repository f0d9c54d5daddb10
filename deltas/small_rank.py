"""Small-rank banks: changes that are a product of two narrow matrices, for all rows at once."""

from abc import abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from deltas.activations import ACTIVATIONS
from deltas.bank import RowBank, Work
from deltas.delta import Part
from deltas.errors import InvalidDelta
from deltas.kernels import SmallRankKernels, load_kernels
from deltas.kernels.backend import ACTIVATIONS as NUMBERS
from deltas.kernels.backend import MAX_RANK, Packed, SmallRank, SmallRankSite
from deltas.segments import Segments
from deltas.site import Site

_FIELDS = 6
"""Numbers that describe a slot's part to the kernel."""


@dataclass(frozen=True, slots=True)
class Factors:
    """What a part adds to a row: B·act(A·x + a) + b.

    `a` [rank, inputs], `b` [outputs, rank]; biases [rank] and [outputs] where there are any.
    """

    a: Tensor
    b: Tensor
    a_bias: Tensor | None = None
    b_bias: Tensor | None = None
    activation: str | None = None

    def fit(self, site: Site) -> bool:
        """Whether the shapes are those of a site, and the rank one that kernels take."""
        rank = len(self.a)
        expected = ((rank, site.inputs), (site.outputs, rank), (rank,), (site.outputs,))
        found = (self.a, self.b, self.a_bias, self.b_bias)
        pairs = zip(found, expected, strict=True)
        fits = all(tensor is None or tensor.shape == shape for tensor, shape in pairs)
        return fits and rank <= MAX_RANK

    def __call__(self, x: Tensor) -> Tensor:
        """The change for rows x [n, inputs], in plain PyTorch."""
        inner = functional.linear(x.to(self.a.dtype), self.a, self.a_bias)
        inner = inner if self.activation is None else ACTIVATIONS[self.activation](inner)
        return functional.linear(inner, self.b, self.b_bias)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedPart(Part):
    """A part whose factors `a` and `b` lie as the kernels read them; `tensors` is empty.

    It is a constant: no gradient flows through it.
    """

    a: Packed
    b: Packed
    source: Hashable
    activation: int

    @property
    def memory(self) -> tuple[Tensor, ...]:
        """The packed factors and their biases."""
        tensors = (self.a.data, self.a.bias, self.b.data, self.b.bias)
        return tuple(tensor for tensor in tensors if tensor is not None)

    @property
    def form(self) -> Hashable:
        """All that it is but what its memory holds."""
        factors = ((each.outputs, each.inputs, each.bias is None) for each in (self.a, self.b))
        return (self.kind, self.site, repr(self.options), *factors, self.source, self.activation)

    def over(self, memory: Sequence[Tensor]) -> "PackedPart":
        """The same part over other tensors, in the order of `memory`."""
        rest = iter(memory)
        a, b = (
            replace(packed, data=next(rest), bias=None if packed.bias is None else next(rest))
            for packed in (self.a, self.b)
        )
        return replace(self, a=a, b=b)

    @property
    def numbers(self) -> list[int]:
        """What the kernels are told of it, as many as _FIELDS."""
        a, b = self.a, self.b
        places = (a.data.data_ptr(), b.data.data_ptr(), _address(a.bias), _address(b.bias))
        return [*places, a.outputs, self.activation]


@dataclass(eq=False)
class Table:
    """One source's parts as the kernels read them, by slot. No table is equal to another."""

    numbers: Tensor
    parts: dict[int, PackedPart] = field(default_factory=dict[int, PackedPart])


@dataclass
class SmallRankBank(RowBank):
    """A bank whose parts are factors of what `inner` says.

    Where the kernels are at hand parts are packed and all runs are one call of theirs; elsewhere,
    and where gradients are wanted, each run is computed by plain PyTorch.
    """

    tables: dict[Hashable, Table] = field(default_factory=dict[Hashable, Table])

    @classmethod
    @abstractmethod
    def factors(cls, part: Part) -> Factors:
        """A part's tensors under their common names."""

    @classmethod
    def source(cls, part: Part) -> Hashable:
        """Which of the `inner` values a part reads; parts of one source are computed together.

        One that is true takes more than a look at x or y.
        """
        del part
        return None

    def inner(self, source: Hashable, x: Tensor, y: Tensor) -> Tensor:
        """What the parts of one source read: their site's input, unless a kind says otherwise."""
        del source, y
        return x

    @classmethod
    def ready(cls, part: Part, site: Site) -> Part:
        """Pack a part where the kernels are at hand.

        Raises InvalidDelta if its factors do not fit the site: kernels check nothing.
        """
        if isinstance(part, PackedPart):
            return part
        factors = cls.factors(part)
        if not factors.fit(site):
            raise InvalidDelta(f"{part.kind} at '{part.site}' does not fit its site.")
        kernels = _kernels_for(factors)
        return part if kernels is None else _packed(kernels, part, factors, cls.source(part))

    def put(self, slot: int, part: Part) -> None:
        """Make a part resident, packed where the kernels are at hand."""
        self.drop(slot)
        part = self.ready(part, self.place.site)
        super().put(slot, part)
        if isinstance(part, PackedPart):
            self._enter(slot, part)

    def drop(self, slot: int) -> None:
        """Forget a slot's part."""
        super().drop(slot)
        for source, table in list(self.tables.items()):
            if table.parts.pop(slot, None) is not None:
                table.numbers[slot] = 0
            if not table.parts:
                del self.tables[source]

    def change(self, part: Part, x: Tensor, y: Tensor) -> Tensor:
        """Return the changed output for rows of one slot."""
        return y + self.factors(part)(self.inner(self.source(part), x, y)).to(y.dtype)

    def apply(self, x: Tensor, y: Tensor, segments: Segments) -> Tensor:
        """Change the rows of each resident slot."""
        kernels = load_kernels(y.dtype, y.device.type)
        return self.apply_all([Work(self, x, y)], segments, kernels)[0]

    @classmethod
    def apply_all(
        cls, work: Sequence[Work], segments: Segments, kernels: SmallRank | None
    ) -> list[Tensor]:
        """Change all sites' rows in one call where the kernels are at hand."""
        sites: list[SmallRankSite] = []
        changed: list[Tensor] = []
        for one in work:
            # One bank's parts are packed all or none: that depends on their site and precision.
            bank = cast("SmallRankBank", one.bank)
            if kernels is None or not bank.tables:
                changed.append(RowBank.apply(bank, one.x, one.y, segments))
            else:
                sites.extend(bank.sites(one.x, one.y, segments))
                changed.append(one.y)
        if kernels is not None and sites:
            kernels.small_rank(sites, segments.table)
        return changed

    def recordable(self, slot: int) -> bool:
        """Whether a slot's part is packed and reads x or y as they are."""
        part = self.parts.get(slot)
        return isinstance(part, PackedPart) and not part.source

    def layout(self, slots: frozenset[int]) -> Hashable:
        """The tables, where they are, how long, and whether any of these slots is in them."""
        return tuple(
            (table, table.numbers.data_ptr(), len(table.numbers), slots.isdisjoint(table.parts))
            for table in self.tables.values()
        )

    def additions(self) -> Tensor | None:
        """The table of parts that read their site's own input, if all are packed and do so."""
        table = self.tables.get(None)
        return table.numbers if table and table.parts.keys() == self.parts.keys() else None

    def sites(self, x: Tensor, y: Tensor, segments: Segments) -> Iterator[SmallRankSite]:
        """What the kernel is to do here: as many sites as sources that some row's part reads."""
        for source, table in self.tables.items():
            if not segments.slots.isdisjoint(table.parts):
                yield _rows(self.inner(source, x, y)), y, table.numbers

    def _enter(self, slot: int, part: PackedPart) -> None:
        none = part.a.data.new_zeros(0, _FIELDS, dtype=torch.int64)
        table = self.tables.setdefault(part.source, Table(none))
        if slot >= len(table.numbers):
            grown = none.new_zeros(2 * slot + 1, _FIELDS)
            grown[: len(table.numbers)] = table.numbers
            table.numbers = grown
        table.parts[slot] = part
        table.numbers[slot] = torch.tensor(part.numbers)


def _packed(
    kernels: SmallRankKernels, part: Part, factors: Factors, source: Hashable
) -> PackedPart:
    a = kernels.pack(factors.a, factors.a_bias)
    b = kernels.pack(factors.b, factors.b_bias)
    activation = NUMBERS[factors.activation or "none"]
    return PackedPart(
        part.kind, part.site, {}, part.options, a=a, b=b, source=source, activation=activation
    )


def _kernels_for(factors: Factors) -> SmallRankKernels | None:
    """The kernels, if they can stand in for these factors."""
    tensors = (factors.a, factors.b, factors.a_bias, factors.b_bias)
    # Autograd must see the parameters of a delta in training, and pairs of inputs need even widths.
    trained = any(tensor is not None and tensor.requires_grad for tensor in tensors)
    if trained or factors.a.shape[1] % 2:
        return None
    return load_kernels(factors.a.dtype, factors.a.device.type)


def _rows(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 else x.contiguous()


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()
