"""PEFT's prefix tuning."""

from collections.abc import Iterable

from deltas.delta import Part
from deltas.errors import InvalidDelta, UnsupportedDelta, WrongBase
from deltas.formats.peft.method import Method, Source
from deltas.formats.peft.virtual import take_virtual_tokens
from deltas.site import Role, Rows


class PrefixMethod(Method):
    """Keys and values for every layer, saved as the projection, if any, gave them."""

    kind = "prefix"
    peft_types = ("PREFIX_TUNING",)

    def parts(self, source: Source) -> Iterable[Part]:
        """One part for each layer."""
        config, base = source.config, source.base
        config.ignore("encoder_hidden_size", "init_weights", "prefix_projection")
        layers, heads = config.whole("num_layers"), config.whole("num_attention_heads")
        tokens, width = take_virtual_tokens(source)
        if not base.of_role(Role.ATTENTION):
            raise UnsupportedDelta(
                f"A prefix cannot act on the family {base.family.name}, whose attention takes no "
                "keys from outside. Train another kind."
            )
        if layers != base.layers:
            raise WrongBase(f"The prefix is for {layers} layers; the base has {base.layers}.")
        if heads < 1 or width % heads or tokens.shape[1] != layers * 2 * width:
            raise InvalidDelta(
                f"{layers} layers of {heads} heads, {width} wide, cannot be read from the shape "
                f"{tuple(tokens.shape)}."
            )
        # [tokens, layers, key and value, heads, width of a head]
        states = tokens.view(len(tokens), layers, 2, heads, width // heads)
        own = (site for site in base.of_role(Role.ATTENTION) if site.rows is Rows.OWN)
        for index, site in enumerate(own):
            if base.family.encoder is not None:
                # PEFT has the layers twice, gives each of the decoder two and uses the first.
                index = 2 * index % layers
            pair = {"key": states[:, index, 0], "value": states[:, index, 1]}
            yield Part(self.kind, site.name, pair)
