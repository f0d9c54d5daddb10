"""Traffic that changes tasks while they are asked, by good clients and by bad ones."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import httpx2

from deltas.delta import Delta
from deltas.formats import native
from deltas.kinds import KINDS
from tests import samples
from tests.soak.served import Served

_CLIENTS = 8
_NAMES = tuple(f"task-{number}" for number in range(12))
_ASKED = (*_NAMES, "base", "absent")
_LABELS = ("ham", "spam", "odd")
_GENERATING = tuple(kind for kind in KINDS if kind != "head")
_TEXTS = ("see you at noon", "You won a prize! Call now.", "naïve café — 東京 🙂", "x" * 90)
_JSON = {"content-type": "application/json"}
_HOSTILE = (
    b"", b"[" * 9000, b'{"task": 1, "task": 2}', b'{"task": "base", "input": "\xff"}',
    b'{"task": "base", "input": [' + b"-1," * 50_000 + b"-1]}",
    b'{"task": "base", "input": "' + b"word " * 50_000 + b'"}',
)  # fmt: skip

Act = Callable[[], Awaitable[httpx2.Response | None]]


class Traffic:
    """Clients that do one thing after another, drawn by a seed; `ends` counts how they ended."""

    def __init__(self, served: Served, http: httpx2.AsyncClient, seed: int) -> None:
        self.ends: Counter[str] = Counter()
        self._base = served.base
        self._http = http
        self._random = Random(seed)
        self._version = 0
        self._acts: dict[Act, int] = {
            self._put: 6, self._delete: 1, self._spoil: 2, self._infer: 8, self._batch: 2,
            self._complete: 4, self._chat: 4, self._list: 1, self._leave: 4, self._attack: 2,
        }  # fmt: skip

    async def run(self, until: float) -> None:
        """Go on until the event loop's clock says `until`."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_CLIENTS):
                group.create_task(self._client(until))

    async def _client(self, until: float) -> None:
        while asyncio.get_running_loop().time() < until:
            (act,) = self._random.choices(list(self._acts), list(self._acts.values()))
            try:
                response = await act()
                end = "left" if response is None else str(response.status_code)
            except httpx2.TransportError as error:
                end = type(error).__name__
            self.ends[f"{act.__name__.strip('_')} {end}"] += 1

    async def _put(self) -> httpx2.Response:
        """Upload a version that never was before."""
        return await self._upload(self._random.choice(_NAMES), self._files(self._delta()))

    async def _spoil(self) -> httpx2.Response:
        """Upload what is cut off or changed."""
        files = self._files(self._delta())
        name = self._random.choice(list(files))
        data = bytearray(files[name])
        data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)
        files[name] = bytes(data[: self._random.randrange(len(data))])
        return await self._upload(self._random.choice(_NAMES), files)

    async def _delete(self) -> httpx2.Response:
        return await self._http.delete(f"/v1/tasks/{self._random.choice(_NAMES)}")

    async def _infer(self) -> httpx2.Response:
        texts = self._random.choices(_TEXTS, k=self._random.randrange(1, 4))
        body = {"task": self._asked(), "input": texts, "parameters": self._options()}
        return await self._http.post("/v1/infer", json=body)

    async def _batch(self) -> httpx2.Response:
        requests = [
            {"task": self._asked(), "input": self._text(), "parameters": self._options()}
            for _ in range(self._random.randrange(1, 9))
        ]
        return await self._http.post("/v1/infer/batch", json={"requests": requests})

    async def _complete(self) -> httpx2.Response:
        body = {"model": self._asked(), "prompt": self._text(), "logprobs": 3, **self._options()}
        return await self._http.post("/v1/completions", json=body)

    async def _chat(self) -> httpx2.Response:
        return await self._http.post("/v1/chat/completions", json=self._chat_body())

    async def _list(self) -> httpx2.Response:
        return await self._http.get(self._random.choice(("/v1/tasks", "/v1/models", "/metrics")))

    async def _leave(self) -> None:
        """Begin to read a stream, and go."""
        body = self._chat_body() | {"stream": True, "max_tokens": 100}
        left = self._random.randrange(6)
        path = "/v1/chat/completions"
        async with self._http.stream("POST", path, json=body) as response:
            async for _ in response.aiter_lines():
                left -= 1
                if left < 0:
                    return

    async def _attack(self) -> httpx2.Response:
        path = self._random.choice(("/v1/infer", "/v1/completions", "/v1/tasks/x"))
        content = self._random.choice(_HOSTILE)
        method = "PUT" if path.startswith("/v1/tasks") else "POST"
        return await self._http.request(method, path, content=content, headers=_JSON)

    async def _upload(self, name: str, files: dict[str, bytes]) -> httpx2.Response:
        parts = [("files", (each, data)) for each, data in files.items()]
        return await self._http.put(f"/v1/tasks/{name}", files=parts)

    def _delta(self) -> Delta:
        self._version += 1
        kind = self._random.choice(_GENERATING)
        if self._random.random() < 0.3 and kind in ("lora", "bottleneck"):
            return samples.classifier(self._base, _LABELS, kind, self._version)
        return samples.generator(kind, self._base, self._version)

    def _files(self, delta: Delta) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as folder:
            native.write(delta, Path(folder), self._base)
            return {path.name: path.read_bytes() for path in Path(folder).iterdir()}

    def _asked(self) -> str:
        return self._random.choice(_ASKED)

    def _text(self) -> str:
        return self._random.choice(_TEXTS)

    def _options(self) -> dict[str, Any]:
        return {"max_tokens": self._random.randrange(1, 24), "temperature": 1.0}

    def _chat_body(self) -> dict[str, Any]:
        messages = [{"role": "user", "content": self._text()}]
        return {"model": self._asked(), "messages": messages, **self._options()}
