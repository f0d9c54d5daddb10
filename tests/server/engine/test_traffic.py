"""Traffic that shifts under streams: none fails, and none mixes versions."""

import asyncio
from collections import Counter
from pathlib import Path

from deltas.delta import DeltaRef
from server.engine.engine import Engine
from server.engine.output import Generated
from server.engine.request import Call, Request, Sampling
from server.registry.names import shared
from tests.server.engine.engines import ask, serving, tiny_base, tiny_engine, until
from tests.server.engine.references import Deltas

TASK = shared("moving")
PROMPT = tuple(range(9, 19))
STREAMS = 64


def request(key: str, task: str, call: Call | None = None) -> Request:
    sampling = Sampling(max_tokens=12, ignore_eos=True)
    return Request(key, task, PROMPT, sampling, call=call or Call())


def tokens_of(output: object) -> tuple[int, ...]:
    assert isinstance(output, Generated)
    return output.tokens


async def test_shares_move_and_versions_go_back_under_streams(
    llama: Deltas, tmp_path: Path
) -> None:
    engine = tiny_engine(tiny_base("llama"), {"moving": llama[0]["lora"]}, tmp_path)
    engine.registry.put(TASK, llama[0]["ia3"], activate=False)
    async with serving(engine):
        expected = {
            version.ref: tokens_of((await ask(engine, request(f"v{n}", f"moving@{n}")))[0])
            for n, version in enumerate(engine.registry.versions.of(TASK).versions, 1)
        }
        assert len({*expected.values()}) == 2
        seen: Counter[DeltaRef] = Counter()
        stopped = asyncio.Event()
        async with asyncio.TaskGroup() as streams:
            for stream in range(STREAMS):
                streams.create_task(keep_asking(engine, stream, expected, seen, stopped))
            for round_ in range(3):
                await more(seen)
                for share in (10, 50):
                    shares = {"1": 100 - share, "2": share}
                    shadow = "2" if round_ == 1 else None
                    await asyncio.to_thread(engine.registry.sharing.share, TASK, shares, shadow)
                    await more(seen)
                for which in ("2", "1"):
                    await asyncio.to_thread(engine.registry.versions.activate, TASK, which)
                    await more(seen)
            stopped.set()
        assert seen.keys() == expected.keys()


async def more(seen: Counter[DeltaRef]) -> None:
    """Wait for as many answers as there are streams."""
    wanted = seen.total() + STREAMS
    await until(lambda: seen.total() >= wanted)


async def keep_asking(
    engine: Engine,
    stream: int,
    expected: dict[DeltaRef, tuple[int, ...]],
    seen: Counter[DeltaRef],
    stopped: asyncio.Event,
) -> None:
    number = 0
    while not stopped.is_set():
        number += 1
        asked = request(f"{stream}/{number}", "moving", Call(key=f"{stream}"))
        async with await engine.submit(asked) as answer:
            pieces = [piece async for piece in answer]
        tokens = tuple(token for piece in pieces for token in piece.tokens)
        assert tokens == expected[answer.version.ref]
        assert asked.call.versions == {answer.version.ref}
        seen[answer.version.ref] += 1
