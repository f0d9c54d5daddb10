import asyncio
from collections.abc import AsyncGenerator

import pytest
from pydantic import BaseModel
from starlette.types import Message

from server.api import events


class Chunk(BaseModel):
    text: str


async def test_a_reader_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "SEND_TIMEOUT", 0.05)
    closed = asyncio.Event()

    async def chunks() -> AsyncGenerator[Chunk]:
        try:
            while True:
                yield Chunk(text="more")
        finally:
            closed.set()

    async def receive() -> Message:
        return await asyncio.Future()

    sent: list[Message] = []

    async def send(message: Message) -> None:
        if len(sent) == 3:
            await asyncio.Future()
        sent.append(message)

    await events.EventStream("req", Chunk(text="first"), chunks())({}, receive, send)
    assert closed.is_set()
    assert [message["body"] for message in sent[1:]] == [
        b'data: {"text":"first"}\n\n',
        b'data: {"text":"more"}\n\n',
    ]
