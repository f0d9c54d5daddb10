"""Servers over tiny bases, in this process, so that tests can look at the engine behind them."""

import json
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deltas.base import BaseSpec
from deltas.delta import Delta
from deltas.formats import native
from server.build import build_engine
from server.engine.engine import Engine
from server.engine.prompt import Prompt
from server.listening import listening
from server.serve import DrainingServer, build_server
from server.settings import Settings

PATIENCE = 120.0
"""Seconds for what takes less than one of them on a machine that does nothing else."""


@dataclass
class Live:
    """A running server."""

    url: str
    engine: Engine
    folder: Path
    server: DrainingServer
    http: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx2.Client(base_url=self.url, timeout=PATIENCE)

    @property
    def spec(self) -> BaseSpec:
        return self.engine.base.spec

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    def post(self, path: str, **body: Any) -> httpx2.Response:
        return self.http.post(path, json=body)

    def send(self, path: str, **body: Any) -> socket.socket:
        """Send a request over a connection of its own, whose answer nobody has read yet."""
        content = json.dumps(body).encode()
        connection = socket.create_connection(self.address, timeout=PATIENCE)
        connection.sendall(
            b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%s" % (path.encode(), len(content), content)
        )
        return connection

    def infer(self, task: str, text: Any, **parameters: Any) -> Any:
        response = self.post("/v1/infer", task=task, input=text, parameters=parameters)
        assert response.status_code == 200, response.text
        return response.json()

    def write(self, name: str, delta: Delta) -> Path:
        """Write a delta where the server may read it."""
        directory = self.folder / name
        native.write(delta, directory, self.spec)
        return directory

    def add(self, name: str, delta: Delta) -> str:
        """Register a delta and return its version."""
        source = self.write(f"{name}-{time.monotonic_ns()}", delta).as_uri()
        response = self.http.put(f"/v1/tasks/{name}", json={"source": source})
        assert response.status_code == 201, response.text
        return response.json()["version"]

    @contextmanager
    def reads(self) -> Generator[list[Prompt]]:
        """The prompts that the engine makes meanwhile."""
        reader = self.engine.reader
        prompts: list[Prompt] = []

        async def noted(*args: Any, **options: Any) -> Prompt:
            prompts.append(await read(*args, **options))
            return prompts[-1]

        with pytest.MonkeyPatch.context() as patch:
            read = reader.read
            patch.setattr(reader, "read", noted)
            yield prompts

    def shut(self) -> None:
        """Do what a signal does."""
        self.server.should_exit = True

    def settle(self) -> None:
        """Wait until the engine has nothing to do."""
        wait_until(lambda: self.engine.stats().running + self.engine.stats().waiting == 0)


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for something that must come about."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def serving(base: Path | str, folder: Path, **limits: Any) -> Generator[Live]:
    """Run a server over a base until the context is left."""
    # What tests call it that write their requests by hand.
    limits.setdefault("trusted_hosts", ["x"])
    limits = {"source_roots": [folder], "kv_cache_gb": 0.01} | limits
    settings = Settings(
        base=str(base),
        store=folder / "store",
        port=0,
        dtype="float32",
        threads=1,
        **limits,
    )
    engine = build_engine(settings)
    server = build_server(engine, settings)
    with listening(settings) as sockets:
        thread = threading.Thread(target=server.run, args=(sockets,))
        thread.start()
        try:
            wait_until(lambda: server.started)
            port = sockets[0].getsockname()[1]
            live = Live(f"http://127.0.0.1:{port}", engine, folder, server)
            with live.http:
                yield live
        finally:
            server.should_exit = True
            thread.join()
