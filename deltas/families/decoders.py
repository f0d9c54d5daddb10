"""The records of decoders."""

from dataclasses import replace

from deltas.families.family import Asking, Block, Family, HeadLayout, PreNorm

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
    pre_norm=PreNorm(),
)

# A norm behind each sub-block and none before: the residual is what the sub-block reads.
_NORM_BEHIND = replace(
    _LLAMA,
    after_attention=Block("self_attn", "", norm="post_attention_layernorm"),
    after_feed_forward=Block("mlp", "mlp", norm="post_feedforward_layernorm"),
    pre_norm=None,
)

# Both sub-blocks read one norm, and their outputs are added to one residual.
_PARALLEL = replace(
    _LLAMA,
    after_feed_forward=Block("mlp", "input_layernorm"),
    pre_norm=PreNorm(parallel=True, neighbours=True),
)

# Sandwich norms: adapters act before the norm behind a sub-block, as AdapterHub's do.
_SANDWICHED = replace(
    _LLAMA,
    after_attention=Block("self_attn", "input_layernorm", norm="post_attention_layernorm"),
    after_feed_forward=Block("mlp", "pre_feedforward_layernorm", norm="post_feedforward_layernorm"),
    pre_norm=PreNorm(norm_offset=1.0),
)

# Queries, keys and values from one projection, head by head, and no gate.
_FUSED = PreNorm(
    attention=("self_attention.query_key_value",),
    attention_output="self_attention.dense",
    grouped=True,
    feed_forward=("mlp.dense_h_to_4h",),
    feed_forward_output="mlp.dense_4h_to_h",
    gated=False,
    last_norm="ln_f",
)
_BLOOM_LAYER = replace(
    _FUSED,
    attention_norms=("input_layernorm",),
    feed_forward_norms=("post_attention_layernorm",),
    activation="gelu_new",
    embedding_norm="word_embeddings_layernorm",
)
_FALCON_LAYER = replace(
    _FUSED,
    attention_norms=("input_layernorm", "ln_attn"),
    feed_forward_norms=("post_attention_layernorm", "ln_mlp", "input_layernorm"),
    parallel_by=("parallel_attn", "new_decoder_architecture"),
)
_GPT2_LAYER = PreNorm(
    attention=("attn.c_attn",),
    attention_output="attn.c_proj",
    feed_forward=("mlp.c_fc",),
    feed_forward_output="mlp.c_proj",
    gated=False,
    last_norm="ln_f",
    positions="wpe",
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
    pre_norm=_GPT2_LAYER,
)

_LIKE_LLAMA = ("llama", "mistral", "qwen2", "qwen2_vl_text", "qwen2_5_vl_text", "seed_oss")

# Modules like Llama's, but something in their layers is not what the fast path computes.
_BY_MODULES = (
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
    "qwen2_moe",
    "qwen3_moe",
)

DECODERS = (
    *(replace(_LLAMA, name=name) for name in _LIKE_LLAMA),
    *(
        replace(_LLAMA, name=name, pre_norm=PreNorm(head_norms=_HEAD_NORMS))
        for name in ("qwen3", "qwen3_vl_text")
    ),
    replace(_LLAMA, name="gemma", pre_norm=PreNorm(norm_offset=1.0)),
    replace(_SANDWICHED, name="gemma2"),
    replace(
        _SANDWICHED, name="gemma3_text", pre_norm=PreNorm(head_norms=_HEAD_NORMS, norm_offset=1.0)
    ),
    *(replace(_LLAMA, name=name, pre_norm=None) for name in _BY_MODULES),
    replace(
        _LLAMA,
        name="apertus",
        after_attention=Block("self_attn", "attention_layernorm"),
        after_feed_forward=Block("mlp", "feedforward_layernorm"),
        pre_norm=None,
    ),
    replace(
        _LLAMA,
        name="granitemoe",
        after_feed_forward=Block("block_sparse_moe", "post_attention_layernorm"),
        pre_norm=None,
    ),
    replace(
        _SANDWICHED,
        name="glm4",
        after_attention=Block("self_attn", "input_layernorm", norm="post_self_attn_layernorm"),
        after_feed_forward=Block("mlp", "post_attention_layernorm", norm="post_mlp_layernorm"),
        pre_norm=None,
    ),
    *(replace(_NORM_BEHIND, name=name) for name in ("exaone4", "olmo2", "olmo3")),
    replace(_PARALLEL, name="cohere"),
    replace(
        _PARALLEL,
        name="cohere2",
        pre_norm=PreNorm(parallel=True, neighbours=True, rotates="sliding_window"),
    ),
    replace(
        _PARALLEL,
        name="phi",
        pre_norm=PreNorm(
            attention_output="self_attn.dense",
            feed_forward=("mlp.fc1",),
            feed_forward_output="mlp.fc2",
            gated=False,
            parallel=True,
            last_norm="final_layernorm",
        ),
    ),
    replace(
        _LLAMA,
        name="phi3",
        pre_norm=PreNorm(attention=("self_attn.qkv_proj",), feed_forward=("mlp.gate_up_proj",)),
    ),
    replace(_LLAMA, name="smollm3", pre_norm=PreNorm(rotates="use_rope")),
    replace(
        _LLAMA,
        name="starcoder2",
        pre_norm=PreNorm(feed_forward=("mlp.c_fc",), feed_forward_output="mlp.c_proj", gated=False),
    ),
    replace(
        _LLAMA,
        name="stablelm",
        after_feed_forward=Block("mlp", "post_attention_layernorm", otherwise="input_layernorm"),
        pre_norm=PreNorm(parallel_by=("use_parallel_residual",)),
    ),
    replace(
        _LLAMA,
        name="opt",
        layers="decoder.layers",
        embedding="decoder.embed_tokens",
        after_attention=Block("self_attn", "self_attn_layer_norm"),
        after_feed_forward=Block("fc2", "final_layer_norm"),
        pre_norm=None,
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
        pre_norm=replace(
            _FUSED,
            attention=("attention.query_key_value",),
            attention_output="attention.dense",
            parallel_by=("use_parallel_residual",),
            last_norm="final_layer_norm",
        ),
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
        pre_norm=_BLOOM_LAYER,
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
        pre_norm=_FALCON_LAYER,
    ),
    _GPT2,
    replace(
        _GPT2,
        name="gpt_bigcode",
        key_heads="kv_heads",
        pre_norm=replace(_GPT2_LAYER, grouped=True),
    ),
)
