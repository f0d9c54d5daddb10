"""Tokens: texts as token ids and back, as callers ask for them without wanting an answer."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast

from server.engine.prompt_options import PromptOptions
from server.engine.room import ANY
from server.errors import InvalidRequest


class Tokens:
    """A tokenizer's own view of texts; its long work lets other threads run."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._backend = tokenizer.backend_tokenizer
        self._size = len(tokenizer)

    def of(self, text: str, options: PromptOptions) -> list[int]:
        """A text's token ids."""
        special = options.special is not False
        (encoding,) = self._backend.encode_batch([text], add_special_tokens=special)
        ids, around = encoding.ids, encoding.special_tokens_mask
        return [ids[at] for at in ANY.kept(len(ids), options, around)]

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """Each token as the vocabulary spells it."""
        return [self._backend.id_to_token(token) or "" for token in tokens]

    def text(self, tokens: Sequence[int]) -> str:
        """The text of token ids, special tokens written out; raises InvalidRequest for others."""
        if max(tokens, default=0) >= self._size:
            text = f"Token ids must be between 0 and {self._size - 1}."
            raise InvalidRequest(text, param="tokens")
        (text,) = self._backend.decode_batch([list(tokens)], skip_special_tokens=False)
        return text
