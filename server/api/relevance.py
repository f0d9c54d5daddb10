"""Relevance: how well two texts go together, as a task sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import torch
from fastapi import Depends
from fastapi import Request as HTTPRequest
from torch.nn.functional import cosine_similarity

from deltas.delta import TaskType
from server.api.answers import SubmitDep
from server.api.dependencies import RegistryDep
from server.api.http.connection import while_connected
from server.api.lookup import LookUpDep
from server.api.naming import able
from server.engine.output import Classified, Embedded, Output, Usage
from server.engine.prompt_options import USUAL, PromptOptions
from server.engine.request import Input, Pair, Request, ScoreFunction
from server.errors import CapabilityMismatch, DeltaUnavailable
from server.registry.version import Version


@dataclass(frozen=True)
class Judgement:
    """What a task answered about pairs of texts: to each pair, or to each text of `texts`."""

    task: str
    pairs: Sequence[Pair]
    texts: Sequence[str] | None
    outputs: Sequence[Output]
    usage: Usage

    def scores(self) -> list[float]:
        """Each pair's relevance: its label's score, or the cosine of its embeddings."""
        if self.texts is None:
            return [each.score for each in self.outputs if isinstance(each, Classified)]
        rows = torch.tensor([each.embedding for each in self.outputs if isinstance(each, Embedded)])
        places = {text: at for at, text in enumerate(self.texts)}
        firsts = rows[[places[pair.first] for pair in self.pairs]]
        seconds = rows[[places[pair.second] for pair in self.pairs]]
        return cosine_similarity(firsts, seconds, dim=-1).tolist()


class Judge:
    """Asks one task about pairs of texts.

    A cross-encoder, a classifier of one label, reads both texts of a pair at once; a task that
    embeds reads each text, and each only once.
    """

    def __init__(
        self, http: HTTPRequest, registry: RegistryDep, tasks: LookUpDep, submit: SubmitDep
    ) -> None:
        self._http = http
        self._registry = registry
        self._tasks = tasks
        self._submit = submit

    async def judge(
        self,
        name: str,
        model: str | None,
        pairs: Sequence[Pair],
        function: ScoreFunction | None = None,
        salt: str = "",
        options: PromptOptions = USUAL,
    ) -> Judgement:
        """Judge pairs under a request's name, with the task that `model` names.

        Raises CapabilityMismatch for a task that cannot tell.
        """
        task = model or able(self._registry, _judges)
        embeds = _embeds(await self._tasks.version(task))
        texts = list(dict.fromkeys(text for pair in pairs for text in (pair.first, pair.second)))
        inputs: Sequence[Input] = texts if embeds else pairs
        answers = await self._submit(
            [
                Request(
                    f"{name}-{at}",
                    task,
                    each,
                    cache_salt=salt,
                    score_function=function,
                    prompt=options,
                    generate=False,
                )
                for at, each in enumerate(inputs)
            ]
        )
        if _embeds(answers.version) is not embeds:
            raise DeltaUnavailable(f"The task '{task}' was replaced meanwhile; try again.")
        outputs = await while_connected(self._http.receive, answers.outputs())
        return Judgement(task, pairs, texts if embeds else None, outputs, answers.usage)


JudgeDep: TypeAlias = Annotated[Judge, Depends()]


def _judges(version: Version) -> bool:
    """Whether a task can tell how well texts go together."""
    ranks = version.type is TaskType.CLASSIFY and len(version.labels) == 1
    return ranks or version.type is TaskType.EMBED


def _embeds(version: Version) -> bool:
    """Whether a task that can tell embeds texts; if not, its head reads pairs."""
    if not _judges(version):
        raise CapabilityMismatch(
            f"The task '{version.ref.task}' does not tell how well texts go together: that needs "
            "one that embeds, or a cross-encoder, whose head has one label.",
            "task",
        )
    return version.type is TaskType.EMBED
