"""ByT5's tokenizer, whose tokens are bytes (Xue et al., 2021, arXiv:2105.13626), as a fast one.

Transformers has it in Python alone, and its checkpoints hold no tokenizer.json.
"""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode


def fast(tokenizer: ByT5Tokenizer) -> PreTrainedTokenizerFast:
    """The same tokens: bytes behind the first special ones, and an end behind each text."""
    added = tokenizer.added_tokens_decoder
    vocabulary = {letter: byte + tokenizer.offset for byte, letter in bytes_to_unicode().items()}
    vocabulary |= {str(token): at for at, token in added.items()}
    backend = Tokenizer(models.BPE(vocabulary, []))
    backend.add_special_tokens(list(added.values()))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    # Bytes that make no character are passed over.
    backend.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace("\ufffd", "")])
    end = str(tokenizer.eos_token)
    backend.post_processor = processors.TemplateProcessing(
        single=f"$A {end}",
        pair=f"$A {end} $B {end}",
        special_tokens=[(end, vocabulary[end])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=end, pad_token=str(tokenizer.pad_token)
    )
