"""Traffic: how a task's requests are shared among its versions, and what these make of it."""

from dataclasses import dataclass
from typing import Required, TypedDict

from ._result import Answer, Result


class StepBack(TypedDict, total=False):
    """Takes its share from a version of whose requests more than `errors`, 0 to 1, failed.

    Within `window` seconds, 60 unless given, of at least so many `requests`, 20 unless given.
    """

    errors: Required[float]
    window: float
    requests: int


@dataclass(frozen=True, repr=False)
class SteppedBack(Result):
    """That a version lost the share it had, when, in Unix seconds, and why."""

    share: int
    at: float
    reason: str


@dataclass(frozen=True, repr=False)
class Seconds(Result):
    """How long answers took on average, until their first token and whole.

    The half and 99 of 100 that came soonest took at most `…_p50` and `…_p99`, which are estimates.
    """

    first_token: float | None
    whole: float | None
    first_token_p50: float | None = None
    first_token_p99: float | None = None
    whole_p50: float | None = None
    whole_p99: float | None = None


@dataclass(frozen=True, repr=False)
class Compared(Result):
    """How often a shadow's answers were compared, which part was equal, and how like they are.

    It could not answer those that `failed`; for those `dropped` the server had no time.
    """

    answers: int
    equal: float | None
    likeness: float | None
    failed: int
    dropped: int


@dataclass(frozen=True, repr=False)
class Sharing(Result):
    """A version that answers so many percent of the requests that name none, or all unseen.

    `requests`, those of them that `failed`, `seconds` and `compared` are what the server that was
    asked saw since it started.
    """

    number: int
    version: str
    digest: str
    active: bool
    share: int
    percent: float
    shadow: bool
    stepped_back: SteppedBack | None
    requests: int
    failed: int
    seconds: Seconds
    compared: Compared


@dataclass(frozen=True, repr=False)
class Traffic(Answer):
    """How a task's requests are shared: the active version has them all where they are not.

    `step_back` is the bound on errors, if there is one; `state` is what `if_match` takes to change
    the traffic only if it is still so.
    """

    task: str
    shared: bool
    state: str
    versions: list[Sharing]
    step_back: dict[str, float] | None
