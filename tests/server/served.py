"""Servers over a tiny base, each in a process of its own, whose steps can be slowed."""

import logging
import resource
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx2

from server.build import build_engine
from server.listening import listening
from server.model.batch import Item
from server.model.runner import Forward, Runner
from server.serve import serve
from server.settings import Settings
from tests.forked import forked
from tests.ports import held_port
from tests.server.api.live import PATIENCE
from tests.server.turns import Turns

Served = tuple[BaseProcess, httpx2.Client]


def log(store: Path) -> Path:
    """Where the server of a store writes its log."""
    return store.with_suffix(".log")


def slow(store: Path, seconds: float = 0.25) -> None:
    """A server's steps take so much more from now on: what runs goes on, whoever is late."""
    _delay(store).write_text(f"{seconds}")


def until_slow(store: Path, seconds: float) -> None:
    """Wait for a step that takes so much more."""
    while not _taken(store).exists() or _taken(store).read_text() != f"{seconds}":
        time.sleep(0.02)


def hurry(store: Path) -> None:
    """A server's steps take their time no more."""
    _delay(store).unlink(missing_ok=True)


def _delay(store: Path) -> Path:
    return store.with_suffix(".delay")


def _taken(store: Path) -> Path:
    return store.with_suffix(".taken")


@contextmanager
def served(
    base: Path,
    store: Path,
    *,
    files: tuple[int, int] | None = None,
    turns: Turns | None = None,
    advertised: bool = False,
    variables: Mapping[str, str] | None = None,
    **settings: Any,
) -> Generator[Served]:
    """A server, ready.

    `files` are its limits on open files, `turns` counts those of its event loop, `variables` are
    added to its environment. Others of its registry fetch from one that is advertised.
    """
    with held_port() as port:
        given = {"base": str(base), "store": store, "port": port, **settings}
        if advertised:
            given["advertise"] = f"http://127.0.0.1:{port}"
        with (
            forked(_serve, given, files, turns, log=log(store), variables=variables) as process,
            httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as http,
        ):
            _until_ready(process, http, store)
            yield process, http


def url_of(http: httpx2.Client) -> str:
    """Where a client's server is."""
    return str(http.base_url).rstrip("/")


def _until_ready(process: BaseProcess, http: httpx2.Client, store: Path) -> None:
    while True:
        assert process.is_alive(), log(store).read_text()
        try:
            assert http.get("/health/ready").status_code == 200
            return
        except httpx2.ConnectError:
            time.sleep(0.02)


def _serve(given: dict[str, Any], files: tuple[int, int] | None, turns: Turns | None) -> None:
    if turns:
        turns.watch()
    if files:
        resource.setrlimit(resource.RLIMIT_NOFILE, files)
    usual: dict[str, Any] = {"kv_cache_gb": 0.01, "dtype": "float32", "threads": 1}
    settings = Settings(**(usual | given))
    forward, delay = Runner.forward, _delay(settings.store)

    # The text of a file that is just being written may be empty.
    def delayed(runner: Runner, items: Sequence[Item]) -> Forward:
        with suppress(FileNotFoundError):
            text = delay.read_text() or "0"
            _taken(settings.store).write_text(text)
            time.sleep(float(text))
        return forward(runner, items)

    Runner.forward = delayed
    logging.basicConfig(level="INFO")
    with listening(settings) as sockets:
        serve(build_engine(settings), settings, sockets)
