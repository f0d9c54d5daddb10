"""`/v1/completions`: OpenAI's continuation of a text as it is."""

from collections.abc import AsyncGenerator, Iterable, Sequence

from fastapi import APIRouter, Response
from fastapi import Request as HTTPRequest
from pydantic import BaseModel

from server.api.answers import Answers, SubmitDep
from server.api.fields import fields
from server.api.http.body import BodyRoute
from server.api.http.connection import while_connected
from server.api.http.document import STREAM
from server.api.http.events import event_stream
from server.api.http.identity import new_id
from server.api.inputs import Prompt, inputs_of
from server.api.openai import NAMED, GenerationBody, Head, head, usage_chunk
from server.api.outputs import UsageBody, finite
from server.api.sampling import Alternatives, TokenCount
from server.api.unsupported import UnsupportedCompletion
from server.api.writing import json_response, written
from server.engine.output import FinishReason, Generated, Piece, TokenLogprob
from server.engine.request import Request

router = APIRouter(
    route_class=BodyRoute,
    tags=["openai"],
    dependencies=[fields(task="model", input="prompt"), NAMED],
)


class CompletionBody(GenerationBody, UnsupportedCompletion):
    """Texts or token ids to continue."""

    prompt: Prompt
    max_tokens: TokenCount = 16
    logprobs: Alternatives | None = None

    def requests(self, name: str) -> list[Request]:
        """What the engine is asked: one request for each prompt."""
        sampling = self.sampling(self.max_tokens, self.logprobs)
        salt, grammar = self.cache_salt or "", self.asked_grammar()
        return [
            Request(
                f"{name}-{i}",
                self.model,
                each,
                sampling,
                raw=True,
                cache_salt=salt,
                generate=True,
                grammar=grammar,
            )
            for i, each in enumerate(inputs_of(self.prompt))
        ]


class CompletionLogprobs(BaseModel):
    r"""A text's tokens in four lists of equal length.

    `text_offset` counts characters up to the one that a token belongs to. A token that is no whole
    characters reads `bytes:\xf0\x9f`. `top_logprobs` are the likeliest and the chosen token; one
    that reads like a likelier one is called `token_id:ID`.
    """

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: Iterable[dict[str, float]]
    text_offset: list[int]


class CompletionChoice(BaseModel):
    """A continuation, or a stretch of one."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: FinishReason | None


class Completion(Head):
    """The continuations, or in a stream the next stretch of one; only then is `usage` absent."""

    choices: list[CompletionChoice]
    usage: UsageBody | None = None


@router.post("/v1/completions", response_model=Completion, responses=STREAM)
async def complete(body: CompletionBody, http: HTTPRequest, submit: SubmitDep) -> Response:
    """Continue prompts with the task that `model` names."""
    name = new_id("cmpl")
    answers = await submit(body.requests(name))
    fields = head(name, "text_completion", body.model)
    if body.stream:
        chunks = _chunks(fields, answers, include_usage=body.stream_options.include_usage)
        return await event_stream(http, chunks)
    outputs = await while_connected(http.receive, answers.texts())

    def make() -> Completion:
        choices = [_choice(index, output) for index, output in enumerate(outputs)]
        return Completion(**fields, choices=choices, usage=UsageBody.of(answers.usage))

    return json_response(await written(outputs, make))


async def _chunks(
    fields: dict[str, str | int], answers: Answers, *, include_usage: bool
) -> AsyncGenerator[BaseModel]:
    async for piece in answers.pieces():
        yield Completion.model_validate({**fields, "choices": [_choice(piece.index, piece)]})
    if include_usage:
        yield usage_chunk(fields, answers.usage)


def _choice(index: int, text: Generated | Piece) -> CompletionChoice:
    return CompletionChoice(
        index=index,
        text=text.text,
        logprobs=_logprobs(text.logprobs) if text.logprobs else None,
        finish_reason=text.finish_reason,
    )


def _logprobs(tokens: Sequence[TokenLogprob]) -> CompletionLogprobs:
    return CompletionLogprobs(
        tokens=[token.text for token in tokens],
        token_logprobs=[finite(token.logprob) for token in tokens],
        top_logprobs=map(_table, tokens),
        text_offset=[token.offset for token in tokens],
    )


def _table(token: TokenLogprob) -> dict[str, float]:
    """The likeliest tokens and the chosen one by their texts, each with an entry of its own."""
    found: dict[str, float] = {}
    for each in {each.id: each for each in (*token.top, token)}.values():
        name = f"token_id:{each.id}" if each.text in found else each.text
        found[name] = finite(each.logprob)
    return found
