"""The records of encoders."""

from dataclasses import replace

from deltas.families.family import Block, Family, HeadLayout, PostNorm, PreNorm

_OF_TOKENS = HeadLayout(("classifier",), "all")
_POOLED = HeadLayout(("classifier",), "pooler")
_TANH = HeadLayout(("classifier.dense", "classifier.out_proj"), "first", ("tanh",))
_DENSE = HeadLayout(
    ("head.dense", "classifier"),
    "classifier_pooling",
    ("classifier_activation",),
    norm="head.norm",
)

_BERT = Family(
    "bert",
    causal=False,
    layers="encoder.layer",
    attention="attention.self",
    embedding="embeddings.word_embeddings",
    after_attention=Block(
        "attention.output.dropout", "attention.output", 1, "attention.output.LayerNorm"
    ),
    after_feed_forward=Block("output.dropout", "output", 1, "output.LayerNorm"),
    prefixes=("bert",),
    pooler="pooler",
    classifier=_POOLED,
    tagger=_OF_TOKENS,
    post_norm=PostNorm(),
)

# RoBERTa numbers positions from padding_idx + 1.
_ROBERTA = replace(_BERT, name="roberta", prefixes=("roberta",), first_position=2, classifier=_TANH)

_MODERN_LAYER = PreNorm(
    attention=("attn.Wqkv",),
    attention_output="attn.Wo",
    attention_norms=("attn_norm",),
    feed_forward=("mlp.Wi",),
    feed_forward_output="mlp.Wo",
    last_norm="final_norm",
    embedding_norm="embeddings.norm",
)

_MODERN = Family(
    "modernbert",
    causal=False,
    layers="layers",
    attention="attn",
    embedding="embeddings.tok_embeddings",
    after_attention=Block("attn", "", 0),
    after_feed_forward=Block("mlp", "mlp_norm"),
    prefixes=("model",),
    classifier=_DENSE,
    tagger=replace(_DENSE, pooling="all"),
    pre_norm=_MODERN_LAYER,
)

# Rotated heads and a gated feed-forward block, a layer norm behind each sum.
_NOMIC = Family(
    "nomic_bert",
    causal=False,
    layers="layers",
    attention="self_attn",
    embedding="embeddings.word_embeddings",
    after_attention=Block("post_attention_dropout", "self_attn", 0, "post_attention_layernorm"),
    after_feed_forward=Block("post_mlp_dropout", "mlp", 0, "post_mlp_layernorm"),
    prefixes=("nomic_bert",),
    classifier=HeadLayout(("nomic_bert.pooler.dense", "classifier"), "first", ("tanh",)),
    tagger=_OF_TOKENS,
)

ENCODERS = (
    _BERT,
    _ROBERTA,
    *(replace(_ROBERTA, name=name) for name in ("xlm-roberta", "camembert")),
    replace(_BERT, name="ernie", prefixes=("ernie",)),
    replace(
        _BERT,
        name="electra",
        prefixes=("electra",),
        pooler=None,
        classifier=replace(_TANH, activations=("gelu",)),
        post_norm=PostNorm(embeddings=("embeddings", "embeddings_project")),
    ),
    Family(
        "albert",
        causal=False,
        layers="encoder.albert_layer_groups.*.albert_layers",
        attention="attention",
        embedding="embeddings.word_embeddings",
        after_attention=Block("attention.output_dropout", "attention", 0, "attention.LayerNorm"),
        after_feed_forward=Block("ffn_output", "ffn", 0, "full_layer_layer_norm"),
        prefixes=("albert",),
        pooler="pooler",
        classifier=_POOLED,
        tagger=_OF_TOKENS,
    ),
    *(
        replace(
            _BERT,
            name=name,
            attention=None,
            prefixes=("deberta",),
            pooler=None,
            classifier=HeadLayout(("pooler.dense", "classifier"), "first", ("gelu",)),
            post_norm=None,
        )
        for name in ("deberta", "deberta-v2")
    ),
    replace(
        _ROBERTA,
        name="mpnet",
        attention=None,
        after_attention=Block("attention.attn", "attention", 0, "attention.LayerNorm"),
        prefixes=("mpnet",),
        pooler="pooler",
        post_norm=None,
    ),
    _MODERN,
    replace(
        _MODERN,
        name="eurobert",
        attention="self_attn",
        embedding="embed_tokens",
        after_attention=Block("self_attn", "input_layernorm"),
        after_feed_forward=Block("mlp", "post_attention_layernorm"),
        classifier=HeadLayout(("dense", "classifier"), "classifier_pooling", ("gelu",)),
        tagger=_OF_TOKENS,
        pre_norm=PreNorm(),
    ),
    _NOMIC,
    replace(
        _NOMIC,
        name="gte",
        prefixes=("gte",),
        classifier=HeadLayout(("gte.pooler.dense", "classifier"), "first", ("tanh",)),
    ),
    Family(
        "distilbert",
        causal=False,
        layers="transformer.layer",
        attention="attention",
        embedding="embeddings.word_embeddings",
        after_attention=Block("attention", "attention", norm="sa_layer_norm"),
        after_feed_forward=Block("ffn.dropout", "ffn", norm="output_layer_norm"),
        prefixes=("distilbert",),
        classifier=HeadLayout(("pre_classifier", "classifier"), "first", ("relu",)),
        tagger=_OF_TOKENS,
        post_norm=PostNorm(
            attention=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
            attention_output="attention.out_lin",
            feed_forward="ffn.lin1",
            feed_forward_output="ffn.lin2",
        ),
    ),
)
