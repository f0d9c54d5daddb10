"""Snapshots: what the server does at one moment, for people who look at it."""

from pydantic import BaseModel


class SlotBody(BaseModel):
    """A task whose delta is in a slot; `pinned` while rows at work keep it there."""

    task: str
    pinned: bool


class FailureBody(BaseModel):
    """A request that was not answered well: what of it says nothing about who asked what."""

    time: float
    status: int
    code: str
    route: str
    request_id: str


class StepBody(BaseModel):
    """Steps since the start, and the seconds that their parts took.

    `schedule` is deciding what is computed, `forward` computing it, `choose` drawing tokens, and
    `deliver` handing them over. `prompts` is what of `forward` went to prompts, by the share of the
    rows that were theirs.
    """

    steps: int
    schedule: float
    forward: float
    prompts: float
    choose: float
    deliver: float


class QueueBody(BaseModel):
    """Sequences that came to their first step since the start, and the seconds they waited."""

    started: int
    seconds: float


class Snapshot(BaseModel):
    """The state now; `tokens`, `refused` and those of `prefix_…` count since the start.

    `time` is in Unix seconds, `expected_wait` in seconds, `memory` in bytes. `first_token` has
    (seconds, how many first tokens came within them), and how many came at all under null. `queue`
    and `step` say what time goes by. `errors` are the latest, the newest first.
    """

    time: float
    running: int
    waiting: int
    expected_wait: float
    cache_usage: float
    slots: int
    device_deltas: int
    host_deltas: int
    prefix_queries: int
    prefix_hits: int
    tokens: int
    refused: int
    memory: int
    first_token: list[tuple[float | None, int]]
    queue: QueueBody
    step: StepBody
    tasks: list[SlotBody]
    errors: list[FailureBody]
