"""What PEFT's prompt-learning methods share: one tensor of virtual tokens."""

from torch import Tensor

from deltas.errors import InvalidDelta, UnsupportedDelta
from deltas.formats.peft.method import Source


def take_virtual_tokens(source: Source) -> tuple[Tensor, int]:
    """Take the virtual tokens [count, features] and their declared `token_dim`.

    PEFT makes as many again for the decoder of an encoder-decoder and never reads them. Raises
    InvalidDelta if their number is not as declared, UnsupportedDelta if they are for another
    number of stacks than the base has.
    """
    stacks = len(source.base.family.stacks)
    if source.config.whole("num_transformer_submodules", 1) != stacks:
        raise UnsupportedDelta(
            "Virtual tokens for an encoder-decoder cannot be used here."
            if stacks == 1
            else "Virtual tokens for one stack cannot be used with an encoder-decoder: train them "
            "as SEQ_2_SEQ_LM."
        )
    count = source.config.whole("num_virtual_tokens")
    width = source.config.whole("token_dim")
    tokens = source.weights.take("prompt_embeddings")
    if tokens.dim() == 2 and stacks > 1 and len(tokens) == stacks * count:
        tokens = tokens[:count]
    if tokens.dim() != 2 or len(tokens) != count or width < 1:
        raise InvalidDelta(
            f"{count} virtual tokens are declared but the tensor has the shape "
            f"{tuple(tokens.shape)}."
        )
    return tokens, width
