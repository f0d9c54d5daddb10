"""The records of encoder-decoders, whose own layers are their decoder's."""

from dataclasses import replace

from deltas.families.family import Block, Encoder, Family, HeadLayout, Sublayers

# They read the source once more, behind the token that a text begins with.
_CLASSIFIER = HeadLayout(
    ("classification_head.dense", "classification_head.out_proj"), "last", ("tanh",)
)

_T5_SUBLAYERS = Sublayers(
    attention=("layer.0.SelfAttention.q", "layer.0.SelfAttention.k", "layer.0.SelfAttention.v"),
    attention_output="layer.0.SelfAttention.o",
    cross_attention=("layer.1.EncDecAttention.q", "layer.1.EncDecAttention.o"),
    feed_forward=tuple(f"layer.2.DenseReluDense.{name}" for name in ("wi", "wi_0", "wi_1")),
    feed_forward_output="layer.2.DenseReluDense.wo",
    norm="layer_norm",
    last_norm="final_layer_norm",
)

_T5_ENCODER = Encoder(
    layers="encoder.block",
    cross_attention="layer.1.EncDecAttention",
    keys=("k", "v"),
    after_cross_attention=Block("layer.1.dropout", "layer.1"),
    after_feed_forward=Block("layer.1.dropout", "layer.1"),
    sublayers=replace(
        _T5_SUBLAYERS,
        feed_forward=tuple(f"layer.1.DenseReluDense.{name}" for name in ("wi", "wi_0", "wi_1")),
        feed_forward_output="layer.1.DenseReluDense.wo",
    ),
    positions=None,
)

_T5 = Family(
    "t5",
    causal=True,
    layers="decoder.block",
    attention="layer.0.SelfAttention",
    embedding="decoder.embed_tokens",
    after_attention=Block("layer.0.dropout", "layer.0"),
    after_feed_forward=Block("layer.2.dropout", "layer.2"),
    prefixes=("transformer",),
    classifier=_CLASSIFIER,
    sublayers=_T5_SUBLAYERS,
    encoder=_T5_ENCODER,
)

# A norm behind each sum.
_BART = Family(
    "bart",
    causal=True,
    layers="decoder.layers",
    attention="self_attn",
    embedding="decoder.embed_tokens",
    after_attention=Block("self_attn", "self_attn", norm="self_attn_layer_norm"),
    after_feed_forward=Block("fc2", "fc1", norm="final_layer_norm"),
    prefixes=("model",),
    key_heads="num_heads",
    sublayers=Sublayers(),
    encoder=Encoder(Block("encoder_attn", "encoder_attn", norm="encoder_attn_layer_norm")),
)

# A norm before each sub-block.
_PRE_NORM = replace(
    _BART,
    after_attention=Block("self_attn", "self_attn_layer_norm"),
    after_feed_forward=Block("fc2", "final_layer_norm"),
    encoder=Encoder(Block("encoder_attn", "encoder_attn_layer_norm")),
)

ENCODER_DECODERS = (
    *(replace(_T5, name=name) for name in ("t5", "mt5")),
    replace(_BART, classifier=_CLASSIFIER),
    replace(_BART, name="marian"),
    # Its decoder adds positions behind the first norm.
    replace(_BART, name="blenderbot-small", sublayers=None),
    replace(_PRE_NORM, name="mbart", classifier=_CLASSIFIER),
    *(replace(_PRE_NORM, name=name) for name in ("pegasus", "m2m_100")),
)
