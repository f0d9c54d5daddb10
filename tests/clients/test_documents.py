"""The client's documents promise what the server does, and no more."""

import re
from pathlib import Path

import polydelta_client
from server.api.routes.tasks import router

CLIENT = Path(polydelta_client.__file__).parents[1]
README = (CLIENT / "README.md").read_text()
TEXTS = [README, *(file.read_text() for file in CLIENT.rglob("*.py"))]
PATHS = {
    "versions": "/v1/tasks/{name}/versions",
    "activate": "/v1/tasks/{name}/activate",
}


def test_sources_are_those_that_are_fetched() -> None:
    schemes = {scheme for text in TEXTS for scheme in re.findall(r"\b(\w+)://", text)}
    assert schemes == {"http", "https", "file"}


def test_calls_that_no_route_answers_are_marked() -> None:
    served = {getattr(route, "path", "") for route in router.routes}
    examples = "".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
    for name, path in PATHS.items():
        assert (f"tasks.{name}(" in examples) == (path in served)
        documented = getattr(polydelta_client.Polydelta("http://x").tasks, name).__doc__
        assert ("no server answers this yet" in documented) == (path not in served)
