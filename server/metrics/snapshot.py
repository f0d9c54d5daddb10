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


class Snapshot(BaseModel):
    """The state now; `tokens`, `refused` and those of `prefix_…` count since the start.

    `time` is in Unix seconds, `expected_wait` in seconds, `memory` in bytes. `first_token` has
    (seconds, how many first tokens came within them), and how many came at all under null. `errors`
    are the latest, the newest first.
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
    tasks: list[SlotBody]
    errors: list[FailureBody]
