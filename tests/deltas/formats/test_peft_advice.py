"""What refusals advise is done here as they say it: what comes of it must answer as PEFT does."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForQuestionAnswering, PreTrainedModel

from deltas.base import describe
from deltas.delta import TaskType
from deltas.errors import UnsafeDelta, UnsupportedDelta
from deltas.formats import load
from deltas.formats.peft.refusals import CONVERTIBLE
from tests.deltas.formats.peft_checkpoints import quietly, reference, save, save_over, train
from tests.deltas.running import run
from tests.models import seeded, tiny_classifier, tiny_config, tiny_model, tiny_tagger

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
IDS = torch.tensor([5, 17, 80, 3, 44, 101, 9])
TARGETS: dict[str, Any] = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj", "v_proj"]}


def answer(directory: Path) -> Tensor:
    model = tiny_model("llama")
    return run(model, load(directory, describe(model, "tiny")), IDS)


def loaded(directory: Path) -> PeftModel:
    """What PEFT makes of a directory."""
    with quietly():
        return PeftModel.from_pretrained(tiny_model("llama"), str(directory)).eval()


@torch.no_grad()
def reference_of_the_base() -> Tensor:
    return tiny_model("llama")(input_ids=IDS[None]).logits[0]


def assert_same(found: Tensor, expected: Tensor, within: float = 1e-5) -> None:
    # It must be the delta that answers alike, not the base.
    assert float((reference_of_the_base() - expected).abs().max()) > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=within)


def refused(directory: Path, words: str) -> None:
    with pytest.raises(UnsupportedDelta, match=words):
        load(directory, describe(tiny_model("llama"), "tiny"))


def edit_config(directory: Path, **changes: Any) -> None:
    config = json.loads((directory / CONFIG).read_text())
    (directory / CONFIG).write_text(json.dumps(config | changes))


def rename(directory: Path, change: Callable[[str], str]) -> None:
    tensors = load_file(directory / WEIGHTS)
    save_file({change(name): tensor for name, tensor in tensors.items()}, directory / WEIGHTS)


METHODS: dict[str, PeftConfig] = {
    "C3A": peft.C3AConfig(block_size=8, **TARGETS),
    "DELORA": peft.DeloraConfig(r=4, **TARGETS),
    "FOURIERFT": peft.FourierFTConfig(n_frequency=20, **TARGETS),
    "GRALORA": peft.GraloraConfig(r=4, gralora_k=2, **TARGETS),
    "LOHA": peft.LoHaConfig(r=2, **TARGETS),
    "LOKR": peft.LoKrConfig(r=2, **TARGETS),
    "MISS": peft.MissConfig(r=4, **TARGETS),
    "PSOFT": peft.PsoftConfig(r=4, **TARGETS),
    "RANDLORA": peft.RandLoraConfig(r=4, **TARGETS),
    "TINYLORA": peft.TinyLoraConfig(r=2, **TARGETS),
    "UNILORA": peft.UniLoraConfig(r=4, **TARGETS),
    "VBLORA": peft.VBLoRAConfig(r=4, num_vectors=10, vector_length=8, **TARGETS),
    "VERA": peft.VeraConfig(r=4, **TARGETS),
    "WAVEFT": peft.WaveFTConfig(n_frequency=20, **TARGETS),
}


@pytest.mark.parametrize("name", sorted(CONVERTIBLE))
def test_what_is_said_to_convert_converts(name: str, tmp_path: Path) -> None:
    model = save("llama", METHODS[name], tmp_path / "own")
    refused(tmp_path / "own", r"save_as_lora\(path, model, rank=1\.0\)")
    with quietly():
        peft.save_as_lora(tmp_path / "lora", model, rank=1.0)
    assert_same(answer(tmp_path / "lora"), reference(model, IDS), within=3e-3)


@pytest.mark.parametrize(
    "config", [peft.HiraConfig(r=4, **TARGETS), peft.HRAConfig(r=4, **TARGETS)]
)
def test_what_does_not_convert_is_not_said_to(config: PeftConfig, tmp_path: Path) -> None:
    model = save("llama", config, tmp_path / "own")
    refused(tmp_path / "own", "is not read. Known are LORA")
    with quietly(), pytest.raises(TypeError, match="LoRA conversion"):
        peft.save_as_lora(tmp_path / "lora", model, rank=1.0)


def test_dora_is_not_said_to_convert_since_its_magnitude_would_be_lost(tmp_path: Path) -> None:
    model = save("llama", LoraConfig(r=4, use_dora=True, **TARGETS), tmp_path / "own")
    refused(tmp_path / "own", "use_dora=False")
    with quietly():
        peft.save_as_lora(tmp_path / "lora", model, rank=1.0)
    assert float((answer(tmp_path / "lora") - reference(model, IDS)).abs().max()) > 0.1


@pytest.mark.parametrize("start", ["pissa", "pissa_niter_4", "olora"])
def test_a_lora_that_changed_the_base_is_saved_again(start: Any, tmp_path: Path) -> None:
    config = LoraConfig(r=4, init_lora_weights=start, **TARGETS)
    initial, own, again = (str(tmp_path / name) for name in ("initial", "own", "again"))
    with quietly():
        model = get_peft_model(tiny_model("llama"), config).eval()
        model.save_pretrained(initial)
        train(model)
        model.save_pretrained(own)
        refused(tmp_path / "own", "path_initial_model_for_weight_conversion")
        model.save_pretrained(again, path_initial_model_for_weight_conversion=initial)
    assert_same(answer(tmp_path / "again"), reference(model, IDS))


def test_a_pickle_is_saved_again_as_safetensors(tmp_path: Path) -> None:
    model = save("llama", LoraConfig(r=4, **TARGETS), tmp_path / "own")
    with quietly():
        model.save_pretrained(str(tmp_path / "pickle"), safe_serialization=False)
    with pytest.raises(UnsafeDelta, match=r"save_pretrained\(\.\.\., safe_serialization=True\)"):
        answer(tmp_path / "pickle")
    trusted = loaded(tmp_path / "pickle")
    with quietly():
        trusted.save_pretrained(str(tmp_path / "again"), safe_serialization=True)
    assert_same(answer(tmp_path / "again"), reference(model, IDS))


WRAPPED: dict[str, Callable[[str], str]] = {
    "_orig_mod": lambda name: f"_orig_mod.{name}",
    "_orig_mod, further in": lambda name: name.replace(".model.model.", ".model._orig_mod.model."),
    "_orig_mod, of each layer": lambda name: name.replace(".self_attn.", "._orig_mod.self_attn."),
    "_fsdp_wrapped_module": lambda name: f"_fsdp_wrapped_module.{name}",
    "_checkpoint_wrapped_module": lambda name: name.replace(
        ".self_attn.", "._checkpoint_wrapped_module.self_attn."
    ),
    "module": lambda name: f"module.{name}",
}


@pytest.mark.parametrize("case", WRAPPED)
def test_wrappers_are_taken_out_of_names(case: str, tmp_path: Path) -> None:
    model = save("llama", LoraConfig(r=4, **TARGETS), tmp_path)
    wrapper = case.split(",")[0]
    rename(tmp_path, WRAPPED[case])
    refused(tmp_path, rf"hold '{wrapper}\.'.*load_file")
    # PEFT itself finds nothing under these names and answers as the base does.
    torch.testing.assert_close(reference(loaded(tmp_path), IDS), reference_of_the_base())
    rename(tmp_path, lambda name: name.replace(f"{wrapper}.", ""))
    assert_same(answer(tmp_path), reference(model, IDS))


@pytest.mark.parametrize("inner", ["model.language_model", "language_model.model"])
def test_a_language_part_is_given_the_bases_names(inner: str, tmp_path: Path) -> None:
    model = save("llama", LoraConfig(r=4, **TARGETS), tmp_path)
    rename(tmp_path, lambda name: name.replace("model.model.model", f"model.model.{inner}"))
    edit_config(tmp_path, target_modules=r".*language_model.*\.(q|v)_proj")
    refused(tmp_path, "more than text.*target_modules")
    rename(tmp_path, lambda name: name.replace(f"model.model.{inner}", "model.model.model"))
    edit_config(tmp_path, target_modules=["q_proj", "v_proj"])
    assert_same(answer(tmp_path), reference(model, IDS))


@pytest.mark.parametrize(
    "config", [LoraConfig(r=4, **TARGETS), peft.IA3Config(feedforward_modules=[], **TARGETS)]
)
def test_the_adapters_own_name_is_read_as_peft_reads_it(config: PeftConfig, tmp_path: Path) -> None:
    save("llama", config, tmp_path)
    rename(
        tmp_path,
        lambda name: (
            name.replace(".weight", ".default.weight")
            if name.endswith(".weight")
            else f"{name}.default"
        ),
    )
    assert_same(answer(tmp_path), reference(loaded(tmp_path), IDS))


def test_an_mlx_lora_is_written_as_peft_writes_it(tmp_path: Path) -> None:
    model, generator = tiny_model("llama"), torch.Generator().manual_seed(1)
    modules = [f"model.layers.{layer}.self_attn.q_proj" for layer in range(2)]
    tensors: dict[str, Tensor] = {}
    for name in modules:
        a, b = (torch.empty(32, 4).normal_(generator=generator) for _ in range(2))
        tensors |= {f"{name}.lora_a": a, f"{name}.lora_b": b.T.contiguous()}
        # As MLX computes: y + scale · ((x a) b).
        with torch.no_grad():
            model.get_submodule(name).weight.add_(0.5 * (a @ b.T).T)
    save_file(tensors, tmp_path / "adapters.safetensors")
    parameters = {"rank": 4, "scale": 0.5, "dropout": 0.0}
    config = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": parameters}
    (tmp_path / CONFIG).write_text(json.dumps(config))
    refused(tmp_path, "MLX's.*transposed")

    names = {"lora_a": "lora_A.weight", "lora_b": "lora_B.weight"}
    (tmp_path / CONFIG).write_text(
        json.dumps(
            {
                "peft_type": "LORA",
                "target_modules": ["q_proj"],
                "r": 4,
                "lora_alpha": 4 * 0.5,
            }
        )
    )
    written = {
        f"base_model.model.{name.rpartition('.')[0]}.{names[name.rpartition('.')[2]]}": (
            tensor.T.contiguous()
        )
        for name, tensor in tensors.items()
    }
    save_file(written, tmp_path / WEIGHTS)
    assert_same(answer(tmp_path), model(IDS[None]).logits[0].detach())


def test_an_adapter_of_adapterhub_is_told_apart(tmp_path: Path) -> None:
    config = {"config": {"architecture": None}, "model_type": "llama", "hidden_size": 32}
    (tmp_path / CONFIG).write_text(json.dumps(config))
    save_file({"x": torch.ones(1)}, tmp_path / "adapter.safetensors")
    refused(tmp_path, "AdapterHub's.*'bottleneck'")


def headed(model: PreTrainedModel, head: str, directory: Path) -> PeftModel:
    """Wrapped as a model of any class is, without a task type."""
    config = LoraConfig(r=4, target_modules=["q_proj"], modules_to_save=[head])
    return save_over(model, config, directory)


@pytest.mark.parametrize(
    ("make", "task", "said"),
    [
        (tiny_classifier, TaskType.CLASSIFY, "SEQ_CLS"),
        (tiny_tagger, TaskType.TAG, "TOKEN_CLS"),
    ],
)
@pytest.mark.parametrize("mapped", [True, False])
def test_a_head_without_a_task_type(
    make: Callable[[str], PreTrainedModel], task: TaskType, said: str, mapped: bool, tmp_path: Path
) -> None:
    model = headed(make("llama"), "score", tmp_path)
    if not mapped:
        edit_config(tmp_path, auto_mapping=None)
        refused(tmp_path, rf'head \(score\).*"{said}"')
        edit_config(tmp_path, task_type=said)
    delta = load(tmp_path, describe(tiny_model("llama"), "tiny"))
    assert delta.task is task
    found = run(tiny_model("llama"), delta, IDS)
    torch.testing.assert_close(found, reference(model, IDS), rtol=0, atol=1e-5)


@pytest.mark.parametrize("task", ["QUESTION_ANS", None])
def test_a_head_that_answers_questions(task: str | None, tmp_path: Path) -> None:
    model = seeded(AutoModelForQuestionAnswering.from_config(tiny_config("bert")), seed=0)
    if task is None:
        config = LoraConfig(r=4, target_modules=["query"], modules_to_save=["qa_outputs"])
    else:
        config = LoraConfig(r=4, target_modules=["query"], task_type=task)
    save_over(model, config, tmp_path)
    with pytest.raises(UnsupportedDelta, match="where an answer starts and ends"):
        load(tmp_path, describe(tiny_model("bert"), "tiny"))
