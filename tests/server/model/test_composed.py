"""Several kinds in one delta act in the order that the reference libraries compose them in.

PEFT merges a LoRA into the base, an adapter acts behind that, and PEFT's IA3 scales what is there.
"""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from peft import IA3Config, LoraConfig
from torch import Tensor

from deltas.base import describe
from deltas.delta import Delta, Part, TaskType
from deltas.families import FAMILIES
from deltas.formats import load
from deltas.kinds import Extent
from deltas.segments import BASE_SLOT
from deltas.site import Role
from server.model.batch import Item
from server.model.runner import Runner
from tests.deltas.formats.peft_checkpoints import (
    feed_forward_of,
    reference,
    save,
    save_over,
    targets_of,
)
from tests.kernels import without_kernels
from tests.models import DECODERS, ENCODERS, tiny_model
from tests.server.engine.engines import tiny_base
from tests.server.engine.references import TOLERANCE, adapt, bottleneck

TEXT = list(range(5, 30))
BLOCKS = 2
ALONE, COMPOSED = 1, 2


@dataclass(frozen=True)
class Case:
    """A LoRA, the parts of a delta that it is one kind of, and what the libraries make of both."""

    family: str
    lora: list[Part]
    composed: list[Part]
    expected: dict[int, Tensor]


@pytest.fixture(scope="module", params=(*DECODERS, *ENCODERS))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    family, folder = request.param, tmp_path_factory.mktemp("deltas")
    settings: dict[str, Any] = {
        "task_type": "CAUSAL_LM" if FAMILIES[family].causal else "FEATURE_EXTRACTION",
        "target_modules": targets_of(family),
    }
    ids, base = torch.tensor(TEXT), describe(tiny_model(family), f"tiny-{family}")
    model = save(family, LoraConfig(r=4, lora_alpha=6, **settings), folder / "lora")
    expected = {ALONE: reference(model, ids)}
    merged, adapters = model.merge_and_unload(), bottleneck(base, seed=11)
    adapt(merged, base, adapters)
    scaling = IA3Config(feedforward_modules=feed_forward_of(family), **settings)
    expected[COMPOSED] = reference(save_over(merged, scaling, folder / "ia3"), ids)
    lora, scales = (
        [
            part
            for part in load(folder / name, base).parts
            if base.sites[part.site].role is Role.LINEAR
        ]
        for name in ("lora", "ia3")
    )
    return Case(family, lora, [*lora, *adapters, *scales], expected)


def answers(case: Case, composed: list[Part]) -> dict[int, Tensor]:
    """What a step says that holds a row of each delta between rows of the base."""
    causal = FAMILIES[case.family].causal
    task = TaskType.GENERATE if causal else TaskType.EMBED
    runner = Runner(tiny_base(case.family), 4 * BLOCKS)
    for slot, parts in ((COMPOSED, composed), (ALONE, case.lora)):
        runner.wiring.install(slot, Delta(task, tuple(parts)))
    items = [
        Item(
            slot, TEXT, 0, Extent(), range(BLOCKS * at, BLOCKS * (at + 1)),
            wants_logits=causal, wants_hidden=not causal,
        )
        for at, slot in enumerate((BASE_SLOT, ALONE, BASE_SLOT, COMPOSED))
    ]  # fmt: skip
    forward = runner.forward(items)
    found = forward.logits if causal else [forward.hidden[at] for at in range(len(items))]
    return {item.slot: rows for item, rows in zip(items, found, strict=True)}


def check(case: Case) -> None:
    # Whatever order their parts came in.
    for composed in (case.composed, case.composed[::-1]):
        found = answers(case, composed)
        for slot, rows in case.expected.items():
            expected = rows[-1] if FAMILIES[case.family].causal else rows
            torch.testing.assert_close(found[slot], expected, rtol=0, atol=TOLERANCE)


def test_kinds_compose_as_in_the_libraries(case: Case) -> None:
    check(case)


def test_without_kernels_they_do_too(case: Case) -> None:
    with without_kernels():
        check(case)
