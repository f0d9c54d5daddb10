"""Who asks is told by one look, however many keys and tenants there are."""

import asyncio
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from starlette.types import Message, Receive, Scope, Send

from server.api.http.keys import KeyCheck
from server.api.http.rate_limits import RateLimits
from server.api.rates import Rates
from server.registry.access import Access
from server.registry.catalogue.keys import Keys
from server.registry.catalogue.sqlite import Sqlite
from server.registry.catalogue.tenants import Tenants
from server.registry.keys import Scope as KeyScope
from server.registry.keys import new_key
from tests.steps import steps_of

MANY = 1000


class AtOnce(Sqlite):
    """A database all of whose changes are one transaction."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._one = super().transaction()
        self._connection = self._one.__enter__()

    @contextmanager
    def transaction(self) -> Generator[Connection]:
        yield self._connection

    def end(self) -> None:
        self._one.__exit__(None, None, None)
        self.close()


class Guarded:
    """Keys of as many tenants, each with limits, before an application that answers everybody."""

    def __init__(self, folder: Path, count: int) -> None:
        writing = AtOnce(folder / f"{count}.sqlite3")
        keys, tenants = Keys(writing), Tenants(writing)
        for number in range(count):
            key, self.key = new_key(f"key-{number}", f"tenant-{number}", [KeyScope.INFER])
            keys.add(key)
            tenants.change(key.tenant, lambda known: replace(known, requests_per_minute=600))
        writing.end()
        with closing(Sqlite(writing.path)) as database:
            access = Access(database, folder)
            access.read()
        self._app = KeyCheck(RateLimits(_answer, Rates(access)), access)

    def ask(self, key: str) -> int:
        """The status of a request for an answer."""
        statuses: list[int] = []

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": "/v1/infer",
            "headers": [(b"x-api-key", key.encode())],
            "client": ("127.0.0.1", 1),
            "state": {"request_id": "req-1"},
        }
        asyncio.run(self._app(scope, _no_body, send))
        return statuses[0]


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Guarded, Guarded]:
    folder = tmp_path_factory.mktemp("keys")
    return Guarded(folder, 1), Guarded(folder, MANY)


def test_a_request_is_as_much_work_with_many_keys_as_with_one(
    guarded: tuple[Guarded, Guarded],
) -> None:
    for each in guarded:
        assert (each.ask(each.key), each.ask("wrong")) == (200, 401)
    known, unknown = ({steps_of(lambda e=e, k=k: e.ask(k)) for e, k in asked} for asked in (
        [(each, each.key) for each in guarded],
        [(each, "wrong") for each in guarded],
    ))  # fmt: skip
    assert len(known) == len(unknown) == 1
