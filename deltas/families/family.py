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
class PreNorm:
    """A layer that reads what it adds to through norms: attention and a feed-forward block.

    Such layers can be computed without their modules. Paths are relative to the layer, those of the
    norm behind the last layer, of the table of positions and of the norm of embedded rows to the
    backbone. A single projection of attention holds queries, keys and values, those of each head of
    keys together where it is `grouped`; a single one of feed-forward holds a gate and then what is
    `gated`, or there is no gate. Norms of blocks are those that read their residual by the family's
    `Block` records, or the first of these that a base has; one of nothing is left out. Both blocks
    read the same residual if they are `parallel`, or if a setting says so. `head_norms` are to be
    left out where there are none, `norm_offset` is added to every norm's weight. Heads are rotated
    where a base has a `rotary_emb`, no biases, and an attention that says so by an attribute, where
    one is named; `neighbours` are rotated together, else halves. An `activation` is named where the
    configuration names none.
    """

    attention: tuple[str, ...] = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    attention_output: str = "self_attn.o_proj"
    attention_norms: tuple[str, ...] = ()
    grouped: bool = False
    feed_forward: tuple[str, ...] = ("mlp.gate_proj", "mlp.up_proj")
    feed_forward_output: str = "mlp.down_proj"
    feed_forward_norms: tuple[str, ...] = ()
    gated: bool = True
    activation: str | None = None
    parallel: bool = False
    parallel_by: tuple[str, ...] = ()
    head_norms: tuple[str, str] | None = None
    norm_offset: float = 0.0
    last_norm: str = "norm"
    rotates: str | None = None
    neighbours: bool = False
    positions: str | None = None
    embedding_norm: str | None = None


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
class Sublayers:
    """A layer of an encoder-decoder: attention, perhaps cross-attention, and feed-forward.

    Such layers can be computed without their modules (Vaswani et al., 2017, arXiv:1706.03762). Each
    has a norm behind its sum where the family's `Block` record names one, else before it: the
    module whose input is the residual, or `norm` within that. Paths are relative to the layer, but
    those of the norms before the first layer and behind the last to the stack. Of
    `feed_forward`, `first_norm` and `last_norm` what a base has not is left out; of two projections
    the first is the gate. `cross_attention` are those of queries and of the output.
    """

    attention: tuple[str, str, str] = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    attention_output: str = "self_attn.out_proj"
    cross_attention: tuple[str, str] = ("encoder_attn.q_proj", "encoder_attn.out_proj")
    feed_forward: tuple[str, ...] = ("fc1",)
    feed_forward_output: str = "fc2"
    norm: str = ""
    first_norm: str = "layernorm_embedding"
    last_norm: str = "layer_norm"


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

    Its layers are like the decoder's but for `after_feed_forward` and `sublayers`, where these are
    given. Within a layer of the decoder `cross_attention` is the module that looks at the source;
    `keys` are its projections to keys and values. `positions`, under both stacks, makes vectors of
    positions.
    """

    after_cross_attention: Block
    layers: str = "encoder.layers"
    embedding: str = "encoder.embed_tokens"
    cross_attention: str = "encoder_attn"
    keys: tuple[str, str] = ("k_proj", "v_proj")
    after_feed_forward: Block | None = None
    sublayers: Sublayers | None = None
    positions: str | None = "embed_positions"


@dataclass(frozen=True, slots=True)
class Stack:
    """One list of layers, which computes these rows; `blocks` are a layer's by their names."""

    rows: Rows
    layers: str
    embedding: str
    blocks: Mapping[str, Block]
    sublayers: Sublayers | None = None

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
    Where the backbone is the language model of a whole that reads more than text, `beside` are the
    paths of the whole's other modules, which no text passes.
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
    beside: tuple[str, ...] = ()
    first_position: int = 0
    asking: Asking | None = None
    key_heads: str | None = None
    pooler: str | None = None
    classifier: HeadLayout | None = None
    tagger: HeadLayout | None = None
    pre_norm: PreNorm | None = None
    post_norm: PostNorm | None = None
    sublayers: Sublayers | None = None
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
            Stack(
                Rows.SOURCE,
                reader.layers,
                reader.embedding,
                first | ends,
                reader.sublayers or self.sublayers,
            ),
            Stack(Rows.OWN, self.layers, self.embedding, first | across | last, self.sublayers),
        )
