"""Small-rank banks: changes that are a product of two narrow matrices, for all rows at once."""

from abc import abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from deltas.activations import ACTIVATIONS
from deltas.bank import RowBank, Work
from deltas.delta import Part
from deltas.errors import InvalidDelta
from deltas.kernels import SmallRankKernels, load_kernels
from deltas.kernels.library import ACTIVATIONS as NUMBERS
from deltas.kernels.library import MAX_RANK, Packed, SmallRankSite
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


@dataclass
class Table:
    """One source's parts as the kernel reads them; `packed` keeps what it points at."""

    numbers: Tensor
    packed: dict[int, tuple[Packed, Packed]] = field(
        default_factory=dict[int, tuple[Packed, Packed]]
    )


@dataclass
class SmallRankBank(RowBank):
    """A bank whose parts are factors of what `inner` says.

    Where the kernels are at hand all runs are one call of theirs; elsewhere, and wherever gradients
    are wanted, each run is computed by plain PyTorch.
    """

    tables: dict[Hashable, Table] = field(default_factory=dict[Hashable, Table])

    @abstractmethod
    def factors(self, part: Part) -> Factors:
        """A part's tensors under their common names."""

    def source(self, part: Part) -> Hashable:
        """Which of the `inner` values a part reads; parts of one source are computed together."""
        del part
        return None

    def inner(self, source: Hashable, x: Tensor, y: Tensor) -> Tensor:
        """What the parts of one source read: their site's input, unless a kind says otherwise."""
        del source, y
        return x

    def put(self, slot: int, part: Part) -> None:
        """Make a part resident, and packed where the kernels are at hand.

        Raises InvalidDelta if its factors do not fit the place: kernels check nothing.
        """
        self.drop(slot)
        factors = self.factors(part)
        if not factors.fit(self.place.site):
            raise InvalidDelta(f"{part.kind} at '{part.site}' does not fit its site.")
        super().put(slot, part)
        kernels = _kernels_for(factors)
        if kernels is not None:
            self._pack(kernels, slot, self.source(part), factors)

    def drop(self, slot: int) -> None:
        """Forget a slot's part."""
        super().drop(slot)
        for source, table in list(self.tables.items()):
            if table.packed.pop(slot, None) is not None:
                table.numbers[slot] = 0
            if not table.packed:
                del self.tables[source]

    def change(self, part: Part, x: Tensor, y: Tensor) -> Tensor:
        """Return the changed output for rows of one slot."""
        return y + self.factors(part)(self.inner(self.source(part), x, y)).to(y.dtype)

    def apply(self, x: Tensor, y: Tensor, segments: Segments) -> Tensor:
        """Change the rows of each resident slot."""
        return self.apply_all([Work(self, x, y)], segments)[0]

    @classmethod
    def apply_all(cls, work: Sequence[Work], segments: Segments) -> list[Tensor]:
        """Change all sites' rows in one call where the kernels are at hand."""
        y = work[0].y
        kernels = None if torch.is_grad_enabled() else load_kernels(y.dtype, y.device.type)
        sites: list[SmallRankSite] = []
        for one in work:
            bank = cast("SmallRankBank", one.bank)
            if kernels is None or not bank.tables:
                return [RowBank.apply(cast("RowBank", w.bank), w.x, w.y, segments) for w in work]
            sites.extend(bank.sites(one.x, one.y, segments))
        if kernels is not None and sites:
            kernels.small_rank(sites, segments.table)
        return [one.y for one in work]

    def sites(self, x: Tensor, y: Tensor, segments: Segments) -> Iterator[SmallRankSite]:
        """What the kernel is to do here: as many sites as sources that some row's part reads."""
        for source, table in self.tables.items():
            if not segments.slots.isdisjoint(table.packed):
                yield _rows(self.inner(source, x, y)), y, table.numbers

    def _pack(
        self, kernels: SmallRankKernels, slot: int, source: Hashable, factors: Factors
    ) -> None:
        a = kernels.pack(factors.a, factors.a_bias)
        b = kernels.pack(factors.b, factors.b_bias)
        none = a.data.new_zeros(0, _FIELDS, dtype=torch.int64)
        table = self.tables.setdefault(source, Table(none))
        if slot >= len(table.numbers):
            grown = none.new_zeros(2 * slot, _FIELDS)
            grown[: len(table.numbers)] = table.numbers
            table.numbers = grown
        table.packed[slot] = a, b
        pointers = [a.data.data_ptr(), b.data.data_ptr(), _address(a.bias), _address(b.bias)]
        numbers = [*pointers, a.outputs, NUMBERS[factors.activation or "none"]]
        table.numbers[slot] = torch.tensor(numbers)


def _kernels_for(factors: Factors) -> SmallRankKernels | None:
    """The kernels, if they can stand in for these factors."""
    # Autograd must see the parameters of a delta in training, and pairs of inputs need even widths.
    if factors.a.requires_grad or factors.a.shape[1] % 2:
        return None
    return load_kernels(factors.a.dtype, factors.a.device.type)


def _rows(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 else x.contiguous()


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()
