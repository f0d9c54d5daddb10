"""`/generate` and `/generate_stream`: text-generation-inference's continuation of a text."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Response
from fastapi import Request as HTTPRequest
from pydantic import BaseModel, Field, FiniteFloat

from deltas.delta import TaskType
from server.api.answers import Answers, Submit, SubmitDep
from server.api.dependencies import EngineDep, RegistryDep
from server.api.fields import fields
from server.api.http.body import Body, BodyRoute, Items
from server.api.http.connection import while_connected
from server.api.http.document import STREAM
from server.api.http.events import EventStream, event_stream
from server.api.http.identity import new_id
from server.api.inputs import MAX_TOKENS, Text
from server.api.naming import ModelName, OptionalModel, named
from server.api.outputs import finite
from server.api.sampling import StopText, TokenCount
from server.api.unsupported import UnsupportedGeneration
from server.api.writing import json_response, written
from server.engine.engine import Engine
from server.engine.output import FinishReason, Generated, Piece, ScoredToken, TokenLogprob
from server.engine.request import PromptOptions, Request, Sampling
from server.registry.namespace import Namespace

router = APIRouter(
    route_class=BodyRoute,
    tags=["hugging face"],
    dependencies=[fields(task="model", input="inputs")],
)

Reason: TypeAlias = Literal["length", "eos_token", "stop_sequence"]


class GenerateParameters(UnsupportedGeneration):
    """How to continue, greedily unless it is told to sample.

    That is by `do_sample`, a temperature other than 1, `top_k` or `top_p`. `adapter_id` names the
    task. `top_n_tokens` shows the likeliest tokens in each place, beside the `details` or in a
    stream. Of a longer input the last `truncate` tokens are read.
    """

    adapter_id: ModelName | None = None
    details: bool = False
    do_sample: bool = False
    frequency_penalty: Annotated[FiniteFloat, Field(ge=-2, le=2)] = 0.0
    max_new_tokens: TokenCount = 100
    repetition_penalty: Annotated[FiniteFloat, Field(ge=0.01, le=100)] = 1.0
    return_full_text: bool = False
    seed: Annotated[int, Field(ge=0, lt=1 << 64)] | None = None
    stop: Annotated[Items[StopText], Field(max_length=8)] = Field(default_factory=list[str])
    temperature: Annotated[FiniteFloat, Field(ge=0, le=10)] | None = None
    top_k: Annotated[int, Field(ge=0, lt=1 << 31)] = 0
    top_n_tokens: Annotated[int, Field(ge=0, le=20)] = 0
    top_p: Annotated[FiniteFloat, Field(gt=0, le=1)] = 1.0
    truncate: Annotated[int, Field(ge=1, le=MAX_TOKENS)] | None = None

    def sampling(self, *, shows_tokens: bool) -> Sampling:
        """The options as the engine takes them."""
        warped = self.temperature not in (None, 1.0) or self.top_k or self.top_p < 1
        given = 1.0 if self.temperature is None else self.temperature
        return Sampling(
            max_tokens=self.max_new_tokens,
            temperature=given if self.do_sample or warped else 0.0,
            top_k=self.top_k,
            top_p=self.top_p,
            frequency_penalty=self.frequency_penalty,
            repetition_penalty=self.repetition_penalty,
            seed=self.seed,
            stop=tuple(self.stop),
            logprobs=self.top_n_tokens if shows_tokens else None,
        )


class GenerateBody(Body):
    """A text to continue as it is; `model` or the parameters' `adapter_id` names the task."""

    model: OptionalModel | None = None
    inputs: Text
    parameters: GenerateParameters = GenerateParameters()

    def request(self, name: str, task: str, *, shows_tokens: bool) -> Request:
        """What the engine is asked."""
        sampling = self.parameters.sampling(shows_tokens=shows_tokens)
        options = PromptOptions(truncate=self.parameters.truncate)
        return Request(name, task, self.inputs, sampling, raw=True, prompt=options, generate=True)

    @property
    def task(self) -> str | None:
        """The task that is named, if one is."""
        return self.model or self.parameters.adapter_id


class GeneratedToken(BaseModel):
    """A token of the answer; in a stream its text is what the answer goes on with."""

    id: int
    text: str
    logprob: float
    special: bool


class GenerationDetails(BaseModel):
    """How a generation ended, and its tokens."""

    finish_reason: Reason
    generated_tokens: int
    seed: int | None
    prefill: list[Any]
    tokens: list[GeneratedToken]
    top_tokens: list[list[GeneratedToken]] | None = None


class Generation(BaseModel):
    """The text; `details` where they are asked for."""

    generated_text: str
    details: GenerationDetails | None = None


class StreamDetails(BaseModel):
    """How a streamed generation ended."""

    finish_reason: Reason
    generated_tokens: int
    seed: int | None
    input_length: int


class StreamedToken(BaseModel):
    """An event of a stream; the last one has the whole text."""

    index: int
    token: GeneratedToken
    top_tokens: list[GeneratedToken] | None = None
    generated_text: str | None
    details: StreamDetails | None


@router.post("/generate", response_model=Generation)
async def generate(
    body: GenerateBody,
    http: HTTPRequest,
    engine: EngineDep,
    registry: RegistryDep,
    submit: SubmitDep,
) -> Response:
    """Continue a text with the task that `adapter_id` names."""
    return json_response(await generated(body, http, engine, registry, submit))


@router.post("/generate_stream", status_code=200, response_class=EventStream, responses=STREAM)
async def generate_stream(
    body: GenerateBody,
    http: HTTPRequest,
    engine: EngineDep,
    registry: RegistryDep,
    submit: SubmitDep,
) -> Response:
    """Continue a text with the task that `adapter_id` names, an event for each token."""
    task = named(registry, body.task, TaskType.GENERATE)
    answers = await submit([body.request(new_id("gen"), task, shows_tokens=True)])
    return await event_stream(http, _events(body, answers, engine), done=b"")


async def generated(
    body: GenerateBody, http: HTTPRequest, engine: Engine, registry: Namespace, submit: Submit
) -> bytes:
    """A Generation as JSON."""
    task = named(registry, body.task, TaskType.GENERATE)
    details = body.parameters.details
    answers = await submit([body.request(new_id("gen"), task, shows_tokens=details)])
    outputs = await while_connected(http.receive, answers.texts())
    (output,) = outputs

    def make() -> Generation:
        before = body.inputs if body.parameters.return_full_text else ""
        generation = Generation(generated_text=before + output.text)
        if details:
            generation.details = _details(body, output, answers, engine)
        return generation

    return await written(outputs, make)


def _details(
    body: GenerateBody, output: Generated, answers: Answers, engine: Engine
) -> GenerationDetails:
    special = _special(engine)
    tokens = output.logprobs or ()
    written = answers.usage.completion_tokens
    details = GenerationDetails(
        finish_reason=_reason(output.finish_reason, ended=written > len(tokens)),
        generated_tokens=written,
        seed=body.parameters.seed,
        prefill=[],
        tokens=[_token(each, each.text, special) for each in tokens],
    )
    if body.parameters.top_n_tokens:
        details.top_tokens = [_top(each, special) for each in tokens]
    return details


async def _events(
    body: GenerateBody, answers: Answers, engine: Engine
) -> AsyncGenerator[BaseModel]:
    special = _special(engine)
    text = body.inputs if body.parameters.return_full_text else ""
    index = 0
    async for piece in answers.pieces():
        text += piece.text
        events = [_event(each, special, body) for each in piece.logprobs]
        if not events and piece.finish_reason:
            events = [_end(engine)]
        for event in events:
            index += 1
            event.index = index
        if events:
            events[-1].token.text = piece.text
            shown = index - (not piece.logprobs)
            if piece.finish_reason:
                events[-1].generated_text = text
                events[-1].details = _stream_details(piece, shown, body, answers)
        for event in events:
            yield event


def _event(token: TokenLogprob, special: frozenset[int], body: GenerateBody) -> StreamedToken:
    """A token whose text the last one of its stretch shows for all."""
    event = StreamedToken(
        index=0, token=_token(token, "", special), generated_text=None, details=None
    )
    if body.parameters.top_n_tokens:
        event.top_tokens = _top(token, special)
    return event


def _end(engine: Engine) -> StreamedToken:
    """The event of a text's end where no token is left to show."""
    token = GeneratedToken(id=min(engine.base.end_tokens), text="", logprob=0.0, special=True)
    return StreamedToken(index=0, token=token, generated_text=None, details=None)


def _stream_details(
    piece: Piece, shown: int, body: GenerateBody, answers: Answers
) -> StreamDetails:
    usage = answers.usage
    return StreamDetails(
        finish_reason=_reason(piece.finish_reason, ended=usage.completion_tokens > shown),
        generated_tokens=usage.completion_tokens,
        seed=body.parameters.seed,
        input_length=usage.prompt_tokens,
    )


def _token(token: ScoredToken, text: str, special: frozenset[int]) -> GeneratedToken:
    return GeneratedToken(
        id=token.id, text=text, logprob=finite(token.logprob), special=token.id in special
    )


def _top(token: TokenLogprob, special: frozenset[int]) -> list[GeneratedToken]:
    return [_token(each, each.text, special) for each in token.top]


def _reason(reason: FinishReason | None, *, ended: bool) -> Reason:
    if reason == "length":
        return "length"
    return "eos_token" if ended else "stop_sequence"


def _special(engine: Engine) -> frozenset[int]:
    return frozenset(engine.base.tokenizer.all_special_ids)
