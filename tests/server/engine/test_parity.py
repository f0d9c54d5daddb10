"""Every kind for every family: mixed with all others, a row answers as the reference alone."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from deltas.families import FAMILIES
from server.engine.limits import Limits
from tests.families import CONFIGS
from tests.models import DECODERS
from tests.server.engine.engines import (
    cache_of,
    generate_all,
    serving,
    tiny_base,
    tiny_engine,
    tiny_limits,
)
from tests.server.engine.references import Deltas, check_greedy, references

TOKENS = 64

Case = tuple[str, Deltas]

OTHERS = [
    pytest.param(name, marks=() if name in ("phi3", "gpt_neox") else pytest.mark.long)
    for name in CONFIGS
    if FAMILIES[name].causal
]


@pytest.fixture(scope="module", params=[*DECODERS, *OTHERS])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return request.param, references(request.param, tmp_path_factory.mktemp("deltas"))


@pytest.fixture(scope="module")
def prompts(case: Case) -> dict[str, Sequence[int]]:
    """A prompt of another length for each task."""
    generator = torch.Generator().manual_seed(5)
    return {
        task: torch.randint(3, 120, (4 + 3 * index,), generator=generator).tolist()
        for index, task in enumerate(case[1][1])
    }


def settings_of(family: str, plan: str) -> Limits:
    if plan == "roomy":
        return tiny_limits()
    # Room for the keys of a sequence and a half and two deltas, and steps shorter than any prompt.
    return tiny_limits(
        max_batch_tokens=5,
        max_deltas=2,
        host_cache_bytes=1,
        kv_cache_bytes=cache_of(tiny_base(family), 3 * (TOKENS + 32) // 2),
    )


@pytest.mark.parametrize("plan", ["roomy", "tight"])
async def test_mixed_batch_equals_the_reference(
    plan: str, case: Case, prompts: dict[str, Sequence[int]], tmp_path: Path
) -> None:
    family, (directories, answers) = case
    engine = tiny_engine(tiny_base(family), directories, tmp_path, settings_of(family, plan))
    async with serving(engine):
        found = await generate_all(engine, prompts, TOKENS)
    for task, reference in answers.items():
        check_greedy(reference, prompts[task], found[task], TOKENS)
    assert (engine.stats().preemptions > 0) == (plan == "tight")


def test_every_kind_changes_the_answer(case: Case) -> None:
    ids = torch.arange(5, 25)
    last = {task: answer(ids)[-1] for task, answer in case[1][1].items()}
    base = last.pop("base")
    assert all((logits - base).abs().max() > 0.1 for logits in last.values())
