"""`/v1/tasks/{id}/traffic`: how a task's requests are shared among its versions."""

from typing import Annotated, Any, TypeAlias, cast

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from server.api.conditions import ConditionDep
from server.api.dependencies import EngineDep, RegistryDep, TaskId
from server.api.http.body import Body, BodyRoute
from server.api.writes import WritesDep
from server.engine.engine import Engine
from server.engine.tally import Counts, Tally
from server.registry.task import Task
from server.registry.traffic import Bound, StepBack, Traffic
from server.registry.version import Version

router = APIRouter(route_class=BodyRoute, prefix="/v1/tasks/{name}/traffic", tags=["native"])

Share: TypeAlias = Annotated[int, Field(ge=0, le=1_000_000)]


class BoundFields(Body):
    """The errors that a version may make before it loses its share.

    More than this share of its requests, 0 to 1, in the last `window` seconds, once there were so
    many `requests`.
    """

    errors: Annotated[float, Field(ge=0, lt=1, strict=False)]
    window: Annotated[float, Field(ge=1, le=86_400, strict=False)] = 60.0
    requests: Annotated[int, Field(ge=1, le=1_000_000)] = 20

    @classmethod
    def of(cls, bound: Bound) -> "BoundFields":
        """Show a bound."""
        return cls(errors=bound.errors, window=bound.window, requests=bound.requests)

    def bound(self) -> Bound:
        """The same for the registry."""
        return Bound(self.errors, self.window, self.requests)


def _open(schema: dict[str, Any]) -> None:
    """Show shares where they are: beside the other fields."""
    schema["additionalProperties"] = schema["properties"].pop("shares")["additionalProperties"]
    schema["required"].remove("shares")


class TrafficFields(Body):
    """Each version's share, under its number, digest or alias, such as `{"v1": 90, "v2": 10}`.

    Shares are weights: whole numbers, percent or not. `shadow` is a version whose answers are
    compared and never returned; `step_back` takes its share from one that makes errors.
    """

    model_config = ConfigDict(json_schema_extra=_open)
    shares: dict[str, Share]
    shadow: Annotated[str, Field(min_length=1, max_length=128)] | int | None = None
    step_back: BoundFields | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        """Put what is no field of its own among the shares."""
        if not isinstance(value, dict):
            return value
        found = cast("dict[str, Any]", value)
        named = {name: found[name] for name in ("shadow", "step_back") if name in found}
        return {**named, "shares": {name: found[name] for name in found.keys() - named.keys()}}


class StepBackBody(BaseModel):
    """Why a version lost the share that it had, and when, in Unix seconds."""

    share: int
    at: float
    reason: str

    @classmethod
    def of(cls, step: StepBack) -> "StepBackBody":
        """Show what was done."""
        return cls(share=step.share, at=step.at, reason=step.reason)


class SecondsBody(BaseModel):
    """How long answers took on average, and the half and 99 of 100 that came soonest at most.

    The latter are estimated from the metrics' histograms.
    """

    first_token: float | None
    first_token_p50: float | None
    first_token_p99: float | None
    whole: float | None
    whole_p50: float | None
    whole_p99: float | None

    @classmethod
    def of(cls, counts: Counts) -> "SecondsBody":
        """Show a version's times."""
        first, whole = counts.first, counts.whole
        return cls(
            first_token=first.mean,
            first_token_p50=first.within(0.5),
            first_token_p99=first.within(0.99),
            whole=whole.mean,
            whole_p50=whole.within(0.5),
            whole_p99=whole.within(0.99),
        )


class ComparedBody(BaseModel):
    """How often a shadow's answers were compared, which part was equal, and how like they are.

    Of texts, likeness is the part of their tokens with which both begin, of embeddings the cosine,
    else 1 for equal answers and 0 for others. It could not answer those that `failed`; for those
    `dropped` the server had no time.
    """

    answers: int
    equal: float | None
    likeness: float | None
    failed: int
    dropped: int


class SharingBody(BaseModel):
    """A version that answers requests which name none: so many percent of them, or unseen.

    `number` counts a task's versions from 1; `active` is the one that answers alone once the
    traffic is no more shared. `requests`, those of them that `failed`, `seconds` and `compared` are
    what this server saw while the traffic was shared, since it started.
    """

    number: int
    version: str
    digest: str
    active: bool
    share: int
    percent: float
    shadow: bool
    stepped_back: StepBackBody | None
    requests: int
    failed: int
    seconds: SecondsBody
    compared: ComparedBody


class TrafficBody(BaseModel):
    """How a task's requests are shared; the active version has them all where they are not.

    `state` names that in `If-Match`, as the ETag does.
    """

    task: str
    shared: bool
    state: str
    versions: list[SharingBody]
    step_back: BoundFields | None

    @classmethod
    def of(cls, task: Task, tally: Tally) -> "TrafficBody":
        """Show a task's traffic, the newest version first."""
        traffic = task.traffic or Traffic()
        shares = traffic.shares
        if not any(shares.values()) and task.active is not None:
            shares = {**shares, task.active: 1}
        all_shares = sum(shares.values())

        def shown(version: Version) -> SharingBody:
            share = shares.get(version.number, 0)
            step = traffic.stepped_back.get(version.number)
            counts = tally.seen(version.ref)
            return SharingBody(
                number=version.number,
                version=version.ref.version,
                digest=version.ref.digest,
                active=version.number == task.active,
                share=share,
                percent=100 * share / all_shares,
                shadow=version.number == traffic.shadow,
                stepped_back=StepBackBody.of(step) if step is not None else None,
                requests=counts.answered + counts.failed,
                failed=counts.failed,
                seconds=SecondsBody.of(counts),
                compared=_compared(counts),
            )

        numbers = traffic.numbers.union(shares)
        return cls(
            task=task.name.name,
            shared=task.traffic is not None,
            state=task.state,
            versions=[shown(each) for each in reversed(task.versions) if each.number in numbers],
            step_back=BoundFields.of(traffic.bound) if traffic.bound is not None else None,
        )


@router.get("")
def show_traffic(
    name: TaskId, engine: EngineDep, registry: RegistryDep, response: Response
) -> TrafficBody:
    """Show how a task's requests are shared and what came of it; its ETag names how they are."""
    return _shown(registry.versions(name), engine, response)


@router.put("")
async def share_traffic(
    name: TaskId,
    body: TrafficFields,
    engine: EngineDep,
    registry: RegistryDep,
    writes: WritesDep,
    response: Response,
    if_match: ConditionDep,
) -> TrafficBody:
    """Share a task's requests among its versions, from the next one on.

    Those under way end on the version that they began with.
    """
    bound = body.step_back.bound() if body.step_back is not None else None
    shares = body.shares
    task = await writes.run(registry.share, name, shares, body.shadow, bound, if_match=if_match)
    return _shown(task, engine, response)


@router.delete("", status_code=204)
async def end_traffic(
    name: TaskId, registry: RegistryDep, writes: WritesDep, if_match: ConditionDep
) -> None:
    """Have the active version answer alone again."""
    await writes.run(registry.unshare, name, if_match=if_match)


def _shown(task: Task, engine: Engine, response: Response) -> TrafficBody:
    response.headers["etag"] = f'"{task.state}"'
    return TrafficBody.of(task, engine.traffic.tally)


def _compared(counts: Counts) -> ComparedBody:
    answers = counts.compared
    return ComparedBody(
        answers=answers,
        equal=counts.equal / answers if answers else None,
        likeness=counts.likeness / answers if answers else None,
        failed=counts.missed,
        dropped=counts.dropped,
    )
