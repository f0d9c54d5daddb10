"""The fast path of encoder-decoders: the layers of one of their stacks by native kernels."""

from dataclasses import dataclass

from torch import Tensor, nn

from deltas.base import AFTER_ATTENTION, AFTER_CROSS_ATTENTION, AFTER_FEED_FORWARD
from deltas.families import Block, Stack, Sublayers
from deltas.kernels import Kernels, Recorder
from deltas.positions import Positions
from deltas.view import View
from server.model.attention import view_of
from server.model.batch import Batch
from server.model.cross_attention import NativeCrossAttention
from server.model.layers import KernelLayers, Means, Norm
from server.model.native_attention import Angles
from server.model.projection import Projection


@dataclass(frozen=True)
class Sublayer:
    """A part of a layer: `before` is applied to what it reads, `behind` to the sum with that.

    `site` is where deltas act on its output, before the sum. Attention has a `view`, and `crosses`
    if it looks at sources.
    """

    site: str
    into: Projection
    out: Projection
    before: Norm | None
    behind: Norm | None
    view: View | None
    crosses: bool


class SublayerStack(KernelLayers):
    """Runs a stack's layers over a batch: [T] tokens → [T, hidden] last hidden states.

    `positions` are the vectors of positions that it adds; `cross` attends to sources, if it does.
    """

    def __init__(
        self,
        stack: Stack,
        sublayers: Sublayers,
        means: Means,
        positions: Positions | None,
        cross: NativeCrossAttention | None,
    ) -> None:
        super().__init__(means)
        self._stack = stack
        self._sublayers = sublayers
        self.cross = cross
        self._positions = positions
        self._embedding = self._backbone.get_submodule(stack.embedding)
        module = self._backbone.get_submodule(stack.path)
        self._scale = float(getattr(module, "embed_scale", 1.0))
        self._first_norm = getattr(module, sublayers.first_norm, None)
        last: nn.Module | None = getattr(module, sublayers.last_norm, None)
        self._last_norm = None if last is None else Norm.of(last)
        self._layers = [self._layer(path) for path in means.base.spec.layer_paths_of(stack.rows)]

    def embed(self, batch: Batch) -> Tensor:
        """The rows' vectors [T, hidden], their positions' among them."""
        x: Tensor = self._embedding(batch.tokens[None])[0]
        x = x if self._scale == 1.0 else x * self._scale
        if self._positions is not None:
            x = x + self._positions.table[batch.positions]
        return x if self._first_norm is None else self._first_norm(x)

    def run(self, kernels: Kernels | Recorder, x: Tensor, angles: dict[str, Angles]) -> Tensor:
        """All layers over embedded rows x, which are written into, and the last norm."""
        del angles
        y: Tensor | None = None
        for index, layer in enumerate(self._layers):
            for part in layer:
                rows = x if part.before is None else part.before(kernels, x, y)
                y = part.out(kernels, self._wiring, self._inner(kernels, index, part, rows))
                y = self._deltas_after(part.site, x, y)
                if part.behind is not None:
                    x, y = part.behind(kernels, x, y), None
        return x if self._last_norm is None else self._last_norm(kernels, x, y)

    def _inner(
        self, kernels: Kernels | Recorder, index: int, part: Sublayer, rows: Tensor
    ) -> Tensor:
        """What a part's last projection reads."""
        inner = part.into(kernels, self._wiring, rows)
        if part.view is None:
            gated = len(part.into.sites) > 1
            return (kernels.gate if gated else kernels.activate)(inner, self._activation)
        if part.crosses and self.cross is not None:
            return self.cross.attend_rows(kernels, index, inner, part.view)
        return self._attention.attend_fused(kernels, index, inner, part.view)

    def _layer(self, path: str) -> list[Sublayer]:
        """A layer's parts, in their order."""
        return [self._part(path, name, block) for name, block in self._stack.blocks.items()]

    def _part(self, path: str, name: str, block: Block) -> Sublayer:
        layer = self._backbone.get_submodule(path)
        into, out, attention = self._places(name)
        before = f"{block.residual}.{self._sublayers.norm}".strip(".")
        sites = self.means.base.spec.sites
        return Sublayer(
            site=f"{path}.{name}",
            into=self._projection(path, *(each for each in into if f"{path}.{each}" in sites)),
            out=self._projection(path, out),
            before=None if block.norm else Norm.of(layer.get_submodule(before)),
            behind=Norm.of(layer.get_submodule(block.norm)) if block.norm else None,
            view=None if attention is None else view_of(layer.get_submodule(attention)),
            crosses=name == AFTER_CROSS_ATTENTION,
        )

    def _places(self, name: str) -> tuple[tuple[str, ...], str, str | None]:
        """Where a part's projections are, and its attention if it has one."""
        names, family = self._sublayers, self._family
        if name == AFTER_FEED_FORWARD:
            return names.feed_forward, names.feed_forward_output, None
        if name == AFTER_ATTENTION or family.encoder is None:
            return names.attention, names.attention_output, family.attention
        query, output = names.cross_attention
        return (query,), output, family.encoder.cross_attention
