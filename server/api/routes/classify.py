"""`/classify`: vLLM's labels of texts."""

import time
from typing import Literal

from fastapi import APIRouter, Response
from fastapi import Request as HTTPRequest
from pydantic import BaseModel

from deltas.delta import TaskType
from server.api.answers import SubmitDep
from server.api.dependencies import RegistryDep
from server.api.fields import fields
from server.api.http.body import BodyRoute
from server.api.http.connection import while_connected
from server.api.http.identity import new_id
from server.api.naming import named
from server.api.outputs import UsageBody
from server.api.pooled import ReadingBody
from server.api.writing import json_response, written
from server.engine.output import Classified
from server.errors import CapabilityMismatch

router = APIRouter(route_class=BodyRoute, tags=["vllm"], dependencies=[fields(task="model")])


class Classification(BaseModel):
    """The likeliest label of an input, and all labels' scores in the order of the head."""

    index: int
    label: str
    probs: list[float]
    num_classes: int


class Classifications(BaseModel):
    """The labels, in the order of the inputs."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[Classification]
    usage: UsageBody


@router.post("/classify", response_model=Classifications)
async def classify(
    body: ReadingBody, http: HTTPRequest, registry: RegistryDep, submit: SubmitDep
) -> Response:
    """Label texts, token ids or a chat with a task that classifies."""
    name = new_id("classify")
    task = named(registry, body.model, TaskType.CLASSIFY)
    answers = await submit(body.requests(name, task))
    labels = answers.version.labels
    if answers.version.type is not TaskType.CLASSIFY:
        raise CapabilityMismatch(f"The task '{task}' does not classify.", "task")
    outputs = await while_connected(http.receive, answers.outputs())

    def make() -> Classifications:
        classified = [each for each in outputs if isinstance(each, Classified)]
        return Classifications(
            id=name,
            object="list",
            created=int(time.time()),
            model=task,
            data=[
                Classification(
                    index=index,
                    label=each.label,
                    probs=[each.scores[label] for label in labels],
                    num_classes=len(labels),
                )
                for index, each in enumerate(classified)
            ],
            usage=UsageBody.of(answers.usage),
        )

    return json_response(await written(outputs, make))
