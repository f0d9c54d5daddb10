"""`/score` and `/v1/score`: vLLM's similarity of texts."""

import time
from typing import Annotated, Any, Literal, Self, TypeAlias

from fastapi import APIRouter, Response
from pydantic import BaseModel, Discriminator, Tag, model_validator
from pydantic_core import PydanticCustomError

from server.api.fields import fields
from server.api.http.body import BodyRoute
from server.api.http.identity import new_id
from server.api.inputs import Text, Texts
from server.api.outputs import UsageBody
from server.api.pooled import PooledBody
from server.api.relevance import JudgeDep
from server.api.writing import json_response, written
from server.engine.request import Pair

router = APIRouter(
    route_class=BodyRoute, tags=["vllm"], dependencies=[fields(task="model", input="text_2")]
)

_SPELLINGS = (
    ("text_1", "text_2"), ("data_1", "data_2"), ("queries", "documents"), ("queries", "items")
)  # fmt: skip


def _form(value: Any) -> str | None:
    if isinstance(value, str):
        return "(text)"
    return "(texts)" if isinstance(value, list) else None


Side: TypeAlias = Annotated[
    Annotated[Text, Tag("(text)")] | Annotated[Texts, Tag("(texts)")],
    Discriminator(
        _form,
        custom_error_type="side_form",
        custom_error_message="Input should be a text or a list of texts",
    ),
]


class ScoreBody(PooledBody):
    """One text to compare with each of several, or as many with as many.

    Spelled `text_1` and `text_2`, `data_1` and `data_2`, `queries` and `documents`, or `queries`
    and `items`.
    """

    text_1: Side | None = None
    text_2: Side | None = None
    data_1: Side | None = None
    data_2: Side | None = None
    queries: Side | None = None
    documents: Side | None = None
    items: Side | None = None

    @model_validator(mode="after")
    def _check_sides(self) -> Self:
        firsts, seconds = self._sides()
        if len(firsts) not in (1, len(seconds)):
            raise PydanticCustomError(
                "sides",
                "There must be one first text, or as many as there are second ones; "
                "here are {firsts} and {seconds}",
                {"firsts": len(firsts), "seconds": len(seconds)},
            )
        return self

    def pairs(self) -> list[Pair]:
        """What goes with what."""
        firsts, seconds = self._sides()
        firsts = firsts * len(seconds) if len(firsts) == 1 else firsts
        return [Pair(first, second) for first, second in zip(firsts, seconds, strict=True)]

    def _sides(self) -> tuple[list[str], list[str]]:
        for one, other in _SPELLINGS:
            first, second = getattr(self, one), getattr(self, other)
            if first is not None and second is not None:
                return _listed(first), _listed(second)
        raise PydanticCustomError("sides", "Give text_1 and text_2: what to compare with what")


class Score(BaseModel):
    """How well a pair's texts go together."""

    index: int
    object: Literal["score"] = "score"
    score: float


class Scores(BaseModel):
    """The scores, in the order of the second texts."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[Score]
    usage: UsageBody


@router.post("/score", response_model=Scores)
@router.post("/v1/score", response_model=Scores)
async def score(body: ScoreBody, judge: JudgeDep) -> Response:
    """Tell how well texts go together, by a cross-encoder or by the cosine of embeddings."""
    name = new_id("score")
    judgement = await judge.judge(
        name,
        body.model,
        body.pairs(),
        body.score_function,
        body.cache_salt or "",
        body.prompting(),
    )

    def make() -> Scores:
        return Scores(
            id=name,
            object="list",
            created=int(time.time()),
            model=judgement.task,
            data=[
                Score(index=index, object="score", score=score)
                for index, score in enumerate(judgement.scores())
            ],
            usage=UsageBody.of(judgement.usage),
        )

    return json_response(await written(judgement.outputs, make))


def _listed(side: str | list[str]) -> list[str]:
    return [side] if isinstance(side, str) else side
