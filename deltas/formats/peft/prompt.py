"""PEFT's prompt tuning and P-tuning, which leave the same tensors."""

from collections.abc import Iterable

from deltas.delta import Part
from deltas.errors import InvalidDelta
from deltas.formats.peft.method import Method, Source
from deltas.formats.peft.virtual import take_virtual_tokens

_TRAINING_ONLY = (
    "encoder_dropout",
    "encoder_hidden_size",
    "encoder_num_layers",
    "encoder_reparameterization_type",
    "num_attention_heads",
    "num_layers",
    "prompt_tuning_init",
    "prompt_tuning_init_text",
    "tokenizer_kwargs",
    "tokenizer_name_or_path",
)


class PromptMethod(Method):
    """Learned vectors before the text; P-tuning's are saved as its encoder gave them."""

    kind = "prompt"
    peft_types = ("PROMPT_TUNING", "P_TUNING")

    def parts(self, source: Source) -> Iterable[Part]:
        """One part at the token embedding of the first stack, which reads the text."""
        source.config.ignore(*_TRAINING_ONLY)
        vectors, width = take_virtual_tokens(source)
        if vectors.shape[1] != width:
            raise InvalidDelta(f"The prompt is declared {width} wide but is {vectors.shape[1]}.")
        yield Part(self.kind, source.base.family.stacks[0].embedding, {"vectors": vectors})
