"""Deltas at the LM head, which sees but one row of a sequence: each acts on its own rows."""

from collections.abc import Callable
from pathlib import Path

import pytest
from peft import IA3Config, LoraConfig, PeftConfig

from deltas.base import LM_HEAD_SITE
from tests.deltas.formats.peft_checkpoints import save, targets_of
from tests.kernels import without_kernels
from tests.models import DECODERS, tiny_model
from tests.server.engine.engines import generate_all, serving, tiny_base, tiny_engine
from tests.server.engine.references import Deltas, check_greedy, plain

TOKENS = 24
CONFIGS: dict[str, Callable[[str], PeftConfig]] = {
    "head": lambda family: _lora(4, [LM_HEAD_SITE]),
    "other-head": lambda family: _lora(2, [LM_HEAD_SITE]),
    "layers": lambda family: _lora(4, targets_of(family)),
    "both": lambda family: _lora(3, [*targets_of(family), LM_HEAD_SITE]),
    "scales": lambda family: IA3Config(
        task_type="CAUSAL_LM", target_modules=[LM_HEAD_SITE], feedforward_modules=[]
    ),
    "input-scales": lambda family: IA3Config(
        task_type="CAUSAL_LM", target_modules=[LM_HEAD_SITE], feedforward_modules=[LM_HEAD_SITE]
    ),
}


def _lora(rank: int, targets: list[str]) -> PeftConfig:
    return LoraConfig(task_type="CAUSAL_LM", r=rank, lora_alpha=6, target_modules=targets)


@pytest.fixture(scope="module", params=DECODERS)
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Deltas]:
    family, folder = request.param, tmp_path_factory.mktemp("deltas")
    answers = {"base": plain(tiny_model(family))}
    for name, config in CONFIGS.items():
        answers[name] = plain(save(family, config(family), folder / name))
    return family, ({name: folder / name for name in CONFIGS}, answers)


async def _check(case: tuple[str, Deltas], store: Path) -> None:
    family, (directories, answers) = case
    # Prompts of other lengths: rows that are given logits are nowhere near each other.
    prompts = {task: range(9, 13 + 4 * index) for index, task in enumerate(answers)}
    engine = tiny_engine(tiny_base(family), directories, store)
    async with serving(engine):
        found = await generate_all(engine, prompts, TOKENS)
    for task, reference in answers.items():
        check_greedy(reference, prompts[task], found[task], TOKENS)


async def test_mixed_they_answer_as_peft_alone(case: tuple[str, Deltas], tmp_path: Path) -> None:
    await _check(case, tmp_path)


async def test_without_kernels_they_do_too(case: tuple[str, Deltas], tmp_path: Path) -> None:
    with without_kernels():
        await _check(case, tmp_path)
