"""`/v1/infer`: the answer of one task, or of several, to one or several inputs."""

from collections.abc import AsyncGenerator, Iterable
from typing import Annotated, Any, TypeAlias, cast

from fastapi import APIRouter, Response
from fastapi import Request as HTTPRequest
from pydantic import BaseModel, Discriminator, Field, FiniteFloat, Tag, model_validator
from pydantic_core import PydanticCustomError

from server.api.answers import Answers, SubmitDep
from server.api.caller import CallDep
from server.api.dependencies import EngineDep
from server.api.grammars import NativeGrammar
from server.api.http.body import Body, BodyRoute, Items
from server.api.http.connection import while_connected
from server.api.http.document import STREAM
from server.api.http.events import event_stream
from server.api.http.identity import new_id
from server.api.inputs import CacheSalt, TaskInput, inputs_of
from server.api.naming import ModelName
from server.api.outputs import ChosenToken, OutputBody, UsageBody, chosen_tokens, output_body
from server.api.sampling import Alternatives, SamplingFields, TokenCount
from server.api.together import Failed, check_rows, results, together
from server.api.tools import CallChunk, ToolFields
from server.api.unsupported import UnsupportedParameters
from server.api.writing import json_response, written
from server.engine.output import FinishReason, Output, Piece
from server.engine.request import Request, ScoreFunction
from server.errors import InvalidRequest

router = APIRouter(route_class=BodyRoute, tags=["native"])

TaskNames: TypeAlias = Annotated[Items[ModelName], Field(min_length=1, max_length=64)]


class InferParameters(SamplingFields, ToolFields, NativeGrammar, UnsupportedParameters):
    """Options of generation, greedy unless a temperature is given, and of classification.

    `top` limits a classifier's scores to the likeliest labels. `function_to_apply` makes scores of
    its logits, as in Transformers' pipelines: unless given, sigmoid for one label and for
    multi-label tasks, none for regression, else softmax. `tools` are what the answer to a chat may
    call; `schema`, `regex`, `choice` or `grammar` is what it keeps to.
    """

    temperature: Annotated[FiniteFloat, Field(ge=0, le=10)] = 0.0
    max_tokens: TokenCount = 128
    logprobs: Alternatives | None = None
    top: Annotated[int, Field(ge=1, lt=1 << 31)] | None = None
    function_to_apply: ScoreFunction | None = None


def _task_form(value: Any) -> str | None:
    if isinstance(value, str):
        return "(task)"
    return "(tasks)" if isinstance(value, list) else None


class InferFields(Body):
    """What is to be answered, and how."""

    input: TaskInput
    parameters: InferParameters = InferParameters()
    stream: bool = False
    cache_salt: CacheSalt | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_parameters(cls, value: Any) -> Any:
        """Beside them, they would be passed over without a word."""
        given = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        stray = sorted(
            name
            for name, each in given.items()
            if each is not None
            and name in InferParameters.model_fields
            and name not in cls.model_fields
        )
        if stray:
            message = "{name} is given within parameters"
            raise PydanticCustomError("misplaced", message, {"name": stray[0]})
        return value

    @property
    def rows(self) -> int:
        """How many sequences the engine is asked for."""
        return len(inputs_of(self.input)) * self.parameters.rows


class InferBody(InferFields):
    """A task and what it is to answer."""

    task: ModelName

    def requests(self, request_id: str) -> list[Request]:
        """What the engine is asked: one request for each input."""
        options = self.parameters
        sampling = options.sampling(options.max_tokens, options.logprobs)
        generate = True if self.stream else None
        salt = self.cache_salt or ""
        tools, grammar = options.offered(), options.asked_grammar()
        return [
            Request(
                f"{request_id}-{i}",
                self.task,
                each,
                sampling,
                cache_salt=salt,
                score_function=options.function_to_apply,
                generate=True if tools or grammar else generate,
                tools=tools,
                grammar=grammar,
            )
            for i, each in enumerate(inputs_of(self.input))
        ]

    async def answer(self, name: str, answers: Answers, outputs: list[Output]) -> bytes:
        """The answer as JSON."""
        return await answer_of(name, answers, outputs, self.parameters)


class AnyInferBody(InferFields):
    """A task, or several, and what it is, or each of them is, to answer."""

    task: Annotated[
        Annotated[ModelName, Tag("(task)")] | Annotated[TaskNames, Tag("(tasks)")],
        Discriminator(
            _task_form,
            custom_error_type="task_form",
            custom_error_message="Input should be a task's name or a list of such",
        ),
    ]

    def of(self, task: str) -> InferBody:
        """What one of its tasks is asked."""
        return InferBody.model_construct(
            task=task,
            input=self.input,
            parameters=self.parameters,
            stream=self.stream,
            cache_salt=self.cache_salt,
        )


class Source(BaseModel):
    """What answers: a task at a version."""

    id: str
    task: str
    version: str
    kind: str


class InferAnswer(Source):
    """The outputs, in the order of the inputs."""

    outputs: list[OutputBody]
    usage: UsageBody


class InferAnswers(BaseModel):
    """Several answers: in the order of a list of tasks, or of the requests of a batch."""

    id: str
    results: list[InferAnswer | Failed]


class InferPiece(Source):
    """An event of a stream: a stretch of output `index`."""

    index: int
    text: str
    finish_reason: FinishReason | None
    logprobs: Iterable[ChosenToken] = ()
    reasoning: str = ""
    tool_calls: list[CallChunk] = []
    score: float | None = None


class InferUsage(Source):
    """The event of a stream that follows all text."""

    usage: UsageBody


@router.post("/v1/infer", response_model=InferAnswer | InferAnswers, responses=STREAM)
async def infer(
    body: AnyInferBody, http: HTTPRequest, engine: EngineDep, call: CallDep, submit: SubmitDep
) -> Response:
    """Answer one input, or a list of them, with one task, or with each of several."""
    name = new_id("infer")
    if isinstance(body.task, str):
        return await _infer(name, body.of(body.task), http, submit)
    if body.stream:
        raise InvalidRequest("Several tasks cannot be streamed: name one.", "stream")
    check_rows(body.rows * len(body.task), "input")
    work = together(name, [body.of(task) for task in body.task], engine, call)
    return json_response(results(name, await while_connected(http.receive, work)))


async def _infer(name: str, body: InferBody, http: HTTPRequest, submit: SubmitDep) -> Response:
    answers = await submit(body.requests(name))
    if body.stream:
        return await event_stream(http, _events(name, answers))
    outputs = await while_connected(http.receive, answers.outputs())
    return json_response(await answer_of(name, answers, outputs, body.parameters))


async def answer_of(
    name: str, answers: Answers, outputs: list[Output], parameters: InferParameters
) -> bytes:
    """One request's InferAnswer as JSON."""

    def make() -> InferAnswer:
        shown = [output_body(each, parameters.top) for each in outputs]
        usage = UsageBody.of(answers.usage)
        return InferAnswer(**_source(name, answers), outputs=shown, usage=usage)

    return await written(outputs, make)


async def _events(name: str, answers: Answers) -> AsyncGenerator[BaseModel]:
    source = _source(name, answers)
    async for piece in answers.pieces():
        yield _piece(source, piece)
    yield InferUsage(**source, usage=UsageBody.of(answers.usage))


def _piece(source: dict[str, Any], piece: Piece) -> InferPiece:
    event = InferPiece(
        **source, index=piece.index, text=piece.text, finish_reason=piece.finish_reason
    )
    if piece.reasoning:
        event.reasoning = piece.reasoning
    if piece.calls:
        event.tool_calls = [CallChunk.of(call) for call in piece.calls]
    if piece.logprobs:
        event.logprobs = chosen_tokens(piece.logprobs)
    if piece.score is not None:
        event.score = piece.score
    return event


def _source(name: str, answers: Answers) -> dict[str, Any]:
    version = answers.version
    return {
        "id": name,
        "task": answers.task,
        "version": version.ref.version,
        "kind": version.kind,
    }
