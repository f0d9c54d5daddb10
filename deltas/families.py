"""Families: how each supported architecture lays out its modules, as data.

Adding a family is adding a record to FAMILIES. Paths are relative to a layer unless said
otherwise; a layer's own path is `{layers}.{index}` under the backbone.
"""

from dataclasses import dataclass

from transformers import PreTrainedConfig

from deltas.errors import UnsupportedBase


@dataclass(frozen=True, slots=True)
class Block:
    """A sub-block of a layer: where its output, its residual and its norm are.

    `output` is the module that returns the sub-block's output before the residual sum;
    the residual is positional argument `argument` of module `residual` (`""`: the layer);
    `norm` is the norm behind the sub-block, if any: post-norm architectures apply it to the
    sum, those with sandwich norms to the output alone.
    """

    output: str
    residual: str
    argument: int = 0
    norm: str | None = None


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

    Such layers can be computed without their modules. Paths are relative to the layer, but that of
    the module which makes vectors of tokens and positions, relative to the backbone. The norms are
    in the family's `Block` records.
    """

    attention: tuple[str, str, str] = (
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
    )
    attention_output: str = "attention.output.dense"
    feed_forward: str = "intermediate.dense"
    feed_forward_output: str = "output.dense"
    embeddings: str = "embeddings"


@dataclass(frozen=True, slots=True)
class Family:
    """The layout of one architecture.

    `layers`, `embedding` and `pooler` are paths under the backbone; `attention` is the module
    that calls the attention function. `first_position` is the position id of a sequence's first
    token. `prefixes` are the names under which whole-model checkpoints hold the backbone.
    """

    name: str
    causal: bool
    layers: str
    attention: str
    embedding: str
    after_attention: Block
    after_feed_forward: Block
    prefixes: tuple[str, ...]
    first_position: int = 0
    pooler: str | None = None
    gated: Gated | None = None
    post_norm: PostNorm | None = None


_HEAD_NORMS = ("self_attn.q_norm", "self_attn.k_norm")


def _llama_like(name: str, head_norms: tuple[str, str] | None = None) -> Family:
    return Family(
        name,
        causal=True,
        layers="layers",
        attention="self_attn",
        embedding="embed_tokens",
        after_attention=Block("self_attn", "input_layernorm"),
        after_feed_forward=Block("mlp", "post_attention_layernorm"),
        prefixes=("model",),
        gated=Gated(head_norms=head_norms),
    )


def _bert_like(name: str, first_position: int = 0) -> Family:
    return Family(
        name,
        causal=False,
        layers="encoder.layer",
        attention="attention.self",
        embedding="embeddings.word_embeddings",
        after_attention=Block(
            "attention.output.dropout", "attention.output", 1, "attention.output.LayerNorm"
        ),
        after_feed_forward=Block("output.dropout", "output", 1, "output.LayerNorm"),
        prefixes=(name,),
        first_position=first_position,
        pooler="pooler",
        post_norm=PostNorm(),
    )


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        _llama_like("llama"),
        _llama_like("mistral"),
        _llama_like("qwen2"),
        _llama_like("qwen3", _HEAD_NORMS),
        # Sandwich norms: adapters act before the norm behind a sub-block, as AdapterHub's do.
        Family(
            "gemma3_text",
            causal=True,
            layers="layers",
            attention="self_attn",
            embedding="embed_tokens",
            after_attention=Block("self_attn", "input_layernorm", norm="post_attention_layernorm"),
            after_feed_forward=Block(
                "mlp", "pre_feedforward_layernorm", norm="post_feedforward_layernorm"
            ),
            prefixes=("model",),
            gated=Gated(head_norms=_HEAD_NORMS, norm_offset=1.0),
        ),
        Family(
            "gpt2",
            causal=True,
            layers="h",
            attention="attn",
            embedding="wte",
            after_attention=Block("attn.resid_dropout", "ln_1"),
            after_feed_forward=Block("mlp.dropout", "ln_2"),
            prefixes=("transformer",),
        ),
        _bert_like("bert"),
        # RoBERTa numbers positions from padding_idx + 1.
        _bert_like("roberta", first_position=2),
        Family(
            "distilbert",
            causal=False,
            layers="transformer.layer",
            attention="attention",
            embedding="embeddings.word_embeddings",
            after_attention=Block("attention", "attention", norm="sa_layer_norm"),
            after_feed_forward=Block("ffn.dropout", "ffn", norm="output_layer_norm"),
            prefixes=("distilbert",),
            post_norm=PostNorm(
                attention=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
                attention_output="attention.out_lin",
                feed_forward="ffn.lin1",
                feed_forward_output="ffn.lin2",
            ),
        ),
    )
}


def family_of(config: PreTrainedConfig) -> Family:
    """Return the record of a configuration's architecture.

    Raises UnsupportedBase naming the families there are.
    """
    family = FAMILIES.get(config.model_type)
    if family is None:
        known = ", ".join(sorted(FAMILIES))
        raise UnsupportedBase(
            f"A base of model type '{config.model_type}' cannot be served; choose one of: {known}."
        )
    return family
