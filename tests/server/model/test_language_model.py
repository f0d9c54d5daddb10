"""Language models inside models that read more than text: they answer as the whole does."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from torch import Tensor

from deltas.errors import InvalidDelta, UnsupportedBase, UnsupportedDelta
from deltas.formats import load
from deltas.formats.peft import CONFIG, WEIGHTS
from deltas.kinds import Extent
from deltas.segments import BASE_SLOT
from server.model.base import Base, load_base
from server.model.batch import Item
from server.model.runner import Runner
from tests.bases import save_base
from tests.deltas.formats.peft_checkpoints import reference, save_over
from tests.server.engine.references import TOLERANCE
from tests.server.model.mixed import BLOCKS_EACH
from tests.vision_models import FAMILIES, OLDER, save_vision_model, tiny_vision_model

IDS = torch.arange(5, 25)
TARGETS = ["q_proj", "v_proj", "down_proj"]
REGULAR = r".*(?:language|text).*(?:self_attn|mlp).*(?:q_proj|v_proj|down_proj)"


def base_of(folder: Path) -> Base:
    return load_base("tiny", folder, torch.float32, torch.device("cpu"))


def logits(runner: Runner, slot: int = BASE_SLOT) -> Tensor:
    item = Item(slot, IDS.tolist(), 0, Extent(), range(BLOCKS_EACH), wants_logits=True)
    return runner.forward([item]).logits[0]


def rename(folder: Path, renamed: Callable[[str], str]) -> None:
    tensors = load_file(folder / WEIGHTS)
    save_file({renamed(name): each for name, each in tensors.items()}, folder / WEIGHTS)


def answer(base: Path, folder: Path) -> Tensor:
    runner = Runner(base_of(base), BLOCKS_EACH)
    runner.wiring.install(1, load(folder, runner.base.spec))
    return logits(runner, 1)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapter_of_the_whole_model_answers_texts_as_peft_does(
    family: str, tmp_path: Path
) -> None:
    whole = save_vision_model(family, tmp_path / "base")
    runner = Runner(base_of(whole), BLOCKS_EACH)
    bare = tiny_vision_model(family)
    close(logits(runner), bare(input_ids=IDS[None]).logits[0, -1])
    config = LoraConfig(r=4, target_modules=TARGETS, task_type="CAUSAL_LM")
    model = save_over(bare, config, tmp_path / "adapter")
    runner.wiring.install(1, load(tmp_path / "adapter", runner.base.spec))
    close(logits(runner, 1), reference(model, IDS)[-1])


@pytest.mark.parametrize("family", FAMILIES)
def test_what_reads_pictures_is_let_go_of(family: str, tmp_path: Path) -> None:
    base = base_of(save_vision_model(family, tmp_path))
    head, inner = base.lm_head, base.model.base_model
    own = {id(each) for each in [*inner.parameters(), *head.parameters()]}
    assert {id(each) for each in base.model.parameters()} == own


@pytest.mark.parametrize("family", OLDER)
@pytest.mark.parametrize("targets", [[*TARGETS, "lm_head"], REGULAR], ids=["ends", "expression"])
def test_names_of_older_versions_are_read(
    family: str, targets: list[str] | str, tmp_path: Path
) -> None:
    whole, folder = save_vision_model(family, tmp_path / "base"), tmp_path / "adapter"
    config = LoraConfig(r=4, target_modules=targets, task_type="CAUSAL_LM")
    model = save_over(tiny_vision_model(family), config, folder)
    expected = reference(model, IDS)
    if family == "qwen2_vl" and isinstance(targets, str):
        settings = json.loads((folder / CONFIG).read_text())
        older = settings | {"target_modules": r"model\.layers\..*(?:q_proj|v_proj|down_proj)"}
        (folder / CONFIG).write_text(json.dumps(older))
    rename(folder, OLDER[family])
    close(answer(whole, folder), expected[-1])


def test_an_adapter_of_what_reads_pictures_alone_is_refused(tmp_path: Path) -> None:
    whole, folder = save_vision_model("llava", tmp_path / "base"), tmp_path / "adapter"
    config = LoraConfig(r=4, target_modules=r".*vision_tower.*q_proj", task_type="CAUSAL_LM")
    save_over(tiny_vision_model("llava"), config, folder)
    with pytest.raises(InvalidDelta, match="would change nothing"):
        load(folder, base_of(whole).spec)


def test_a_whole_copy_of_the_projector_changes_no_text(tmp_path: Path) -> None:
    whole, folder = save_vision_model("llava", tmp_path / "base"), tmp_path / "adapter"
    config = LoraConfig(
        r=4,
        target_modules=TARGETS,
        modules_to_save=["multi_modal_projector"],
        task_type="CAUSAL_LM",
    )
    model = save_over(tiny_vision_model("llava"), config, folder)
    close(answer(whole, folder), reference(model, IDS)[-1])


def test_a_name_of_no_module_is_still_refused(tmp_path: Path) -> None:
    whole, folder = save_vision_model("llava", tmp_path / "base"), tmp_path / "adapter"
    config = LoraConfig(r=4, target_modules=TARGETS, task_type="CAUSAL_LM")
    save_over(tiny_vision_model("llava"), config, folder)
    tensors = load_file(folder / WEIGHTS)
    save_file(tensors | {"base_model.model.model.ears.weight": torch.ones(2)}, folder / WEIGHTS)
    with pytest.raises(UnsupportedDelta, match=r"ears\.weight"):
        load(folder, base_of(whole).spec)


def test_a_processors_chat_template_is_the_bases(tmp_path: Path) -> None:
    whole = save_vision_model("llava", tmp_path)
    (whole / "chat_template.jinja").unlink()
    assert base_of(whole).tokenizer.chat_template is None
    (whole / "chat_template.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    assert base_of(whole).tokenizer.chat_template == "{{ messages }}"
    (whole / "chat_template.json").write_text("{{ messages }}")
    with pytest.raises(UnsupportedBase, match=r"chat_template\.json is not JSON"):
        base_of(whole)


def test_what_wants_pictures_with_every_text_is_refused(tmp_path: Path) -> None:
    whole = save_vision_model("llava", tmp_path)
    base = base_of(whole)

    def forward(pixel_values: Tensor, **inputs: Tensor) -> Tensor:
        raise AssertionError(pixel_values, inputs)

    base.model.get_submodule("whole").forward = forward
    with pytest.raises(UnsupportedBase, match="cannot be given text alone"):
        Runner(base, BLOCKS_EACH)


def test_a_text_model_has_nothing_beside_it(tmp_path: Path) -> None:
    assert base_of(save_base("llama", tmp_path)).spec.family.beside == ()
