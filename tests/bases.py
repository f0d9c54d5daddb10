"""Tiny bases on disk: random weights with a small tokenizer that knows every byte."""

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from deltas.families import FAMILIES
from tests.models import tiny_model

VOCABULARY = 384

_SPECIAL = ["<pad>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>", "<|tool|>"]
_CORPUS = [
    "You won a prize! Call now to claim it.",
    "The meeting is at noon, see you there.",
    "Largest rivers and highest mountains of the world",
    "naïve café — 東京 🙂",
]
_CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '</s>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def byte_tokenizer(*, chat: bool) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer; without `chat` it puts <s> and </s> around a text, or a pair."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    if not chat:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>",
            pair="<s> $A </s> $B:1 </s>:1",
            special_tokens=[("<s>", 1), ("</s>", 2)],
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        chat_template=_CHAT_TEMPLATE if chat else None,
    )


def save_base(family: str, directory: Path, **changes: Any) -> Path:
    """Write a tiny base of a family in the Transformers layout, its configuration changed."""
    model = tiny_model(family, vocab_size=VOCABULARY, **changes)
    model.save_pretrained(directory)
    byte_tokenizer(chat=FAMILIES[family].causal).save_pretrained(directory)
    return directory
