"""`/v1/chat/completions`: OpenAI's next turn of a chat."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Self, TypeAlias

from fastapi import APIRouter, Response
from fastapi import Request as HTTPRequest
from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from server.api.answers import Answers, SubmitDep
from server.api.chat_tokens import ChatToken, chat_tokens
from server.api.fields import fields
from server.api.http.body import BodyRoute
from server.api.http.connection import while_connected
from server.api.http.document import STREAM
from server.api.http.events import event_stream
from server.api.http.identity import new_id
from server.api.inputs import MAX_TOKENS
from server.api.messages import Messages, messages_of
from server.api.openai import NAMED, CompletingBody, Head, head, usage_chunk
from server.api.outputs import UsageBody
from server.api.prompting import ChatPromptFields, PromptLogprobs, prompt_logprobs, thinking
from server.api.sampling import Alternatives, TokenCount
from server.api.tools import CallBody, CallChunk, CalledBody, CalledChunk, ToolsOrFunctions
from server.api.unsupported import UnsupportedChat
from server.api.writing import json_response, written
from server.engine.output import FinishReason, Generated, Piece, TokenLogprob
from server.engine.request import Request

router = APIRouter(
    route_class=BodyRoute,
    tags=["openai"],
    dependencies=[fields(task="model", input="messages"), NAMED],
)


class ChatBody(ChatPromptFields, CompletingBody, ToolsOrFunctions, UnsupportedChat):
    """A chat to continue; without a number of tokens the answer may fill the context."""

    messages: Messages
    max_tokens: TokenCount | None = None
    max_completion_tokens: TokenCount | None = None
    logprobs: bool = False
    top_logprobs: Annotated[
        Alternatives | None, Field(description="Only where logprobs is true")
    ] = None

    @model_validator(mode="after")
    def _check_logprobs(self) -> Self:
        if self.top_logprobs is not None and not self.logprobs:
            raise PydanticCustomError("logprobs", "top_logprobs needs logprobs to be true")
        return self

    @property
    def echoed(self) -> str:
        """What is put before the answer."""
        last = self.messages[-1].message()
        return last.content if self.echo and last.role == "assistant" else ""

    def request(self, name: str) -> Request:
        """What the engine is asked."""
        most = self.max_completion_tokens or self.max_tokens or MAX_TOKENS
        alternatives = self.top_logprobs or 0 if self.logprobs else None
        return Request(
            name,
            self.model,
            messages_of(self.messages),
            replace(self.sampling(most, alternatives), prompt_logprobs=self.prompt_logprobs),
            cache_salt=self.cache_salt or "",
            prompt=thinking(self.prompting(), self.reasoning_effort),
            all_logprobs=self.return_token_ids,
            generate=True,
            tools=self.offered(),
            grammar=self.asked_grammar(),
        )


class ChatLogprobs(BaseModel):
    """A text's tokens."""

    content: Iterable[ChatToken]


class ReplyMessage(BaseModel):
    """The turn that the task takes; without text where it does nothing but call tools."""

    role: Literal["assistant"]
    content: str | None
    reasoning_content: str | None = None
    tool_calls: list[CallBody] | None = None
    function_call: CalledBody | None = None


class ReplyDelta(BaseModel):
    """A stretch of a turn."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[CallChunk] | None = None
    function_call: CalledChunk | None = None


ChatFinish: TypeAlias = FinishReason | Literal["function_call"]


class ChatChoice(BaseModel):
    """One of the possible turns."""

    index: int
    message: ReplyMessage
    logprobs: ChatLogprobs | None
    finish_reason: ChatFinish
    token_ids: list[int] | None = None


class ChunkChoice(BaseModel):
    """A stretch of one of the possible turns."""

    index: int
    delta: ReplyDelta
    logprobs: ChatLogprobs | None
    finish_reason: ChatFinish | None
    token_ids: list[int] | None = None


class ChatCompletion(Head):
    """The next turn, in `n` versions."""

    choices: list[ChatChoice]
    usage: UsageBody
    prompt_logprobs: PromptLogprobs | None = None
    prompt_token_ids: list[int] | None = None


class ChatChunk(Head):
    """An event of a stream."""

    choices: list[ChunkChoice]
    prompt_token_ids: list[int] | None = None


@router.post("/v1/chat/completions", response_model=ChatCompletion, responses=STREAM)
async def chat(body: ChatBody, http: HTTPRequest, submit: SubmitDep) -> Response:
    """Continue a chat with the task that `model` names."""
    name = new_id("chatcmpl")
    answers = await submit([body.request(name)])
    if body.stream:
        fields = head(name, "chat.completion.chunk", body.model)
        return await event_stream(http, _chunks(fields, answers, body))
    outputs = await while_connected(http.receive, answers.texts())

    def make() -> ChatCompletion:
        shown = ChatCompletion(
            **head(name, "chat.completion", body.model),
            choices=[_choice(index, output, body) for index, output in enumerate(outputs)],
            usage=UsageBody.of(answers.usage),
        )
        if body.prompt_logprobs is not None:
            shown.prompt_logprobs = prompt_logprobs(answers.prompt(0))
        if body.return_token_ids:
            shown.prompt_token_ids = answers.prompt(0).tokens
        return shown

    return json_response(await written(outputs, make, answers.judged))


async def _chunks(
    fields: dict[str, Any], answers: Answers, body: ChatBody
) -> AsyncGenerator[BaseModel]:
    begun: set[int] = set()
    async for piece in answers.pieces():
        if piece.index not in begun:
            opening = ReplyDelta(role="assistant", content=body.echoed)
            choice = ChunkChoice(
                index=piece.index, delta=opening, logprobs=None, finish_reason=None
            )
            chunk = ChatChunk(**fields, choices=[choice])
            if body.return_token_ids and not begun:
                chunk.prompt_token_ids = answers.prompt(0).tokens
            begun.add(piece.index)
            yield chunk
        yield ChatChunk(**fields, choices=[_chunk_choice(piece, body)])
    if body.stream_options.include_usage:
        yield usage_chunk(fields, answers.usage)


def _choice(index: int, output: Generated, body: ChatBody) -> ChatChoice:
    text = body.echoed + output.text
    message = ReplyMessage(role="assistant", content=None if output.calls and not text else text)
    if output.reasoning:
        message.reasoning_content = output.reasoning
    calls = [CallBody.of(call) for call in output.calls]
    if calls and body.functions:
        message.function_call = calls[0].function
    elif calls:
        message.tool_calls = calls
    shown = ChatChoice(
        index=index,
        message=message,
        logprobs=_logprobs(output.logprobs, body),
        finish_reason=_finish(output.finish_reason, body),
    )
    if body.return_token_ids:
        shown.token_ids = list(output.tokens)
    return shown


def _chunk_choice(piece: Piece, body: ChatBody) -> ChunkChoice:
    # What a turn does not have yet, a delta does not name; one of nothing else has the text.
    delta = ReplyDelta()
    if piece.reasoning:
        delta.reasoning_content = piece.reasoning
    calls = [CallChunk.of(call) for call in piece.calls]
    if calls and body.functions:
        delta.function_call = calls[0].function
    elif calls:
        delta.tool_calls = calls
    if piece.text or not delta.model_fields_set:
        delta.content = piece.text
    shown = ChunkChoice(
        index=piece.index,
        delta=delta,
        logprobs=_logprobs(piece.logprobs, body),
        finish_reason=_finish(piece.finish_reason, body),
    )
    if body.return_token_ids:
        shown.token_ids = list(piece.tokens)
    return shown


def _finish(reason: FinishReason | None, body: ChatBody) -> Any:
    return "function_call" if reason == "tool_calls" and body.functions else reason


def _logprobs(tokens: Sequence[TokenLogprob] | None, body: ChatBody) -> ChatLogprobs | None:
    if not tokens:
        return None
    return ChatLogprobs(content=chat_tokens(tokens, as_ids=body.return_tokens_as_token_ids))
