"""The fast path of layers that read through norms: by native kernels instead of their modules."""

import inspect
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deltas.base import AFTER_ATTENTION, AFTER_FEED_FORWARD
from deltas.families import PreNorm
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

    `norm`, if there is one, is applied to the residual stream, `after` to the half's output where
    the base has it; `site` is where deltas act on that output.
    """

    site: str
    norm: Norm | None
    into: Projection
    out: Projection
    after: Norm | None


@dataclass(frozen=True)
class Layer:
    """One layer: attention, then feed-forward, which reads `one_norm` with it or its own.

    Layers of one `turn` rotate heads alike, one without rotates none.
    """

    attention: Half
    feed_forward: Half
    one_norm: bool
    view: View
    turn: str | None
    head_norms: tuple[Norm, Norm] | None


class PreNormLayers(KernelLayers):
    """Runs a base's layers over a batch: [T] tokens → [T, hidden] last hidden states."""

    def __init__(self, pre_norm: PreNorm, means: Means) -> None:
        super().__init__(means)
        self._pre_norm = pre_norm
        self._rotary: nn.Module | None = getattr(self._backbone, "rotary_emb", None)
        self._embedding = self._backbone.get_submodule(self._family.embedding)
        self._positions = self._maybe(pre_norm.positions)
        self._embedding_norm = self._maybe(pre_norm.embedding_norm)
        self._norm = Norm.of(self._backbone.get_submodule(pre_norm.last_norm), pre_norm.norm_offset)
        config = means.base.model.config
        settings = (getattr(config, name, False) for name in pre_norm.parallel_by)
        self._parallel = pre_norm.parallel or any(settings)
        self._layers = [self._layer(path) for path in means.base.spec.layer_paths]

    def embed(self, batch: Batch) -> Tensor:
        """The rows' vectors [T, hidden], their positions' among them."""
        x: Tensor = self._embedding(batch.tokens[None])[0]
        if self._positions is not None:
            x = x + self._positions(batch.positions)
        return x if self._embedding_norm is None else self._embedding_norm(x)

    def run(self, kernels: Kernels | Recorder, x: Tensor, angles: dict[str, Angles]) -> Tensor:
        """All layers over embedded rows x, which are written into, and the last norm."""
        y: Tensor | None = None
        for index, layer in enumerate(self._layers):
            rows = _read(kernels, layer.attention, x, y)
            y = self._attend(kernels, index, layer, x, rows, angles)
            if self._parallel:
                if not layer.one_norm:
                    rows = _read(kernels, layer.feed_forward, x, None)
                y = kernels.add(y, self._feed_forward(kernels, layer.feed_forward, x, rows))
            else:
                rows = _read(kernels, layer.feed_forward, x, y)
                y = self._feed_forward(kernels, layer.feed_forward, x, rows)
        return self._norm(kernels, x, y)

    def angles(self, batch: Batch) -> dict[str, Angles]:
        """Cosines and sines of the rows' positions, for each sort of layer."""
        found: dict[str, Angles] = {}
        rotary, plain = self._rotary, torch.empty(0, dtype=torch.float32)
        if rotary is None:
            return found
        for turn in {layer.turn for layer in self._layers if layer.turn is not None}:
            named = (turn,) if turn else ()
            cosine, sine = rotary(plain, batch.positions[None], *named)
            found[turn] = cosine[0].contiguous(), sine[0].contiguous()
        return found

    def _attend(
        self,
        kernels: Kernels | Recorder,
        index: int,
        layer: Layer,
        x: Tensor,
        rows: Tensor,
        angles: dict[str, Angles],
    ) -> Tensor:
        fused = layer.attention.into(kernels, self._wiring, rows)
        if self._pre_norm.grouped:
            fused = kernels.ungroup(fused, self._attention.heads)
        norms, epsilon = (None, None), 0.0
        if layer.head_norms is not None:
            query, key = layer.head_norms
            norms, epsilon = (query.weight, key.weight), query.epsilon
        turned = None if layer.turn is None else angles[layer.turn]
        inner = self._attention.attend_fused(
            kernels, index, fused, layer.view, turned, norms, epsilon,
            neighbours=self._pre_norm.neighbours,
        )  # fmt: skip
        return self._end(kernels, layer.attention, x, inner)

    def _feed_forward(
        self, kernels: Kernels | Recorder, half: Half, x: Tensor, rows: Tensor
    ) -> Tensor:
        inner = half.into(kernels, self._wiring, rows)
        act = kernels.gate if self._pre_norm.gated else kernels.activate
        return self._end(kernels, half, x, act(inner, self._activation))

    def _end(self, kernels: Kernels | Recorder, half: Half, x: Tensor, inner: Tensor) -> Tensor:
        """A half's output, which the next norm adds to the residual stream x."""
        y = self._deltas_after(half.site, x, half.out(kernels, self._wiring, inner))
        return y if half.after is None else half.after(kernels, y)

    def _layer(self, path: str) -> Layer:
        layer = self._backbone.get_submodule(path)
        names, family = self._pre_norm, self._family
        attention = layer.get_submodule(str(family.attention))
        view = view_of(attention)
        first = _first(layer, names.attention_norms) or family.after_attention.residual
        second = _first(layer, names.feed_forward_norms) or family.after_feed_forward.residual
        head_norms = None
        if names.head_norms is not None:
            query, key = (
                Norm.of(layer.get_submodule(each), names.norm_offset) for each in names.head_norms
            )
            head_norms = query, key
        return Layer(
            attention=Half(
                site=f"{path}.{AFTER_ATTENTION}",
                norm=self._norm_at(layer, first),
                into=self._projection(path, *names.attention),
                out=self._projection(path, names.attention_output),
                after=self._norm_at(layer, family.after_attention.norm),
            ),
            feed_forward=Half(
                site=f"{path}.{AFTER_FEED_FORWARD}",
                norm=self._norm_at(layer, second),
                into=self._projection(path, *names.feed_forward),
                out=self._projection(path, names.feed_forward_output),
                after=self._norm_at(layer, family.after_feed_forward.norm),
            ),
            one_norm=first == second,
            view=view,
            turn=self._turn(layer, attention, view),
            head_norms=head_norms,
        )

    def _turn(self, layer: nn.Module, attention: nn.Module, view: View) -> str | None:
        """How a layer rotates heads: by its sort, where that makes a difference."""
        says = self._pre_norm.rotates
        if (
            self._rotary is None
            or view.bias is not None
            or (says and not getattr(attention, says, None))
        ):
            return None
        if "layer_type" not in inspect.signature(self._rotary.forward).parameters:
            return ""
        return str(getattr(attention, "layer_type", getattr(layer, "attention_type", "")))

    def _norm_at(self, layer: nn.Module, name: str | None) -> Norm | None:
        module = None if name is None else layer.get_submodule(name)
        if module is None or isinstance(module, nn.Identity):
            return None
        return Norm.of(module, self._pre_norm.norm_offset)

    def _maybe(self, path: str | None) -> nn.Module | None:
        return None if path is None else self._backbone.get_submodule(path)


def _read(kernels: Kernels | Recorder, half: Half, x: Tensor, y: Tensor | None) -> Tensor:
    """What half a layer reads of the residual stream x, to which y is added first."""
    return x if half.norm is None else half.norm(kernels, x, y)


def _first(layer: nn.Module, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if hasattr(layer, name)), None)
