"""`/rerank`, `/v1/rerank` and `/v2/rerank`: documents by how well they go with a query.

vLLM, Cohere and Jina name what is ranked `documents`, text-embeddings-inference names it `texts`:
that tells whose body it is.
"""

from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Response
from pydantic import BaseModel, Discriminator, Field, RootModel, Tag

from server.api.fields import fields
from server.api.http.body import Body, BodyRoute, Items
from server.api.http.identity import new_id
from server.api.inputs import MAX_BATCH, Text, Texts
from server.api.naming import OptionalModel
from server.api.outputs import UsageBody
from server.api.pooled import PooledBody
from server.api.prompting import TruncateFields
from server.api.relevance import JudgeDep, Judgement
from server.api.unsupported import UnsupportedPrompt, UnsupportedRerank
from server.api.writing import json_response, written
from server.engine.request import Pair

router = APIRouter(route_class=BodyRoute, dependencies=[fields(task="model", input="documents")])


class TextDocument(Body):
    """A document as an object, of which its text is read."""

    text: Text


def _document_form(value: Any) -> str | None:
    if isinstance(value, str):
        return "(text)"
    return "(object)" if isinstance(value, dict | TextDocument) else None


Document: TypeAlias = Annotated[
    Annotated[Text, Tag("(text)")] | Annotated[TextDocument, Tag("(object)")],
    Discriminator(
        _document_form,
        custom_error_type="document_form",
        custom_error_message="Input should be a text or an object with a text",
    ),
]
Documents: TypeAlias = Annotated[Items[Document], Field(min_length=1, max_length=MAX_BATCH)]


class RerankBody(PooledBody, UnsupportedRerank):
    """A query and documents, the `top_n` best of which are asked for, all where it is 0."""

    query: Text
    documents: Documents
    top_n: Annotated[int, Field(ge=0, lt=1 << 31)] = 0
    return_documents: bool = True

    @property
    def ranked(self) -> list[str]:
        """The documents' texts."""
        return [each if isinstance(each, str) else each.text for each in self.documents]


class RerankedDocument(BaseModel):
    """A document that was ranked."""

    text: str


class Reranked(BaseModel):
    """A document's place in the request and its relevance."""

    index: int
    document: RerankedDocument | None = None
    relevance_score: float


class Ranking(BaseModel):
    """The documents, the most relevant first."""

    id: str
    model: str
    usage: UsageBody
    results: list[Reranked]


class RankBody(TruncateFields, UnsupportedPrompt):
    """A query and texts, as text-embeddings-inference takes them; `raw_scores` are logits."""

    model: OptionalModel | None = None
    query: Text
    texts: Texts
    raw_scores: bool = False
    return_text: bool = False


class Rank(BaseModel):
    """A text's place in the request and its score."""

    index: int
    text: str | None = None
    score: float


class Ranks(RootModel[list[Rank]]):
    """The texts, the one of the greatest score first."""


def _form(value: Any) -> str:
    texts = isinstance(value, dict) and "texts" in value
    return "(texts)" if texts or isinstance(value, RankBody) else "(documents)"


class AnyRerankBody(RootModel[Any]):
    """Either body: the one with `texts` is text-embeddings-inference's."""

    root: Annotated[
        Annotated[RerankBody, Tag("(documents)")] | Annotated[RankBody, Tag("(texts)")],
        Discriminator(_form),
    ]


@router.post("/v1/rerank", response_model=Ranking, tags=["vllm"])
@router.post("/v2/rerank", response_model=Ranking, tags=["vllm"])
async def rerank(body: RerankBody, judge: JudgeDep) -> Response:
    """Rank documents by a query, with a cross-encoder or by the cosine of embeddings."""
    name = new_id("rerank")
    texts = body.ranked
    pairs = [Pair(body.query, text) for text in texts]
    judgement = await judge.judge(
        name, body.model, pairs, body.score_function, body.cache_salt or "", body.prompting()
    )

    def make() -> Ranking:
        best = _best(judgement)[: body.top_n or None]
        results = [Reranked(index=index, relevance_score=score) for index, score in best]
        for each in results if body.return_documents else ():
            each.document = RerankedDocument(text=texts[each.index])
        usage = UsageBody.of(judgement.usage)
        return Ranking(id=name, model=judgement.task, usage=usage, results=results)

    return json_response(await written(judgement.outputs, make))


@router.post("/rerank", response_model=Ranking | Ranks, tags=["vllm", "hugging face"])
async def rerank_either(body: AnyRerankBody, judge: JudgeDep) -> Response:
    """Rank `documents` as `/v1/rerank` does, or `texts` as text-embeddings-inference does."""
    if isinstance(body.root, RerankBody):
        return await rerank(body.root, judge)
    asked = body.root
    pairs = [Pair(asked.query, text) for text in asked.texts]
    function = "none" if asked.raw_scores else None
    judgement = await judge.judge(
        new_id("rerank"), asked.model, pairs, function, options=asked.prompting()
    )

    def make() -> Ranks:
        ranks = [Rank(index=index, score=score) for index, score in _best(judgement)]
        for each in ranks if asked.return_text else ():
            each.text = asked.texts[each.index]
        return Ranks(ranks)

    return json_response(await written(judgement.outputs, make))


def _best(judgement: Judgement) -> list[tuple[int, float]]:
    """The pairs' places and scores, the greatest score first, equal ones in their order."""
    return sorted(enumerate(judgement.scores()), key=lambda pair: -pair[1])
