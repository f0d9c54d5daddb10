"""Crowds: clients that ask again and again, and come again when they are told to."""

import asyncio
import random
from collections.abc import Callable, Sequence

import httpx2

from server.bench.endpoint import Endpoint
from server.bench.errors import BenchError, Refused
from server.bench.load import PROMPT_TOKENS, Load
from server.bench.tally import Tally

_SPREAD = (0.5, 1.5)
"""Answers are of different lengths, or all places would be free at the same moments."""

_TIMEOUT = httpx2.Timeout(None, connect=30.0)


class Crowd:
    """So many clients of one server, each with one request at a time; their models take turns.

    The first `load.concurrency` answers do not count, the `load.requests` after them do, each of
    which `done` follows.
    """

    def __init__(
        self,
        server: Endpoint,
        models: Sequence[str],
        load: Load,
        clients: int,
        done: Callable[[], object],
    ) -> None:
        self._server = server
        self._models = models
        self._load = load
        self._clients = clients
        self._done = done
        self._warm = Tally()
        self._counted: Tally | None = None
        self._enough = asyncio.Event()

    async def run(self) -> Tally:
        """Ask until there are enough answers; raises BenchError where a request fails."""
        limits = httpx2.Limits(max_connections=self._clients)
        url = self._server.url
        async with httpx2.AsyncClient(base_url=url, limits=limits, timeout=_TIMEOUT) as http:
            try:
                async with asyncio.TaskGroup() as group:
                    clients = [
                        group.create_task(self._ask(http, number))
                        for number in range(self._clients)
                    ]
                    await self._enough.wait()
                    for client in clients:
                        client.cancel()
            except* BenchError as failed:
                raise failed.exceptions[0] from None
        return self._counted or self._warm

    async def _ask(self, http: httpx2.AsyncClient, number: int) -> None:
        draw = random.Random(f"{self._clients}-{number}")
        model = self._models[number % len(self._models)]
        # They do not come all at once.
        await asyncio.sleep(draw.random())
        while True:
            prompt = draw.choices(PROMPT_TOKENS, k=self._load.input_tokens)
            tokens = max(1, round(self._load.output_tokens * draw.uniform(*_SPREAD)))
            returned = False
            while (again := await self._attempt(http, model, prompt, tokens, returned)) is not None:
                returned = True
                await asyncio.sleep(again)

    async def _attempt(
        self, http: httpx2.AsyncClient, model: str, prompt: list[int], tokens: int, returned: bool
    ) -> float | None:
        """Ask once; returns how many seconds to wait before the same is asked again, if it is."""
        tally = self._counted or self._warm
        try:
            (timing,) = await self._server.ask(http, model, [prompt], tokens)
        except Refused as refusal:
            tally.add(None, returned=returned)
            return refusal.retry_after
        tally.add(timing, returned=returned)
        self._count(tally)
        return None

    def _count(self, tally: Tally) -> None:
        if tally is self._warm:
            if self._counted is None and len(tally.timings) >= self._load.concurrency:
                self._counted = Tally()
        elif len(tally.timings) <= self._load.requests:
            self._done()
            if len(tally.timings) == self._load.requests:
                self._enough.set()
