"""A real HTTP server on loopback that gives scripted replies, faults included."""

import asyncio
import json
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.types import Receive, Scope, Send


@dataclass(frozen=True)
class Reply:
    """One answer: its chunks are sent one by one, then the connection ends, breaks or hangs."""

    chunks: list[bytes]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    breaks: bool = False
    hangs: bool = False


@dataclass(frozen=True)
class Received:
    """What one request brought; `port` is the client's, one for each connection."""

    method: str
    path: str
    headers: dict[str, str]
    port: int
    json: Any = None
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])


def answer(body: object, status: int = 200, **headers: str) -> Reply:
    """A JSON answer; underscores in the names of headers stand for hyphens."""
    names = {"content-type": "application/json", "x-request-id": "req-1"}
    names |= {key.replace("_", "-"): value for key, value in headers.items()}
    return Reply([json.dumps(body).encode()], status, names)


def problem(status: int, code: str, message: str, **headers: str) -> Reply:
    """An error in the contract's shape."""
    error = {"message": message, "type": "invalid_request_error", "param": "task", "code": code}
    body = {"type": "about:blank", "title": code, "status": status, "detail": message}
    return answer(body | {"instance": "/v1", "error": error}, status, **headers)


def events(*chunks: bytes, breaks: bool = False, hangs: bool = False) -> Reply:
    """A stream of server-sent events, cut into the given chunks."""
    headers = {"content-type": "text/event-stream", "x-request-id": "req-1"}
    return Reply(list(chunks), headers=headers, breaks=breaks, hangs=hangs)


def event(body: object) -> bytes:
    """One server-sent event with a JSON body."""
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n".encode()


class ScriptedServer:
    """Serves `replies` in order and keeps what it `received`; `cancelled` tells of a disconnect."""

    def __init__(self) -> None:
        self.replies: deque[Reply] = deque()
        self.received: list[Received] = []
        self.cancelled = threading.Event()
        config = uvicorn.Config(self, port=0, log_level=60, lifespan="off", ws="none", http="h11")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._server.serve()), daemon=True
        )

    @property
    def url(self) -> str:
        """Where the server listens."""
        host, port = self._server.servers[0].sockets[0].getsockname()
        return f"http://{host}:{port}"

    def script(self, *replies: Reply) -> None:
        """Give these replies to the next requests, in order."""
        self.replies.extend(replies)

    def start(self) -> None:
        """Listen, in a thread."""
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)

    def stop(self) -> None:
        """Stop listening, whoever is still connected; the daemon thread outlives nothing."""
        self._server.force_exit = True
        self._server.should_exit = True
        self._thread.join(timeout=10)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.received.append(await _read(Request(scope, receive)))
        reply = self.replies.popleft()
        headers = [(key.encode(), value.encode()) for key, value in reply.headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        for chunk in reply.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if reply.breaks:
            raise ConnectionAbortedError("scripted")
        if reply.hangs:
            await _disconnected(receive)
            self.cancelled.set()
        await send({"type": "http.response.body", "body": b""})


async def _read(request: Request) -> Received:
    body, files = None, dict[str, bytes]()
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form() as form:
            for _, part in form.multi_items():
                if isinstance(part, UploadFile) and part.filename is not None:
                    files[part.filename] = await part.read()
    elif raw := await request.body():
        body = json.loads(raw)
    path = request.scope["raw_path"].decode()
    port = request.scope["client"][1]
    return Received(request.method, path, dict(request.headers), port, body, files)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
