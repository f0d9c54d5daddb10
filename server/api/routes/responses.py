"""`/v1/responses`: OpenAI's responses, of which nothing is kept."""

import time
from collections.abc import AsyncGenerator, Iterable
from typing import Annotated, Literal, Self, TypeAlias

from fastapi import APIRouter, Response
from fastapi import Request as HTTPRequest
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from server.api.answers import Answers, SubmitDep
from server.api.fields import fields
from server.api.grammars import TextOptions
from server.api.http.body import Body, BodyRoute, Items
from server.api.http.connection import while_connected
from server.api.http.document import STREAM
from server.api.http.events import NamedEvent, event_stream
from server.api.http.identity import new_id
from server.api.http.problem import Problem
from server.api.inputs import MAX_TOKENS
from server.api.messages import Text
from server.api.openai import NAMED, GenerationBody
from server.api.prompting import thinking
from server.api.response_body import (
    Incomplete,
    ResponseBody,
    ResponseError,
    ResponseUsage,
    StatusEvent,
)
from server.api.response_input import ResponseInput, turns_of
from server.api.response_items import ResponseEvent
from server.api.response_output import ResponseOutput
from server.api.sampling import Alternatives, TokenCount
from server.api.tools import MAX_TOOLS, FlatChoice, FlatTool, tools_of
from server.api.unsupported import Off, UnsupportedReasoning, UnsupportedResponse
from server.api.writing import json_response, written_values
from server.engine.grammar import Grammar
from server.engine.output import Piece
from server.engine.request import Request
from server.engine.tools import Tools

router = APIRouter(
    route_class=BodyRoute, tags=["openai"], dependencies=[fields(task="model"), NAMED]
)

LOGPROBS = "message.output_text.logprobs"

Metadata: TypeAlias = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16),
]


class ResponseStreamOptions(Body):
    """Events are not padded with noise."""

    include_obfuscation: Off = None


class ResponsesBody(GenerationBody, UnsupportedResponse):
    """An input to answer, whether it is to be stored or not: nothing is.

    Without a number of tokens the answer may fill the context.
    """

    input: ResponseInput
    instructions: Text = ""
    max_output_tokens: TokenCount | None = None
    tools: Annotated[Items[FlatTool], Field(max_length=MAX_TOOLS)] = Field(
        default_factory=list[FlatTool]
    )
    tool_choice: FlatChoice = "auto"
    parallel_tool_calls: bool = True
    text: TextOptions = TextOptions()
    reasoning: UnsupportedReasoning = UnsupportedReasoning()
    include: Annotated[Items[Literal["message.output_text.logprobs"]], Field(max_length=8)] = Field(
        default_factory=list[Literal["message.output_text.logprobs"]]
    )
    top_logprobs: Annotated[
        Alternatives, Field(description=f"Only where {LOGPROBS} are included")
    ] = 0
    metadata: Metadata = Field(default_factory=dict[str, str])
    store: bool = True
    stream_options: ResponseStreamOptions = ResponseStreamOptions()
    n: Annotated[int, Field(ge=1, le=1)] = 1

    @model_validator(mode="after")
    def _check_logprobs(self) -> Self:
        if self.top_logprobs and not self.include:
            raise PydanticCustomError("logprobs", f"top_logprobs needs {LOGPROBS} in include")
        return self

    def offered(self) -> Tools:
        """What the answer may call; raises InvalidRequest for a choice among none."""
        return tools_of(self.tools, self.tool_choice, "tool", parallel=self.parallel_tool_calls)

    def grammars(self) -> list[Grammar]:
        """All that the answer must keep to."""
        return [*self.text.grammars(), *super().grammars()]

    def request(self, name: str) -> Request:
        """What the engine is asked."""
        alternatives = self.top_logprobs if self.include else None
        return Request(
            name,
            self.model,
            turns_of(self.instructions, self.input),
            self.sampling(self.max_output_tokens or MAX_TOKENS, alternatives),
            cache_salt=self.cache_salt or "",
            prompt=thinking(self.prompting(), self.reasoning.effort),
            generate=True,
            tools=self.offered(),
            grammar=self.asked_grammar(),
        )


@router.post("/v1/responses", response_model=ResponseBody, responses=STREAM)
async def respond(body: ResponsesBody, http: HTTPRequest, submit: SubmitDep) -> Response:
    """Answer an input with the task that `model` names; nothing of it is kept."""
    name = new_id("resp")
    answers = await submit([body.request(name)])
    answering = _Answering(name, body, answers)
    if body.stream:
        return await event_stream(http, answering.events(), b"", answering.failed)
    pieces = await while_connected(http.receive, _all(answers))

    def make() -> ResponseBody:
        answering.take(pieces)
        return answering.shown()

    scored = sum(1 + len(token.top) for piece in pieces for token in piece.logprobs)
    return json_response(await written_values(scored + len(pieces), make))


class _Answering:
    """A response that is under way."""

    def __init__(self, name: str, body: ResponsesBody, answers: Answers) -> None:
        self._id = name.replace("-", "_", 1)
        self._body = body
        self._answers = answers
        self._output = ResponseOutput(name)
        self._created = int(time.time())
        self._sent = 0

    def take(self, pieces: Iterable[Piece]) -> None:
        """Add pieces that nobody is told of one by one."""
        for piece in pieces:
            for _ in self._output.take(piece):
                pass

    async def events(self) -> AsyncGenerator[NamedEvent]:
        """Tell the answer as it comes."""
        pieces = self._answers.pieces()
        # Errors until now are plain responses.
        first = await anext(pieces)
        for kind in ("response.created", "response.in_progress"):
            yield await self._event(self._told(kind, self.shown("in_progress")))
        for event in self._output.take(first):
            yield await self._event(event)
        async for piece in pieces:
            for event in self._output.take(piece):
                yield await self._event(event)
        shown = self.shown()
        yield await self._event(self._told(f"response.{shown.status}", shown))

    def failed(self, problem: Problem) -> NamedEvent:
        """Tell that there will be no more."""
        shown = self.shown("failed")
        shown.error = ResponseError.of(problem)
        told = self._told("response.failed", shown)
        return NamedEvent(told.type, told.model_dump_json(exclude_unset=True).encode())

    def shown(self, status: Literal["in_progress", "failed"] | None = None) -> ResponseBody:
        """The response as it is now; without a status, as it is at the end."""
        body, output = self._body, self._output
        ended = status is None
        cut = ended and output.status == "incomplete"
        usage = ResponseUsage.of(self._answers.usage, output.reasoning_tokens) if ended else None
        return ResponseBody(
            id=self._id,
            object="response",
            created_at=self._created,
            status=status or output.status,
            completed_at=int(time.time()) if ended and not cut else None,
            error=None,
            incomplete_details=Incomplete(reason="max_output_tokens") if cut else None,
            background=False,
            instructions=body.instructions or None,
            max_output_tokens=body.max_output_tokens,
            metadata=body.metadata,
            model=body.model,
            output=output.items if ended else [],
            parallel_tool_calls=body.parallel_tool_calls,
            previous_response_id=None,
            reasoning=body.reasoning,
            store=False,
            temperature=body.temperature,
            text={"format": body.text.format.model_dump(exclude_unset=True, by_alias=True)},
            tool_choice=body.tool_choice,
            tools=body.tools,
            top_logprobs=body.top_logprobs,
            top_p=body.top_p,
            truncation="disabled",
            usage=usage,
        )

    async def _event(self, event: ResponseEvent | StatusEvent) -> NamedEvent:
        event.sequence_number = self._sent
        self._sent += 1
        # What a stretch brings is little; what tells all of a text has all its log-probabilities.
        stretch = isinstance(event, ResponseEvent) and event.delta is not None
        values = 0 if stretch else self._output.scored
        return NamedEvent(event.type, await written_values(values, lambda: event))

    def _told(self, kind: str, shown: ResponseBody) -> StatusEvent:
        return StatusEvent(type=kind, sequence_number=self._sent, response=shown)


async def _all(answers: Answers) -> list[Piece]:
    return [piece async for piece in answers.pieces()]
