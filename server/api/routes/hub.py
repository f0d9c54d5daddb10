"""`/` and `/models/{name}`: what `huggingface_hub.InferenceClient` asks of a server by its URL.

The client names a task in its URL alone: `InferenceClient("http://HOST:PORT/models/NAME")`. Where
it does not, the form of what it sends tells what is wanted.
"""

from typing import Annotated, Any, TypeAlias, cast

from fastapi import APIRouter, Response
from fastapi import Request as HTTPRequest
from pydantic import BaseModel, Discriminator, Field, RootModel, Tag

from deltas.delta import TaskType
from server.api.answers import SubmitDep
from server.api.dependencies import EngineDep, ModelId, RegistryDep
from server.api.fields import fields
from server.api.http.body import Body, BodyRoute, Items
from server.api.http.connection import while_connected
from server.api.http.document import STREAM
from server.api.http.identity import new_id
from server.api.inputs import MAX_BATCH, Text, Texts
from server.api.lookup import LookUpDep
from server.api.naming import OptionalModel, named
from server.api.prompting import TruncateFields
from server.api.relevance import JudgeDep
from server.api.routes.embed import EmbedBody, embed
from server.api.routes.generate import (
    GenerateBody,
    GenerateParameters,
    Generation,
    generate_stream,
    generated,
)
from server.api.routes.predict import Prediction, predictions
from server.api.unsupported import Nothing, On, Only, UnsupportedPrompt
from server.api.writing import json_response, written
from server.engine.output import Classified, Output, Tagged
from server.engine.request import Pair, Request, ScoreFunction
from server.errors import InvalidRequest

router = APIRouter(
    route_class=BodyRoute,
    tags=["hugging face"],
    dependencies=[fields(task="model", input="inputs")],
)

_SCORING = {"function_to_apply", "top_k"}


class HubParameters(GenerateParameters):
    """Options of generation, and of classification: `top_k` shows so many labels alone."""

    function_to_apply: ScoreFunction | None = None
    aggregation_strategy: Annotated[Any, Only("simple", "first")] = None
    ignore_labels: Annotated[Any, Only(["O"])] = None
    stride: Nothing = None


class Similarity(Body):
    """A sentence to compare with others."""

    source_sentence: Text
    sentences: Annotated[Items[Text], Field(min_length=1, max_length=MAX_BATCH)]


def _form(value: Any) -> str | None:
    if isinstance(value, str):
        return "(text)"
    if isinstance(value, dict | Similarity):
        return "(sentences)"
    return "(texts)" if isinstance(value, list) else None


HubInput: TypeAlias = Annotated[
    Annotated[Text, Tag("(text)")]
    | Annotated[Texts, Tag("(texts)")]
    | Annotated[Similarity, Tag("(sentences)")],
    Discriminator(
        _form,
        custom_error_type="hub_form",
        custom_error_message="Input should be a text, a list of texts or an object with "
        "source_sentence and sentences",
    ),
]


class HubBody(TruncateFields, UnsupportedPrompt):
    """An input for a task of any type; `stream` is for those that generate."""

    model: OptionalModel | None = None
    inputs: HubInput
    parameters: HubParameters | None = None
    stream: bool | None = None
    normalize: On = None
    dimensions: Nothing = None
    encoding_format: Annotated[Any, Only("float")] = None

    def wanted(self, *, generates: bool) -> TaskType:
        """What its form asks for where it names no task, of a base that generates or does not."""
        given = self.parameters
        if self.stream is None and given is not None and given.model_fields_set <= _SCORING:
            return TaskType.CLASSIFY
        if self.stream is not None or given is not None or generates:
            return TaskType.GENERATE
        return TaskType.EMBED


class HubEntity(BaseModel):
    """A labelled stretch of the input's characters."""

    entity_group: str
    score: float
    word: str
    start: int
    end: int


class Similarities(RootModel[list[float]]):
    """How similar each sentence is to the source."""


class Readings(RootModel[Any]):
    """Labels or entities, in the form for one input or for several."""


class HubAnswer(
    RootModel[
        list[Generation]
        | list[list[Prediction]]
        | list[list[float]]
        | list[HubEntity]
        | list[list[HubEntity]]
        | list[float]
    ]
):
    """What the task answers, in the form that the client reads for its type."""


@router.post("/", response_model=HubAnswer, responses=STREAM)
async def ask(
    body: HubBody,
    http: HTTPRequest,
    engine: EngineDep,
    registry: RegistryDep,
    tasks: LookUpDep,
    submit: SubmitDep,
    judge: JudgeDep,
) -> Response:
    """Answer with the task that `model` names, or the only one that does what is asked."""
    if isinstance(body.inputs, Similarity):
        return await _similar(body.inputs, body, judge)
    task = body.model or (body.parameters and body.parameters.adapter_id)
    if task is None:
        task = named(registry, None, body.wanted(generates=engine.base.generates))
    kind = (await tasks.version(task)).type
    if kind is TaskType.EMBED:
        return await embed(
            EmbedBody.model_construct(
                model=task,
                inputs=body.inputs,
                normalize=body.normalize,
                truncate=body.truncate,
                truncation_direction=body.truncation_direction,
            ),
            http,
            registry,
            submit,
        )
    if kind is TaskType.GENERATE:
        asked = GenerateBody(
            model=task,
            inputs=_one_text(body.inputs),
            parameters=body.parameters or GenerateParameters(),
        )
        if body.stream:
            return await generate_stream(asked, http, engine, registry, submit)
        return json_response(b"[%s]" % await generated(asked, http, engine, registry, submit))
    if kind is TaskType.TAG and body.truncate:
        raise InvalidRequest("Entities are found in whole texts; leave truncate out.", "truncate")
    return await _read(body, task, http, submit)


@router.post("/models/{name}", response_model=HubAnswer, responses=STREAM)
async def ask_model(
    name: ModelId,
    body: HubBody,
    http: HTTPRequest,
    engine: EngineDep,
    registry: RegistryDep,
    tasks: LookUpDep,
    submit: SubmitDep,
    judge: JudgeDep,
) -> Response:
    """Answer with one task."""
    asked = body.model_copy(update={"model": name})
    return await ask(asked, http, engine, registry, tasks, submit, judge)


async def _similar(inputs: Similarity, body: HubBody, judge: JudgeDep) -> Response:
    pairs = [Pair(inputs.source_sentence, each) for each in inputs.sentences]
    name, options = new_id("similar"), body.prompting()
    judgement = await judge.judge(name, body.model, pairs, options=options)
    return json_response(await written(judgement.outputs, lambda: Similarities(judgement.scores())))


async def _read(body: HubBody, task: str, http: HTTPRequest, submit: SubmitDep) -> Response:
    """Labels or entities of each input."""
    name = new_id("read")
    options = body.parameters or HubParameters()
    texts = [body.inputs] if isinstance(body.inputs, str) else cast("list[str]", body.inputs)
    answers = await submit(
        [
            Request(
                f"{name}-{at}",
                task,
                text,
                score_function=options.function_to_apply,
                prompt=body.prompting(),
                generate=False,
            )
            for at, text in enumerate(texts)
        ]
    )
    outputs = await while_connected(http.receive, answers.outputs())

    def make() -> Readings:
        shown = [_shown(output, options.top_k or None) for output in outputs]
        alone = isinstance(outputs[0], Tagged) and isinstance(body.inputs, str)
        return Readings(shown[0] if alone else shown)

    return json_response(await written(outputs, make))


def _shown(output: Output, top: int | None) -> list[Prediction] | list[HubEntity]:
    if isinstance(output, Classified):
        return predictions(output)[:top]
    return [
        HubEntity(
            entity_group=each.label,
            score=each.score,
            word=each.text,
            start=each.start,
            end=each.end,
        )
        for each in (output.entities if isinstance(output, Tagged) else ())
    ]


def _one_text(inputs: HubInput) -> str:
    if isinstance(inputs, str):
        return inputs
    raise InvalidRequest("A task that generates continues one text at a time.", "input")
