"""Sound checkpoints over one tiny base, of every dialect and method: what fuzzers begin with."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from peft import IA3Config, LoraConfig, PeftConfig, PrefixTuningConfig, PromptTuningConfig

from deltas.base import BaseSpec, describe
from deltas.formats import native
from deltas.kinds import KINDS
from tests import samples
from tests.deltas.formats.peft_checkpoints import save
from tests.models import tiny_model

Files = Mapping[str, bytes]
"""A checkpoint's files by name."""

_CONFIGS: tuple[PeftConfig, ...] = (
    LoraConfig(
        r=1,
        target_modules=["q_proj", "v_proj"],
        rank_pattern={"v_proj": 2},
        alpha_pattern={r"layers\.1\..*": 3},
        task_type="SEQ_CLS",
    ),
    LoraConfig(r=1, target_modules=r".*\.(q|k)_proj", task_type="CAUSAL_LM", use_rslora=True),
    LoraConfig(r=1, target_modules=["lm_head"], layers_to_transform=[0], task_type="CAUSAL_LM"),
    IA3Config(
        target_modules=["k_proj", "down_proj"],
        feedforward_modules=["down_proj"],
        task_type="CAUSAL_LM",
    ),
    PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2),
    PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=2),
)
_SIDECAR = {"labels": ["a", "b", "c"], "prompt": "text", "problem_type": "regression"}


@cache
def base() -> BaseSpec:
    """The base that all seeds are for."""
    return describe(tiny_model("llama"), "tiny")


@cache
def seeds() -> tuple[Files, ...]:
    """The checkpoints, as bytes."""
    return tuple(_seeds())


def _seeds() -> Iterator[Files]:
    with TemporaryDirectory() as folder:
        for number, config in enumerate(_CONFIGS):
            directory = Path(folder) / f"peft-{number}"
            save("llama", config, directory)
            if number == 0:
                (directory / "polydelta.json").write_text(json.dumps(_SIDECAR))
            yield _read(directory)
        for kind in KINDS:
            directory = Path(folder) / kind
            labels = ("no", "yes")
            delta = (
                samples.tagger(base(), labels)
                if kind == "head"
                else samples.classifier(base(), labels, kind)
            )
            native.write(delta, directory, base(), {"data": ["none"], "score": 0.5})
            yield _read(directory)


def _read(directory: Path) -> Files:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.suffix != ".md"}
