"""Chat tokens: log-probabilities of an answer's tokens, as OpenAI's routes of chats show them."""

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel

from server.api.outputs import finite
from server.engine.output import ScoredToken, TokenLogprob


class TopLogprob(BaseModel):
    r"""A token, its bytes, which may be part of a character, and its log-probability."""

    token: str
    bytes: list[int]
    logprob: float


class ChatToken(TopLogprob):
    """A generated token and the likeliest ones in its place."""

    top_logprobs: list[TopLogprob]


def chat_tokens(tokens: Iterable[TokenLogprob], *, as_ids: bool = False) -> Iterator[ChatToken]:
    """Show tokens one after the other, by their text or as `token_id:…`."""
    return (
        ChatToken(
            **_token(token, as_ids=as_ids),
            top_logprobs=[TopLogprob(**_token(each, as_ids=as_ids)) for each in token.top],
        )
        for token in tokens
    )


def _token(token: ScoredToken, *, as_ids: bool) -> dict[str, Any]:
    name = f"token_id:{token.id}" if as_ids else token.text
    return {"token": name, "bytes": list(token.bytes), "logprob": finite(token.logprob)}
