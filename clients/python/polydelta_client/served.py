"""What a server has: tasks with their versions, models as OpenAI clients see them, its health."""

from dataclasses import dataclass, field
from typing import Any

from ._result import Answer, Result


@dataclass(frozen=True, repr=False)
class Version(Result):
    """One delta that a task has had; `bytes` of tensors, `created` in Unix seconds.

    `number` counts a task's versions from 1, `source` is where it came from, `by` who put it, None
    where that is not known; `active` is the one that answers, `aliases` are names for it, as in
    `client.infer("spam@champion", text)`. `client.tasks.versions` also tells the `card` that came
    with the delta, and the `scores` in it by name.
    """

    version: str
    digest: str
    kind: str
    bytes: int
    created: float
    number: int = 0
    source: str = ""
    active: bool = False
    aliases: list[str] = field(default_factory=list[str])
    by: str | None = None
    card: Any = None
    scores: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, repr=False)
class LastError(Result):
    """What a request failed with: when, in Unix seconds, the code, and the version asked."""

    time: float
    code: str
    version: str


@dataclass(frozen=True, repr=False)
class Task(Answer):
    """A task: `version` is the active one, `resident` on "device", "host" or "disk".

    `type` is "generate", "classify", "tag" or "embed"; `labels` is None where there are none;
    `tenant` is empty where the task is shared; `requests` counts those served, `last_error` is what
    one of them failed with last; `warnings` say what is odd about the active version, such as that
    it changes nothing.
    """

    id: str
    type: str
    kind: str
    kinds: list[str]
    version: str
    versions: list[Version]
    labels: list[str] | None
    resident: str
    bytes: int
    requests: int
    base: str
    warnings: list[str] = field(default_factory=list[str])
    tenant: str = ""
    last_error: LastError | None = None


@dataclass(frozen=True, repr=False)
class Transfer(Result):
    """A delta that the server fetches from a `source` for who puts it and waits.

    `received` bytes have come, of those `known` of so far.
    """

    task: str
    source: str
    received: int
    known: int


@dataclass(frozen=True, repr=False)
class Model(Result):
    """An entry of the OpenAI-compatible list: the base, or a task, whose `parent` is the base.

    `created` is in Unix seconds, `max_model_len` in tokens.
    """

    id: str
    created: int
    owned_by: str
    root: str
    parent: str | None
    max_model_len: int


@dataclass(frozen=True, repr=False)
class Health(Answer):
    """A living server: sequences that run and wait, and the share of its cache in use.

    `revision` is the commit of the hub that the base's files are of, None if they are of none.
    `unserved_folders` are those of a watched directory that are not served as they are now.
    """

    status: str
    base: str
    running: int
    waiting: int
    cache_usage: float
    revision: str | None = None
    unserved_folders: int = 0
