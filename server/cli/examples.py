"""Lines to copy and paste that fit the tasks of a server."""

import json
import shlex
from collections.abc import Iterator

from deltas.delta import TaskType
from server.engine.engine import Engine

_BY_TASK = {
    "spam": "Congratulations! You have won a free cruise. Reply with your bank details to claim.",
    "sentiment": "A dull script and a cast that looks as bored as I was.",
    "headline": "The central bank raised its main interest rate by half a point on Thursday, the "
    "third rise this year, and said that prices were still climbing too fast.",
}
_BY_TYPE = {
    TaskType.GENERATE: "Name three rivers of Europe.",
    TaskType.CLASSIFY: "The striker scored twice in the last ten minutes of the final.",
    TaskType.TAG: "Ada Lovelace met Charles Babbage in London.",
    TaskType.EMBED: "A sentence to compare with others.",
}
_MOST_TASKS = 6


def example_lines(url: str, engine: Engine) -> Iterator[str]:
    """One request a task, a stream where the base writes text, and where to see the tasks."""
    for task in engine.registry.all()[:_MOST_TASKS]:
        text = _BY_TASK.get(task.name, _BY_TYPE[task.active.type])
        yield _curl(url, {"task": task.name, "input": text})
    if engine.base.generates:
        text = _BY_TYPE[TaskType.GENERATE]
        yield _curl(url, {"task": "base", "input": text, "stream": True})
    yield f"curl -s {url}/v1/tasks"


def _curl(url: str, body: dict[str, object]) -> str:
    data = shlex.quote(json.dumps(body, ensure_ascii=False))
    return f"curl -sN {url}/v1/infer -H 'content-type: application/json' -d {data}"
