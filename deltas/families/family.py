"""What an architecture's record says: where things are in its modules, as data.

Paths are relative to a layer unless said otherwise; a layer's own path is `{layers}.{index}` under
the backbone, `model.base_model`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from deltas.site import Rows

AFTER_ATTENTION = "after_attention"
AFTER_CROSS_ATTENTION = "after_cross_attention"
AFTER_FEED_FORWARD = "after_feed_forward"


@dataclass(frozen=True, slots=True)
class Block:
    """A sub-block of a layer: where its output, its residual and its norm are.

    `output` is the module that returns the sub-block's output before the residual sum; the residual
    is positional argument `argument` of module `residual` (`""`: the layer), or of module
    `otherwise` where a base's settings leave that out; `norm` is the norm behind the sub-block, if
    any: post-norm architectures apply it to the sum, those with sandwich norms to the output alone.
    """

    output: str
    residual: str
    argument: int = 0
    norm: str | None = None
    otherwise: str | None = None


@dataclass(frozen=True, slots=True)
class Gated:
    """A decoder layer of RMS norms, rotated heads and a gated feed-forward block.

    Such layers can be computed without their modules. Paths are relative to the layer, those of
    the two head norms to be left out where there are none; `norm_offset` is added to every norm's
    weight. The norms of the blocks themselves are in the family's `Block` records.
    """

    attention: tuple[str, str, str] = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    attention_output: str = "self_attn.o_proj"
    feed_forward: tuple[str, str] = ("mlp.gate_proj", "mlp.up_proj")
    feed_forward_output: str = "mlp.down_proj"
    head_norms: tuple[str, str] | None = None
    norm_offset: float = 0.0


@dataclass(frozen=True, slots=True)
class PostNorm:
    """An encoder layer of attention and a plain feed-forward block, a layer norm behind each sum.

    Such layers can be computed without their modules. Paths are relative to the layer, but those of
    the modules which make vectors of tokens and positions, one after the other, relative to the
    backbone. The norms are in the family's `Block` records.
    """

    attention: tuple[str, str, str] = (
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
    )
    attention_output: str = "attention.output.dense"
    feed_forward: str = "intermediate.dense"
    feed_forward_output: str = "output.dense"
    embeddings: tuple[str, ...] = ("embeddings",)


@dataclass(frozen=True, slots=True)
class HeadLayout:
    """Where a Transformers model with a head keeps it: linear modules in order, what they read.

    Paths are relative to the whole model; `activations` come between the modules, and behind the
    first of them the layer norm at `norm`, if there is one, with its `epsilon`. `pooling` is the
    head kind's. It and the activations may be the configuration's fields that name them.
    """

    modules: tuple[str, ...]
    pooling: str
    activations: tuple[str, ...] = ()
    norm: str | None = None
    epsilon: float = 1e-5


@dataclass(frozen=True, slots=True)
class Asking:
    """An attention module that calls no attention function, and how it is made to.

    `fused` is the projection that holds, for each head of keys, its queries, its key and its value;
    `output` the one behind. Heads gain a `bias` by that name (`deltas/biases.py`), or are rotated.
    """

    fused: str
    output: str
    bias: str | None = None
    adds_residual: bool = False


@dataclass(frozen=True, slots=True)
class Encoder:
    """The stack that reads a source, and how the family's own layers, a decoder's, look at that.

    Its layers are like the decoder's but for `after_feed_forward`, where that is given. Within a
    layer of the decoder `cross_attention` is the module that looks at the source; `keys` are its
    projections to keys and values. `positions`, under both stacks, makes vectors of positions.
    """

    after_cross_attention: Block
    layers: str = "encoder.layers"
    embedding: str = "encoder.embed_tokens"
    cross_attention: str = "encoder_attn"
    keys: tuple[str, str] = ("k_proj", "v_proj")
    after_feed_forward: Block | None = None
    positions: str | None = "embed_positions"


@dataclass(frozen=True, slots=True)
class Stack:
    """One list of layers, which computes these rows; `blocks` are a layer's by their names."""

    rows: Rows
    layers: str
    embedding: str
    blocks: Mapping[str, Block]

    @property
    def path(self) -> str:
        """Where the module is that holds the layers, under the backbone."""
        return self.layers.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Family:
    """The layout of one architecture.

    `layers`, `embedding` and `pooler` are paths under the backbone, of the layers one with a `*`
    where they are in several lists; `attention` is the module
    that calls the attention function, or that is made to as `asking` says, and `key_heads` its
    attribute that counts the heads of keys where the configuration does not. An encoder of another
    sort has no `attention`: its sequences are computed one by one. `first_position` is the
    position id of a sequence's first token. `prefixes` are the names under which whole-model
    checkpoints hold the backbone.
    `classifier` and `tagger` are the layouts of heads over a whole text and over its tokens; None
    where Transformers has no class for that. Where there is an `encoder`, all else is said of the
    decoder.
    """

    name: str
    causal: bool
    layers: str
    attention: str | None
    embedding: str
    after_attention: Block
    after_feed_forward: Block
    prefixes: tuple[str, ...]
    first_position: int = 0
    asking: Asking | None = None
    key_heads: str | None = None
    pooler: str | None = None
    classifier: HeadLayout | None = None
    tagger: HeadLayout | None = None
    gated: Gated | None = None
    post_norm: PostNorm | None = None
    encoder: Encoder | None = None

    @property
    def heads(self) -> tuple[HeadLayout, ...]:
        """The layouts of heads that there are."""
        return tuple(layout for layout in (self.classifier, self.tagger) if layout is not None)

    def kept(self, layout: HeadLayout) -> list[str]:
        """The modules that a training must keep whole for a head, by their first names."""
        norm = () if layout.norm is None else (layout.norm,)
        ours = tuple(f"{prefix}." for prefix in self.prefixes)
        paths = [*layout.modules, *norm]
        for prefix in ours:
            paths = [path.removeprefix(prefix) for path in paths]
        return sorted({path.partition(".")[0] for path in paths})

    @property
    def stacks(self) -> tuple[Stack, ...]:
        """The lists of layers, in the order in which they compute."""
        first = {AFTER_ATTENTION: self.after_attention}
        last = {AFTER_FEED_FORWARD: self.after_feed_forward}
        reader = self.encoder
        if reader is None:
            return (Stack(Rows.OWN, self.layers, self.embedding, first | last),)
        across = {AFTER_CROSS_ATTENTION: reader.after_cross_attention}
        ends = {AFTER_FEED_FORWARD: reader.after_feed_forward or self.after_feed_forward}
        return (
            Stack(Rows.SOURCE, reader.layers, reader.embedding, first | ends),
            Stack(Rows.OWN, self.layers, self.embedding, first | across | last),
        )
