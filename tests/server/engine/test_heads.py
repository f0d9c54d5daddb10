"""Heads: classifiers, taggers and embeddings of every kind and family, mixed in one engine."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from server.engine.engine import Engine
from server.engine.output import Output
from server.engine.request import Request
from tests.deltas.formats.peft_checkpoints import save
from tests.models import DECODERS, ENCODERS, tiny_model
from tests.server.engine.engines import (
    ask,
    generate_all,
    serving,
    tiny_base,
    tiny_engine,
    tiny_limits,
    words,
)
from tests.server.engine.heads import TASKS, Headed, check_embedding, embeds, headed
from tests.server.engine.references import PEFT, Reference, check_greedy, plain

KINDS = ("lora", "ia3", "prompt", "prefix", "bottleneck")
TEXTS = 3

Case = tuple[str, dict[str, Headed], dict[str, Reference]]
"""A family, its tasks with heads and what its generating tasks should write."""


def cases(family: str, tasks: tuple[str, ...], folder: Path) -> dict[str, Headed]:
    """A task for each kind and type, each with another number of labels."""
    # PEFT cannot run a prefix over DistilBERT, which takes no past keys.
    kinds = [kind for kind in KINDS if (kind, family) != ("prefix", "distilbert")]
    pairs = [(kind, task) for task in tasks for kind in kinds]
    return {
        f"{kind}-{task}": headed(family, kind, task, 2 + index, folder)
        for index, (kind, task) in enumerate(pairs)
    }


def texts(tasks: list[str], seed: int) -> dict[str, list[list[int]]]:
    """For each task as many texts, all of other lengths."""
    random = torch.Generator().manual_seed(seed)
    lengths = iter((1 + torch.randperm(TEXTS * len(tasks), generator=random)).tolist())
    return {
        task: [
            torch.randint(4, 120, (next(lengths),), generator=random).tolist() for _ in range(TEXTS)
        ]
        for task in tasks
    }


async def answers(engine: Engine, inputs: Mapping[str, list[list[int]]]) -> dict[str, list[Output]]:
    """Every text of every task, all at once and in turns."""
    order = [(task, index) for index in range(TEXTS) for task in inputs]
    found = await asyncio.gather(
        *(
            ask(engine, Request(f"{task}/{index}", task, words(inputs[task][index])))
            for task, index in order
        )
    )
    outputs: dict[str, list[Output]] = {task: [] for task in inputs}
    for (task, _), output in zip(order, found, strict=True):
        outputs[task] += output
    return outputs


@pytest.fixture(scope="module", params=ENCODERS)
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("deltas")
    return request.param, cases(request.param, tuple(TASKS), folder), {}


@pytest.fixture(scope="module", params=DECODERS)
def decoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    family, folder = request.param, tmp_path_factory.mktemp("deltas")
    lora = plain(save(family, PEFT["lora"](family, "CAUSAL_LM"), folder / "lora"))
    writers = {"base": plain(tiny_model(family)), "lora": lora}
    return family, cases(family, ("SEQ_CLS",), folder), writers


@pytest.mark.parametrize("rows", [40, 4096])
async def test_all_heads_of_an_encoder_mixed(encoder: Case, rows: int, tmp_path: Path) -> None:
    family, tasks, _ = encoder
    inputs = texts([*tasks, "base"], seed=rows)
    engine = tiny_engine(
        tiny_base(family),
        {name: task.directory for name, task in tasks.items()},
        tmp_path,
        tiny_limits(max_batch_tokens=rows, max_deltas=3 if rows == 40 else 16),
    )
    async with serving(engine):
        found = await answers(engine, inputs)
    for name, task in tasks.items():
        for tokens, output in zip(inputs[name], found[name], strict=True):
            task.check(tokens, output)
    bare = embeds(tiny_model(family))
    for tokens, output in zip(inputs["base"], found["base"], strict=True):
        check_embedding(output, bare(torch.tensor(tokens)))


@pytest.mark.parametrize("rows", [7, 4096])
async def test_classifiers_share_a_decoder_with_generation(
    decoder: Case, rows: int, tmp_path: Path
) -> None:
    family, tasks, writers = decoder
    inputs = texts(list(tasks), seed=rows)
    directories = {name: task.directory for name, task in tasks.items()}
    directories["lora"] = directories["lora-SEQ_CLS"].parent / "lora"
    engine = tiny_engine(
        tiny_base(family), directories, tmp_path, tiny_limits(max_batch_tokens=rows)
    )
    prompts = {name: list(range(9, 15 + index)) for index, name in enumerate(writers)}
    async with serving(engine):
        found, written = await asyncio.gather(
            answers(engine, inputs), generate_all(engine, prompts, 12)
        )
    for name, task in tasks.items():
        for tokens, output in zip(inputs[name], found[name], strict=True):
            task.check(tokens, output)
    for name, writer in writers.items():
        check_greedy(writer, prompts[name], written[name], 12)
