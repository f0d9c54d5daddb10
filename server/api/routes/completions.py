"""`/v1/completions`: OpenAI's continuation of a text as it is."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from math import inf
from typing import Annotated, Self

from fastapi import APIRouter, Response
from fastapi import Request as HTTPRequest
from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from server.api.answers import Answers, SubmitDep
from server.api.completion_choices import CompletionChoice, Showing
from server.api.fields import fields
from server.api.http.body import BodyRoute
from server.api.http.connection import while_connected
from server.api.http.document import STREAM
from server.api.http.events import event_stream
from server.api.http.identity import new_id
from server.api.inputs import MAX_TOKENS, Prompt, inputs_of
from server.api.openai import NAMED, CompletingBody, Head, head, usage_chunk
from server.api.outputs import UsageBody
from server.api.sampling import MAX_CHOICES, Alternatives
from server.api.unsupported import UnsupportedCompletion
from server.api.writing import json_response, written
from server.engine.output import Generated
from server.engine.request import Request, Sampling

router = APIRouter(
    route_class=BodyRoute,
    tags=["openai"],
    dependencies=[fields(task="model", input="prompt"), NAMED],
)


class CompletionBody(CompletingBody, UnsupportedCompletion):
    """Texts or token ids to continue.

    `echo` puts the prompt before its continuation; only then it may be without one, by `max_tokens`
    0. Of `best_of` continuations the `n` likeliest by token are shown; beams find the `n` best.
    """

    prompt: Prompt
    max_tokens: Annotated[int, Field(ge=0, le=MAX_TOKENS)] = 16
    logprobs: Alternatives | None = None
    echo: bool = False
    best_of: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.max_tokens and not self.echo:
            raise PydanticCustomError("max_tokens", "max_tokens may be 0 with echo alone")
        if self.best_of is not None and self.best_of < self.n:
            raise PydanticCustomError("best_of", "best_of must not be less than n")
        if self.best_of is not None and self.best_of > self.n and self.stream:
            raise PydanticCustomError("best_of", "The best of several texts cannot be streamed")
        return self

    @property
    def beams(self) -> int:
        """As many as texts are compared, where that alone is said."""
        return self.num_beams or (self.best_of if self.use_beam_search else None) or super().beams

    @property
    def showing(self) -> Showing:
        """What the choices show beside their texts."""
        return Showing(
            logprobs=self.logprobs,
            as_ids=self.return_tokens_as_token_ids,
            echo=self.echo,
            token_ids=self.return_token_ids,
            prompt_logprobs=self.prompt_logprobs is not None,
        )

    def requests(self, name: str) -> list[Request]:
        """What the engine is asked: one request for each prompt."""
        return [
            Request(
                f"{name}-{i}",
                self.model,
                each,
                self._sampling(),
                raw=True,
                cache_salt=self.cache_salt or "",
                prompt=self.prompting(),
                all_logprobs=self.return_token_ids,
                generate=True,
                grammar=self.asked_grammar(),
            )
            for i, each in enumerate(inputs_of(self.prompt))
        ]

    def best(self, outputs: Sequence[Generated]) -> list[Generated]:
        """The continuations that are shown: the likeliest `n` of each prompt's."""
        count = self.best_of or self.n
        if count == self.n or self.beams > 1:
            return list(outputs)
        found: list[Generated] = []
        for start in range(0, len(outputs), count):
            found += sorted(outputs[start : start + count], key=_likelihood, reverse=True)[: self.n]
        return found

    def _sampling(self) -> Sampling:
        count = self.n if self.beams > 1 else self.best_of or self.n
        # To compare texts takes the log-probabilities of their tokens.
        logprobs = 0 if self.logprobs is None and count > self.n else self.logprobs
        judged = [self.prompt_logprobs, self.logprobs if self.echo else None]
        most = max((each for each in judged if each is not None), default=None)
        sampling = self.sampling(self.max_tokens, logprobs)
        return replace(sampling, n=count, prompt_logprobs=most)


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
        return await event_stream(http, _chunks(fields, answers, body))
    outputs = body.best(await while_connected(http.receive, answers.texts()))
    prompts = [answer.prompt for answer in answers.items]

    def make() -> Completion:
        showing = body.showing
        choices = [
            showing.choice(index, output, prompts[index // body.n])
            for index, output in enumerate(outputs)
        ]
        return Completion(**fields, choices=choices, usage=UsageBody.of(answers.usage))

    return json_response(await written(outputs, make, answers.judged))


async def _chunks(
    fields: dict[str, str | int], answers: Answers, body: CompletionBody
) -> AsyncGenerator[BaseModel]:
    showing, begun = body.showing, set[int]()
    async for piece in answers.pieces():
        prompt = answers.prompt(piece.index)
        shown = [showing.stretch(piece, prompt)]
        if piece.index not in begun:
            begun.add(piece.index)
            shown = [*showing.opening(piece.index, prompt), *shown]
            if body.return_token_ids:
                shown[0].prompt_token_ids = prompt.tokens
        for each in shown:
            yield Completion.model_validate({**fields, "choices": [each]})
    if body.stream_options.include_usage:
        yield usage_chunk(fields, answers.usage)


def _likelihood(output: Generated) -> float:
    """The mean log-probability of a text's tokens."""
    tokens = output.logprobs or ()
    return sum(token.logprob for token in tokens) / len(tokens) if tokens else -inf
