"""Several choices of one request: each ends by itself, and what it held is free at once."""

from dataclasses import replace
from pathlib import Path

from server.engine.output import Generated, Piece
from server.engine.request import Request, Sampling
from tests.server.engine.engines import (
    ask,
    generate,
    serving,
    tiny_base,
    tiny_engine,
    tiny_limits,
    until,
)
from tests.server.engine.pacing import paced
from tests.server.engine.references import Deltas, check_greedy

PROMPT = tuple(range(9, 16))
SAMPLING = Sampling(max_tokens=120, n=2, temperature=1, seed=3, ignore_eos=True)


def joined(pieces: list[Piece], index: int) -> str:
    return "".join(piece.text for piece in pieces if piece.index == index)


async def test_a_stop_string_ends_one_choice_and_no_other(llama: Deltas, tmp_path: Path) -> None:
    engine = tiny_engine(tiny_base("llama"), llama[0], tmp_path, tiny_limits(max_deltas=1))
    scheduler = engine.core.scheduler
    async with serving(engine):
        first, second = await ask(engine, Request("plain", "lora", PROMPT, SAMPLING))
        assert isinstance(first, Generated)
        assert isinstance(second, Generated)
        words = first.text.split()
        at = next(i for i, word in enumerate(words) if i >= 20 and word not in second.text)
        before, stop, _ = first.text.partition(words[at])
        pieces: list[Piece] = []
        with paced(engine) as steps:
            stopping = Request("x", "lora", PROMPT, replace(SAMPLING, stop=(stop,)))
            answer = await engine.submit(stopping)
            # One step a token; it is told while the next step may hold the row yet.
            steps(len(before.split()) + 1)
            coming = aiter(answer)
            while not any(piece.finish_reason for piece in pieces):
                pieces.append(await anext(coming))
            steps(1)
            blocks = scheduler.blocks
            assert blocks is not None
            await until(lambda: len(scheduler.running) == 1)
            (left,) = scheduler.running
            await until(lambda: blocks.total - blocks.free == len(left.blocks))
        pieces += [piece async for piece in coming]
        assert (joined(pieces, 0), joined(pieces, 1)) == (before, second.text)
        assert [piece.finish_reason for piece in pieces if piece.finish_reason] == [
            "stop",
            "length",
        ]
        # The only slot is not kept for what has ended.
        check_greedy(llama[1]["ia3"], PROMPT, await generate(engine, "y", "ia3", PROMPT, 9), 9)
