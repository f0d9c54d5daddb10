"""The fast path of encoders whose layer norms come last: their layers by native kernels."""

from dataclasses import dataclass

from torch import Tensor

from deltas.base import AFTER_ATTENTION, AFTER_FEED_FORWARD
from deltas.families import PostNorm
from deltas.kernels import Kernels, Recorder
from deltas.view import View
from server.model.attention import view_of
from server.model.batch import Batch, types_of
from server.model.layers import KernelLayers, Means, Norm
from server.model.native_attention import Angles
from server.model.projection import Projection


@dataclass(frozen=True)
class Half:
    """Half a layer: `norm` is applied to the sum of what it reads and what it says.

    `site` is where deltas act on its output, before the sum.
    """

    site: str
    into: Projection
    out: Projection
    norm: Norm


@dataclass(frozen=True)
class Layer:
    """One layer: attention, then feed-forward."""

    attention: Half
    feed_forward: Half
    view: View


class PostNormEncoder(KernelLayers):
    """Runs an encoder's layers over a batch: [T] tokens → [T, hidden] last hidden states."""

    def __init__(self, post_norm: PostNorm, means: Means) -> None:
        super().__init__(means)
        self._post_norm = post_norm
        # Some have what widens the vectors only where these are narrower than the layers.
        self._embeddings, *self._widening = (
            self._backbone.get_submodule(path)
            for path in post_norm.embeddings
            if hasattr(self._backbone, path)
        )
        self._layers = [self._layer(path) for path in means.base.spec.layer_paths]

    def embed(self, batch: Batch) -> Tensor:
        """The rows' vectors [T, hidden], their positions' among them."""
        x = self._embeddings(
            input_ids=batch.tokens[None], position_ids=batch.positions[None], **types_of(batch)
        )
        for module in self._widening:
            x = module(x)
        return x[0]

    def run(self, kernels: Kernels | Recorder, x: Tensor, angles: dict[str, Angles]) -> Tensor:
        """All layers over embedded rows x, which are written into."""
        del angles
        for index, layer in enumerate(self._layers):
            fused = layer.attention.into(kernels, self._wiring, x)
            inner = self._attention.attend_fused(kernels, index, fused, layer.view)
            x = self._end(kernels, layer.attention, x, inner)
            inner = layer.feed_forward.into(kernels, self._wiring, x)
            inner = kernels.activate(inner, self._activation)
            x = self._end(kernels, layer.feed_forward, x, inner)
        return x

    def _end(self, kernels: Kernels | Recorder, half: Half, x: Tensor, inner: Tensor) -> Tensor:
        y = half.out(kernels, self._wiring, inner)
        return half.norm(kernels, x, self._deltas_after(half.site, x, y))

    def _layer(self, path: str) -> Layer:
        layer = self._backbone.get_submodule(path)
        post_norm, family = self._post_norm, self._family
        return Layer(
            attention=Half(
                site=f"{path}.{AFTER_ATTENTION}",
                into=self._projection(path, *post_norm.attention),
                out=self._projection(path, post_norm.attention_output),
                norm=Norm.of(layer.get_submodule(str(family.after_attention.norm))),
            ),
            feed_forward=Half(
                site=f"{path}.{AFTER_FEED_FORWARD}",
                into=self._projection(path, post_norm.feed_forward),
                out=self._projection(path, post_norm.feed_forward_output),
                norm=Norm.of(layer.get_submodule(str(family.after_feed_forward.norm))),
            ),
            view=view_of(layer.get_submodule(str(family.attention))),
        )
