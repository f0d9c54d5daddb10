"""`/predict`: text-embeddings-inference's labels of texts and of pairs of texts."""

from typing import Annotated, Any, TypeAlias, cast

from fastapi import APIRouter, Response
from fastapi import Request as HTTPRequest
from pydantic import BaseModel, Discriminator, Field, RootModel, Tag

from deltas.delta import TaskType
from server.api.answers import SubmitDep
from server.api.dependencies import RegistryDep
from server.api.fields import fields
from server.api.http.body import BodyRoute, Items
from server.api.http.connection import while_connected
from server.api.http.identity import new_id
from server.api.inputs import MAX_BATCH, Text
from server.api.naming import OptionalModel, named
from server.api.prompting import TruncateFields
from server.api.unsupported import UnsupportedPrompt
from server.api.writing import json_response, written
from server.engine.output import Classified
from server.engine.request import Input, Pair, Request
from server.errors import CapabilityMismatch

router = APIRouter(
    route_class=BodyRoute,
    tags=["hugging face"],
    dependencies=[fields(task="model", input="inputs")],
)

Sequence: TypeAlias = Annotated[Items[Text], Field(min_length=1, max_length=2)]
Sequences: TypeAlias = Annotated[Items[Sequence], Field(min_length=1, max_length=MAX_BATCH)]


def _form(value: Any) -> str | None:
    if isinstance(value, str):
        return "(text)"
    if not isinstance(value, list):
        return None
    items = cast("list[Any]", value)
    return "(batch)" if items and isinstance(items[0], list) else "(sequence)"


PredictInput: TypeAlias = Annotated[
    Annotated[Text, Tag("(text)")]
    | Annotated[Sequence, Tag("(sequence)")]
    | Annotated[Sequences, Tag("(batch)")],
    Discriminator(
        _form,
        custom_error_type="predict_form",
        custom_error_message="Input should be a text, a pair of texts or a list of [text] and "
        "[text, text]",
    ),
]


class PredictBody(TruncateFields, UnsupportedPrompt):
    """A text, a pair `[text, text]`, or a list of `[text]` and `[text, text]` to label.

    `raw_scores` are logits.
    """

    model: OptionalModel | None = None
    inputs: PredictInput
    raw_scores: bool = False

    @property
    def sequences(self) -> list[Input]:
        """What the engine reads."""
        if isinstance(self.inputs, str):
            return [self.inputs]
        items = cast("list[list[str]]", self.inputs if self.many else [self.inputs])
        return [Pair(*texts) if len(texts) > 1 else texts[0] for texts in items]

    @property
    def many(self) -> bool:
        """Whether the answer is a list of lists."""
        return isinstance(self.inputs, list) and isinstance(self.inputs[0], list)


class Prediction(BaseModel):
    """A label's score."""

    score: float
    label: str


class Predictions(RootModel[list[Prediction] | list[list[Prediction]]]):
    """Each input's labels, the one of the greatest score first; a single input's as they are."""


@router.post("/predict", response_model=Predictions)
async def predict(
    body: PredictBody, http: HTTPRequest, registry: RegistryDep, submit: SubmitDep
) -> Response:
    """Label inputs with the task that `model` names."""
    name = new_id("predict")
    task = named(registry, body.model, TaskType.CLASSIFY)
    answers = await submit(
        [
            Request(
                f"{name}-{at}",
                task,
                each,
                score_function="none" if body.raw_scores else None,
                prompt=body.prompting(),
                generate=False,
            )
            for at, each in enumerate(body.sequences)
        ]
    )
    if answers.version.type is not TaskType.CLASSIFY:
        raise CapabilityMismatch(f"The task '{task}' does not classify.", "task")
    outputs = await while_connected(http.receive, answers.outputs())

    def make() -> Predictions:
        found = [predictions(each) for each in outputs if isinstance(each, Classified)]
        return Predictions(found if body.many else found[0])

    return json_response(await written(outputs, make))


def predictions(output: Classified) -> list[Prediction]:
    """Show labels and their scores, the greatest first."""
    return [Prediction(score=score, label=label) for label, score in output.scores.items()]
