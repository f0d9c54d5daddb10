"""Banks: all resident tensors of one kind at one site."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from deltas.delta import Part
from deltas.kernels.backend import SmallRank
from deltas.segments import Segments
from deltas.site import Role, Site


@dataclass(frozen=True, slots=True)
class Place:
    """A site in a live model.

    `module` is the site's own module; for a BLOCK `norm` is the norm behind the sub-block,
    if any, and `share` what its output is multiplied by where the residual is added; for the
    HEAD `module` is the base's own pooler, if any.
    """

    site: Site
    module: nn.Module | None
    norm: nn.Module | None = None
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Work:
    """What one bank is to change in a step: output y [rows, outputs], given input x."""

    bank: "Bank"
    x: Tensor
    y: Tensor


@dataclass
class Bank:
    """The parts resident at one place, by slot.

    Subclasses override what their kind changes. Every method gets the packed batch flattened to
    [rows, features] and must leave the rows of other slots as they are.
    """

    place: Place
    parts: dict[int, Part] = field(default_factory=dict[int, Part])

    @classmethod
    def ready(cls, part: Part, site: Site) -> Part:
        """Make of a part, on the base's device, what acts fastest at a site; on any thread."""
        del site
        return part

    def put(self, slot: int, part: Part) -> None:
        """Make a part resident; its tensors are on the base's device already."""
        self.parts[slot] = part

    def drop(self, slot: int) -> None:
        """Forget a slot's part."""
        self.parts.pop(slot, None)

    def before(self, x: Tensor, segments: Segments) -> Tensor:
        """Change a site's input [rows, inputs] before the base computes."""
        del segments
        return x

    def apply(self, x: Tensor, y: Tensor, segments: Segments) -> Tensor:
        """Change a site's output y [rows, outputs], given its input x; may write into y."""
        del x, segments
        return y

    @classmethod
    def apply_all(
        cls, work: Sequence[Work], segments: Segments, kernels: SmallRank | None
    ) -> list[Tensor]:
        """Change the outputs of sites that are computed together, all their banks being alike."""
        del kernels
        return [one.bank.apply(one.x, one.y, segments) for one in work]

    def recordable(self, slot: int) -> bool:
        """Whether a slot's part does nothing within layers but call kernels, which is recorded."""
        del slot
        return self.place.site.role not in (Role.LINEAR, Role.BLOCK)

    def layout(self, slots: frozenset[int]) -> Hashable:
        """What the calls of kernels for these slots depend on, once they were recorded."""
        del slots
        return None

    def additions(self) -> Tensor | None:
        """The parts by slot as kernels read them, or None.

        They must do nothing but add to their site's output a small-rank product of its input.
        """
        return None

    def key_values(self, slot: int) -> tuple[Tensor, Tensor] | None:
        """Keys and values [tokens, heads, width] placed before a slot's own."""
        del slot
        return None

    def scores(self, slot: int, hidden: Tensor) -> Tensor | None:
        """A slot's answer to one sequence's last hidden states [rows, hidden]."""
        del slot, hidden
        return None


class RowBank(Bank, ABC):
    """A bank whose change to a row depends on that row alone."""

    @abstractmethod
    def change(self, part: Part, x: Tensor, y: Tensor) -> Tensor:
        """Return the changed output for rows of one slot: x [n, inputs], y [n, outputs]."""

    def apply(self, x: Tensor, y: Tensor, segments: Segments) -> Tensor:
        """Change the rows of each resident slot."""
        for run in segments.runs:
            part = self.parts.get(run.slot)
            if part is None:
                continue
            rows = slice(run.start, run.end)
            changed = self.change(part, x[rows], y[rows])
            if run.end - run.start == len(y):
                # Nothing else shares the batch: no write, which also keeps autograd's graph plain.
                return changed
            y[rows] = changed
        return y
