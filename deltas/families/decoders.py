"""The records of decoders."""

from dataclasses import replace

from deltas.families.family import Asking, Block, Family, Gated, HeadLayout

_HEAD_NORMS = ("self_attn.q_norm", "self_attn.k_norm")
_SCORE_OF_TEXT, _SCORE_OF_TOKENS = HeadLayout(("score",), "last"), HeadLayout(("score",), "all")
_CLASSIFIER_OF_TOKENS = HeadLayout(("classifier",), "all")

_LLAMA = Family(
    "llama",
    causal=True,
    layers="layers",
    attention="self_attn",
    embedding="embed_tokens",
    after_attention=Block("self_attn", "input_layernorm"),
    after_feed_forward=Block("mlp", "post_attention_layernorm"),
    prefixes=("model",),
    classifier=_SCORE_OF_TEXT,
    tagger=_SCORE_OF_TOKENS,
    gated=Gated(),
)

# A norm behind each sub-block and none before: the residual is what the sub-block reads.
_NORM_BEHIND = replace(
    _LLAMA,
    after_attention=Block("self_attn", "", norm="post_attention_layernorm"),
    after_feed_forward=Block("mlp", "mlp", norm="post_feedforward_layernorm"),
    gated=None,
)

# Both sub-blocks read one norm, and their outputs are added to one residual.
_PARALLEL = replace(_LLAMA, after_feed_forward=Block("mlp", "input_layernorm"), gated=None)

# Sandwich norms: adapters act before the norm behind a sub-block, as AdapterHub's do.
_SANDWICHED = replace(
    _LLAMA,
    after_attention=Block("self_attn", "input_layernorm", norm="post_attention_layernorm"),
    after_feed_forward=Block("mlp", "pre_feedforward_layernorm", norm="post_feedforward_layernorm"),
    gated=Gated(norm_offset=1.0),
)

_GPT2 = Family(
    "gpt2",
    causal=True,
    layers="h",
    attention="attn",
    embedding="wte",
    after_attention=Block("attn.resid_dropout", "ln_1"),
    after_feed_forward=Block("mlp.dropout", "ln_2"),
    prefixes=("transformer",),
    classifier=_SCORE_OF_TEXT,
    tagger=_CLASSIFIER_OF_TOKENS,
)

_PRE_NORM_GATED = ("llama", "mistral", "qwen2")

# Pre-norm like Llama's, but something in their layers is not what the fast path computes.
_PRE_NORM = (
    "arcee",
    "ernie4_5",
    "glm",
    "gpt_oss",
    "granite",
    "helium",
    "mixtral",
    "nemotron",
    "olmo",
    "olmoe",
    "phi3",
    "qwen2_moe",
    "qwen3_moe",
    "seed_oss",
    "smollm3",
    "starcoder2",
)

DECODERS = (
    *(replace(_LLAMA, name=name) for name in _PRE_NORM_GATED),
    replace(_LLAMA, name="qwen3", gated=Gated(head_norms=_HEAD_NORMS)),
    replace(_LLAMA, name="gemma", gated=Gated(norm_offset=1.0)),
    replace(_SANDWICHED, name="gemma2"),
    replace(_SANDWICHED, name="gemma3_text", gated=Gated(head_norms=_HEAD_NORMS, norm_offset=1.0)),
    *(replace(_LLAMA, name=name, gated=None) for name in _PRE_NORM),
    replace(
        _LLAMA,
        name="apertus",
        after_attention=Block("self_attn", "attention_layernorm"),
        after_feed_forward=Block("mlp", "feedforward_layernorm"),
        gated=None,
    ),
    replace(
        _LLAMA,
        name="granitemoe",
        after_feed_forward=Block("block_sparse_moe", "post_attention_layernorm"),
        gated=None,
    ),
    replace(
        _SANDWICHED,
        name="glm4",
        after_attention=Block("self_attn", "input_layernorm", norm="post_self_attn_layernorm"),
        after_feed_forward=Block("mlp", "post_attention_layernorm", norm="post_mlp_layernorm"),
        gated=None,
    ),
    *(replace(_NORM_BEHIND, name=name) for name in ("exaone4", "olmo2", "olmo3")),
    *(replace(_PARALLEL, name=name) for name in ("cohere", "cohere2", "phi")),
    replace(
        _LLAMA,
        name="stablelm",
        after_feed_forward=Block("mlp", "post_attention_layernorm", otherwise="input_layernorm"),
        gated=None,
    ),
    replace(
        _LLAMA,
        name="opt",
        layers="decoder.layers",
        embedding="decoder.embed_tokens",
        after_attention=Block("self_attn", "self_attn_layer_norm"),
        after_feed_forward=Block("fc2", "final_layer_norm"),
        gated=None,
    ),
    Family(
        "gpt_neox",
        causal=True,
        layers="layers",
        attention="attention",
        embedding="embed_in",
        after_attention=Block("post_attention_dropout", "input_layernorm"),
        after_feed_forward=Block("post_mlp_dropout", "post_attention_layernorm"),
        prefixes=("gpt_neox",),
        classifier=_SCORE_OF_TEXT,
        tagger=_CLASSIFIER_OF_TOKENS,
    ),
    Family(
        "bloom",
        causal=True,
        layers="h",
        attention="self_attention",
        embedding="word_embeddings",
        after_attention=Block("self_attention.dense", ""),
        after_feed_forward=Block("mlp.dense_4h_to_h", "mlp", 1),
        prefixes=("transformer",),
        asking=Asking("query_key_value", "dense", "alibi", adds_residual=True),
        classifier=_SCORE_OF_TEXT,
        tagger=_CLASSIFIER_OF_TOKENS,
    ),
    Family(
        "falcon",
        causal=True,
        layers="h",
        attention="self_attention",
        embedding="word_embeddings",
        after_attention=Block("self_attention", ""),
        after_feed_forward=Block("mlp", "post_attention_layernorm", otherwise=""),
        prefixes=("transformer",),
        asking=Asking("query_key_value", "dense", "rounded_alibi"),
        key_heads="num_kv_heads",
        classifier=_SCORE_OF_TEXT,
        tagger=_CLASSIFIER_OF_TOKENS,
    ),
    _GPT2,
    replace(_GPT2, name="gpt_bigcode", key_heads="kv_heads"),
)
