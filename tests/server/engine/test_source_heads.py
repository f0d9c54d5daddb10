"""Classifiers over encoder-decoders, as PEFT and Transformers have them, beside what writes."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftConfig, PeftModel, TaskType
from torch import Tensor

from deltas.base import describe
from deltas.errors import UnsupportedDelta
from deltas.families import FAMILIES
from deltas.formats import load
from server.engine.engine import Engine
from server.engine.output import Generated, Output
from server.engine.request import Request, Sampling
from server.model.base import Base
from tests.deltas.formats.peft_checkpoints import reference, save_over
from tests.encoder_decoders import tiny_encoder_decoder, tiny_source_classifier
from tests.server.engine.engines import ask, serving, tiny_engine, tiny_limits, tiny_tokenizer
from tests.server.engine.heads import check_classified

END = 2
LABELS = 3
_TARGETS = {
    "t5": ["q", "v", "wo"],
    "mt5": ["q", "v", "wo"],
    "bart": ["q_proj", "v_proj", "fc2"],
    "mbart": ["q_proj", "v_proj", "fc2"],
}
_HEAD = ["classification_head"]


def configs(family: str) -> dict[str, PeftConfig]:
    targets = _TARGETS[family]
    return {
        "lora": LoraConfig(
            task_type=TaskType.SEQ_CLS, r=4, target_modules=targets, modules_to_save=_HEAD
        ),
        "ia3": IA3Config(
            task_type=TaskType.SEQ_CLS,
            target_modules=targets,
            feedforward_modules=targets[-1:],
            modules_to_save=_HEAD,
        ),
    }


def source_of(at: int) -> list[int]:
    generator = torch.Generator().manual_seed(at)
    return [*torch.randint(3, 120, (3 + 9 * at,), generator=generator).tolist(), END]


def expected(model: PeftModel, source: Sequence[int]) -> Tensor:
    with torch.no_grad():
        return reference(model, torch.tensor(source))


async def answered(engine: Engine, task: str, source: Sequence[int]) -> Output:
    sampling = Sampling(max_tokens=4, min_tokens=4, ignore_eos=True)
    (output,) = await ask(engine, Request(f"{task}/{source}", task, tuple(source), sampling))
    return output


@pytest.mark.parametrize("rows", [16, 4096])
@pytest.mark.parametrize("family", _TARGETS)
async def test_labels_are_peft_s_alone_and_among_texts(
    family: str, rows: int, tmp_path: Path
) -> None:
    models = {
        name: save_over(tiny_source_classifier(family, LABELS), config, tmp_path / name)
        for name, config in configs(family).items()
    }
    model = tiny_encoder_decoder(family)
    base = Base(describe(model, "tiny"), model, tiny_tokenizer())
    folders = {name: tmp_path / name for name in models}
    engine = tiny_engine(base, folders, tmp_path / "store", tiny_limits(max_batch_tokens=rows))
    asked = [(task, source_of(at)) for at in range(3) for task in (*models, "base")]
    async with serving(engine):
        together = await asyncio.gather(*(answered(engine, *each) for each in asked))
        for (task, source), output in zip(asked, together, strict=True):
            assert await answered(engine, task, source) == output
            if task == "base":
                assert isinstance(output, Generated)
            else:
                check_classified(output, expected(models[task], source))


def test_what_transformers_labels_no_sources_with_is_refused(tmp_path: Path) -> None:
    save_over(tiny_source_classifier("bart", LABELS), configs("bart")["lora"], tmp_path)
    spec = describe(tiny_encoder_decoder("marian"), "tiny")
    with pytest.raises(UnsupportedDelta, match=r"train it as SEQ_2_SEQ_LM\.$"):
        load(tmp_path, spec)


def test_what_labels_words_is_refused_and_told_what_is_done(tmp_path: Path) -> None:
    config = LoraConfig(task_type=TaskType.TOKEN_CLS, target_modules=["q"])
    save_over(tiny_encoder_decoder("t5"), config, tmp_path)
    spec = describe(tiny_encoder_decoder("t5"), "tiny")
    with pytest.raises(UnsupportedDelta, match="or as SEQ_CLS to label them"):
        load(tmp_path, spec)


def test_the_families_with_classifiers_are_tried() -> None:
    known = {name for name, each in FAMILIES.items() if each.encoder and each.classifier}
    assert known == set(_TARGETS)
