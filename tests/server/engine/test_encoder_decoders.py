"""Encoder-decoders: texts for sources, by every kind, as PEFT's own `generate` has them."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from peft import (
    IA3Config,
    LoraConfig,
    PeftConfig,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    TaskType,
)
from torch import Tensor
from transformers import PreTrainedModel

from deltas.base import describe
from server.engine.engine import Engine
from server.engine.output import Generated
from server.engine.request import Request, Sampling
from server.errors import InvalidRequest
from server.model.base import Base
from server.model.runner import Runner
from tests.deltas.formats.peft_checkpoints import quietly, save_over
from tests.encoder_decoders import FAMILIES, tiny_encoder_decoder
from tests.server.engine.engines import (
    ask,
    serving,
    tiny_engine,
    tiny_limits,
    tiny_tokenizer,
    until,
)
from tests.server.engine.references import TOLERANCE

TOKENS = 24
_TARGETS = {
    "t5": ["q", "k", "v", "o", "wi", "wo"],
    "bart": ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"],
}


def configs(family: str) -> dict[str, PeftConfig]:
    task = TaskType.SEQ_2_SEQ_LM
    targets = _TARGETS[family]
    return {
        "lora": LoraConfig(task_type=task, r=4, lora_alpha=6, target_modules=targets),
        "ia3": IA3Config(task_type=task, target_modules=targets, feedforward_modules=targets[-1:]),
        "prompt": PromptTuningConfig(task_type=task, num_virtual_tokens=3),
        "p-tuning": PromptEncoderConfig(
            task_type=task, num_virtual_tokens=2, encoder_hidden_size=8
        ),
        # PEFT takes a head's width for a share of the layers', which T5's need not be.
        "prefix": PrefixTuningConfig(task_type=task, num_virtual_tokens=4, token_dim=width(family)),
    }


def width(family: str) -> int:
    return 64 if family == "t5" else 32


def source_of(at: int) -> list[int]:
    generator = torch.Generator().manual_seed(at)
    return torch.randint(3, 120, (5 + 7 * at,), generator=generator).tolist()


def expected(model: PreTrainedModel, source: Sequence[int]) -> tuple[list[int], Tensor]:
    """What the reference library writes greedily, its first token left out, and how likely."""
    with torch.no_grad(), quietly():
        said = model.generate(
            input_ids=torch.tensor([source]),
            attention_mask=torch.ones(1, len(source)),
            max_new_tokens=TOKENS,
            min_new_tokens=TOKENS,
            do_sample=False,
            num_beams=1,
            return_dict_in_generate=True,
            output_logits=True,
        )
    tokens = said.sequences[0, 1:]
    rows = torch.cat(said.logits).log_softmax(dim=-1)
    return tokens.tolist(), rows.gather(1, tokens[:, None])[:, 0]


async def written(
    engine: Engine, key: str, task: str, source: Sequence[int]
) -> tuple[list[int], Tensor]:
    sampling = Sampling(max_tokens=TOKENS, ignore_eos=True, min_tokens=TOKENS, logprobs=0)
    (output,) = await ask(engine, Request(key, task, tuple(source), sampling))
    assert isinstance(output, Generated)
    likely = torch.tensor([token.logprob for token in output.logprobs or ()])
    return list(output.tokens), likely


def tiny_base(family: str) -> Base:
    model = tiny_encoder_decoder(family)
    return Base(describe(model, f"tiny-{family}"), model, tiny_tokenizer())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_what_transformers_computes(family: str) -> None:
    """A base that is not would be refused at start."""
    Runner(tiny_base(family), cache_blocks=8)


@pytest.mark.parametrize("family", _TARGETS)
async def test_all_kinds_at_once_and_alone_write_what_peft_does(
    family: str, tmp_path: Path
) -> None:
    models = {"base": tiny_encoder_decoder(family)}
    folders: dict[str, Path] = {}
    for kind, config in configs(family).items():
        folders[kind] = tmp_path / kind
        models[kind] = save_over(tiny_encoder_decoder(family), config, folders[kind])
    sources = {task: source_of(at) for at, task in enumerate(models)}
    engine = tiny_engine(tiny_base(family), folders, tmp_path / "store")
    async with serving(engine):
        found = await asyncio.gather(
            *(written(engine, task, task, source) for task, source in sources.items())
        )
        together = dict(zip(sources, found, strict=True))
        for task, source in sources.items():
            tokens, likely = together[task]
            theirs, as_likely = expected(models[task], source)
            assert tokens == theirs, task
            torch.testing.assert_close(likely, as_likely, rtol=0, atol=TOLERANCE)
            alone, likely_alone = await written(engine, f"{task}-alone", task, source)
            assert alone == tokens
            assert torch.equal(likely_alone, likely)


async def test_choices_share_a_source_and_it_is_found_again(tmp_path: Path) -> None:
    engine = tiny_engine(tiny_base("t5"), {}, tmp_path, tiny_limits(prefix_cache=1))
    source = tuple(source_of(3))
    async with serving(engine):
        request = Request("first", "base", source, Sampling(max_tokens=4, n=3, temperature=1.0))
        async with await engine.submit(request) as answer:
            assert len(await answer.outputs()) == 3
            assert answer.usage.prompt_tokens == len(source)
        async with await engine.submit(Request("again", "base", source)) as answer:
            await answer.outputs()
            assert answer.usage.cached_tokens == len(source)
        pool = engine.core.scheduler.blocks
        assert pool is not None
        await until(lambda: pool.free == pool.total)


async def test_what_only_reads_a_prompt_cannot_judge_it(tmp_path: Path) -> None:
    engine = tiny_engine(tiny_base("t5"), {}, tmp_path)
    async with serving(engine):
        request = Request("key", "base", (3, 4, 5), Sampling(prompt_logprobs=1))
        with pytest.raises(InvalidRequest, match="only reads the prompt"):
            await engine.submit(request)
