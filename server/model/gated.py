"""The fast path of gated decoders: their layers by native kernels instead of their modules."""

import inspect
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deltas.base import AFTER_ATTENTION, AFTER_FEED_FORWARD
from deltas.families import Gated
from deltas.kernels import Kernels, Recorder
from deltas.view import View
from server.model.attention import view_of
from server.model.batch import Batch
from server.model.layers import KernelLayers, Means, Norm
from server.model.native_attention import Angles
from server.model.projection import Projection


@dataclass(frozen=True)
class Half:
    """Half a layer: what comes before its last projection is the half's own.

    `norm` is applied to the residual stream, `after` to the half's output where the base has it;
    `site` is where deltas act on that output.
    """

    site: str
    norm: Norm
    into: Projection
    out: Projection
    after: Norm | None


@dataclass(frozen=True)
class Layer:
    """One layer: attention, then feed-forward."""

    attention: Half
    feed_forward: Half
    view: View
    turn: str
    head_norms: tuple[Norm, Norm] | None


class GatedDecoder(KernelLayers):
    """Runs a decoder's layers over a batch: [T] tokens → [T, hidden] last hidden states."""

    def __init__(self, gated: Gated, means: Means) -> None:
        super().__init__(means)
        self._gated = gated
        self._rotary = self._backbone.get_submodule("rotary_emb")
        self._embedding = self._backbone.get_submodule(self._family.embedding)
        self._norm = Norm.of(self._backbone.get_submodule("norm"), gated.norm_offset)
        self._layers = [self._layer(path) for path in means.base.spec.layer_paths]

    def embed(self, batch: Batch) -> Tensor:
        """The rows' vectors [T, hidden]."""
        return self._embedding(batch.tokens[None])[0]

    def run(self, kernels: Kernels | Recorder, x: Tensor, angles: dict[str, Angles]) -> Tensor:
        """All layers over embedded rows x, which are written into, and the last norm."""
        y: Tensor | None = None
        for index, layer in enumerate(self._layers):
            y = self._attend(kernels, index, layer, x, y, angles[layer.turn])
            y = self._feed_forward(kernels, layer.feed_forward, x, y)
        return self._norm(kernels, x, y)

    def _attend(
        self,
        kernels: Kernels | Recorder,
        index: int,
        layer: Layer,
        x: Tensor,
        y: Tensor | None,
        angles: Angles,
    ) -> Tensor:
        half = layer.attention
        rows = half.norm(kernels, x, y)
        fused = half.into(kernels, self._wiring, rows)
        norms, epsilon = (None, None), 0.0
        if layer.head_norms is not None:
            query, key = layer.head_norms
            norms, epsilon = (query.weight, key.weight), query.epsilon
        inner = self._attention.attend_fused(
            kernels, index, fused, layer.view, angles, norms, epsilon
        )
        return self._end(kernels, half, x, inner)

    def _feed_forward(
        self, kernels: Kernels | Recorder, half: Half, x: Tensor, y: Tensor
    ) -> Tensor:
        rows = half.norm(kernels, x, y)
        inner = kernels.gate(half.into(kernels, self._wiring, rows), self._activation)
        return self._end(kernels, half, x, inner)

    def _end(self, kernels: Kernels | Recorder, half: Half, x: Tensor, inner: Tensor) -> Tensor:
        """A half's output, which the next norm adds to the residual stream x."""
        y = self._deltas_after(half.site, x, half.out(kernels, self._wiring, inner))
        return y if half.after is None else half.after(kernels, y)

    def angles(self, batch: Batch) -> dict[str, Angles]:
        """Cosines and sines of the rows' positions, for each sort of layer."""
        found: dict[str, Angles] = {}
        plain = torch.empty(0, dtype=torch.float32)
        for turn in {layer.turn for layer in self._layers}:
            named = (turn,) if turn else ()
            cosine, sine = self._rotary(plain, batch.positions[None], *named)
            found[turn] = cosine[0].contiguous(), sine[0].contiguous()
        return found

    def _layer(self, path: str) -> Layer:
        layer = self._backbone.get_submodule(path)
        gated, family = self._gated, self._family
        head_norms = None
        if gated.head_norms is not None:
            query, key = (self._norm_at(layer, name) for name in gated.head_norms)
            head_norms = query, key
        attention = layer.get_submodule(str(family.attention))
        typed = "layer_type" in inspect.signature(self._rotary.forward).parameters
        return Layer(
            attention=Half(
                site=f"{path}.{AFTER_ATTENTION}",
                norm=self._norm_at(layer, family.after_attention.residual),
                into=self._projection(path, *gated.attention),
                out=self._projection(path, gated.attention_output),
                after=self._maybe_norm(layer, family.after_attention.norm),
            ),
            feed_forward=Half(
                site=f"{path}.{AFTER_FEED_FORWARD}",
                norm=self._norm_at(layer, family.after_feed_forward.residual),
                into=self._projection(path, *gated.feed_forward),
                out=self._projection(path, gated.feed_forward_output),
                after=self._maybe_norm(layer, family.after_feed_forward.norm),
            ),
            view=view_of(attention),
            turn=str(getattr(attention, "layer_type", "")) if typed else "",
            head_norms=head_norms,
        )

    def _norm_at(self, layer: nn.Module, name: str) -> Norm:
        return Norm.of(layer.get_submodule(name), self._gated.norm_offset)

    def _maybe_norm(self, layer: nn.Module, name: str | None) -> Norm | None:
        return None if name is None else self._norm_at(layer, name)
