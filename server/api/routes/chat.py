"""`/v1/chat/completions`: OpenAI's next turn of a chat."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Self

from fastapi import APIRouter, Response
from fastapi import Request as HTTPRequest
from pydantic import BaseModel, model_validator
from pydantic_core import PydanticCustomError

from server.api.answers import Answers, SubmitDep
from server.api.fields import fields
from server.api.http.body import BodyRoute
from server.api.http.connection import while_connected
from server.api.http.document import STREAM
from server.api.http.events import event_stream
from server.api.http.identity import new_id
from server.api.inputs import MAX_TOKENS
from server.api.messages import Messages, messages_of
from server.api.openai import GenerationBody, Head, head, usage_chunk
from server.api.outputs import UsageBody, finite
from server.api.sampling import Alternatives, TokenCount
from server.api.unsupported import UnsupportedChat
from server.api.writing import json_response, written
from server.engine.output import FinishReason, Generated, Piece, ScoredToken, TokenLogprob
from server.engine.request import Request

router = APIRouter(
    route_class=BodyRoute, tags=["openai"], dependencies=[fields(task="model", input="messages")]
)


class ChatBody(GenerationBody, UnsupportedChat):
    """A chat to continue; without a number of tokens the answer may fill the context."""

    messages: Messages
    max_tokens: TokenCount | None = None
    max_completion_tokens: TokenCount | None = None
    logprobs: bool = False
    top_logprobs: Alternatives | None = None

    @model_validator(mode="after")
    def _check_logprobs(self) -> Self:
        if self.top_logprobs is not None and not self.logprobs:
            raise PydanticCustomError("logprobs", "top_logprobs needs logprobs to be true")
        return self

    def request(self, name: str) -> Request:
        """What the engine is asked."""
        most = self.max_completion_tokens or self.max_tokens or MAX_TOKENS
        alternatives = self.top_logprobs or 0 if self.logprobs else None
        return Request(
            name,
            self.model,
            messages_of(self.messages),
            self.sampling(most, alternatives),
            cache_salt=self.cache_salt or "",
            generate=True,
        )


class TopLogprob(BaseModel):
    r"""A token, its bytes, which may be part of a character, and its log-probability."""

    token: str
    bytes: list[int]
    logprob: float


class ChatToken(TopLogprob):
    """A generated token and the likeliest ones in its place."""

    top_logprobs: list[TopLogprob]


class ChatLogprobs(BaseModel):
    """A text's tokens."""

    content: list[ChatToken]


class ReplyMessage(BaseModel):
    """The turn that the task takes, or a stretch of it."""

    role: str = "assistant"
    content: str


class ChatChoice(BaseModel):
    """One of the possible turns."""

    index: int
    message: ReplyMessage
    logprobs: ChatLogprobs | None
    finish_reason: FinishReason


class ChunkChoice(BaseModel):
    """A stretch of one of the possible turns."""

    index: int
    delta: ReplyMessage
    logprobs: ChatLogprobs | None
    finish_reason: FinishReason | None


class ChatCompletion(Head):
    """The next turn, in `n` versions."""

    choices: list[ChatChoice]
    usage: UsageBody


class ChatChunk(Head):
    """An event of a stream."""

    choices: list[ChunkChoice]


@router.post("/v1/chat/completions", response_model=ChatCompletion, responses=STREAM)
async def chat(body: ChatBody, http: HTTPRequest, submit: SubmitDep) -> Response:
    """Continue a chat with the task that `model` names."""
    name = new_id("chatcmpl")
    answers = await submit([body.request(name)])
    if body.stream:
        fields = head(name, "chat.completion.chunk", body.model)
        chunks = _chunks(fields, answers, include_usage=body.stream_options.include_usage)
        return await event_stream(http, chunks)
    outputs = await while_connected(http.receive, answers.texts())

    def make() -> ChatCompletion:
        return ChatCompletion(
            **head(name, "chat.completion", body.model),
            choices=[_choice(index, output) for index, output in enumerate(outputs)],
            usage=UsageBody.of(answers.usage),
        )

    return json_response(await written(outputs, make))


async def _chunks(
    fields: dict[str, Any], answers: Answers, *, include_usage: bool
) -> AsyncGenerator[BaseModel]:
    begun: set[int] = set()
    async for piece in answers.pieces():
        if piece.index not in begun:
            begun.add(piece.index)
            opening = ReplyMessage(role="assistant", content="")
            choice = ChunkChoice(
                index=piece.index, delta=opening, logprobs=None, finish_reason=None
            )
            yield ChatChunk(**fields, choices=[choice])
        yield ChatChunk(**fields, choices=[_chunk_choice(piece)])
    if include_usage:
        yield usage_chunk(fields, answers.usage)


def _choice(index: int, output: Generated) -> ChatChoice:
    return ChatChoice(
        index=index,
        message=ReplyMessage(role="assistant", content=output.text),
        logprobs=_logprobs(output.logprobs),
        finish_reason=output.finish_reason,
    )


def _chunk_choice(piece: Piece) -> ChunkChoice:
    return ChunkChoice(
        index=piece.index,
        delta=ReplyMessage(content=piece.text),
        logprobs=_logprobs(piece.logprobs),
        finish_reason=piece.finish_reason,
    )


def _logprobs(tokens: Sequence[TokenLogprob] | None) -> ChatLogprobs | None:
    if not tokens:
        return None
    return ChatLogprobs(
        content=[
            ChatToken(
                **_token(token),
                top_logprobs=[TopLogprob(**_token(each)) for each in token.top],
            )
            for token in tokens
        ]
    )


def _token(token: ScoredToken) -> dict[str, Any]:
    return {"token": token.text, "bytes": list(token.bytes), "logprob": finite(token.logprob)}
