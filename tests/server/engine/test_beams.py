"""Beams: texts and scores as `generate` finds them, in any company and under lack of room."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftConfig, PrefixTuningConfig, TaskType
from transformers import PreTrainedModel

from deltas.base import describe
from deltas.segments import BASE_SLOT
from server.engine.engine import Engine
from server.engine.observer import Silent
from server.engine.output import Generated
from server.engine.request import Request, Sampling
from server.errors import InvalidRequest, RowFailed
from server.model.base import Base
from server.model.batch import Item
from server.model.cache import BLOCK
from server.model.runner import Forward
from tests.deltas.formats.peft_checkpoints import quietly, save_over
from tests.encoder_decoders import tiny_encoder_decoder
from tests.models import tiny_model
from tests.server.engine.engines import (
    ask,
    cache_of,
    serving,
    tiny_engine,
    tiny_limits,
    tiny_tokenizer,
    until,
)
from tests.server.engine.pacing import paced

TOKENS = 32
ENDS = {
    "llama": frozenset({2, *range(7, 120, 9)}),
    "t5": frozenset({2, *range(7, 120, 9)}),
    "bart": frozenset({2, *range(3, 120, 2)}),
}
"""By family, many enough for random texts to end."""

WAYS: dict[str, Mapping[str, Any]] = {
    "base": {"num_beams": 4},
    "lora": {
        "num_beams": 4,
        "length_penalty": 2.0,
        "early_stopping": True,
        "no_repeat_ngram_size": 2,
    },
    "ia3": {
        "num_beams": 3,
        "length_penalty": 0.5,
        "early_stopping": "never",
        "encoder_no_repeat_ngram_size": 1,
    },
    "prefix": {"num_beams": 4, "length_penalty": -1.0, "repetition_penalty": 1.3},
}
_TARGETS = {
    "llama": ["q_proj", "v_proj", "down_proj"],
    "t5": ["q", "k", "v", "o", "wi", "wo"],
    "bart": ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"],
}


class Written(Silent):
    """An observer that counts the tokens of answers."""

    count = 0

    def first_token(self, elapsed: float) -> None:
        self.count += 1

    def next_token(self, elapsed: float) -> None:
        self.count += 1


@dataclass(frozen=True)
class Case:
    """A family with the models of its tasks, and where their deltas are."""

    family: str
    models: Mapping[str, Any]
    folders: Mapping[str, Path]

    @property
    def ends(self) -> frozenset[int]:
        return ENDS[self.family]


def model_of(family: str) -> PreTrainedModel:
    return tiny_model(family) if family == "llama" else tiny_encoder_decoder(family)


def base_of(family: str) -> Base:
    model = model_of(family)
    return Base(describe(model, f"tiny-{family}"), model, tiny_tokenizer())


def configs(family: str) -> dict[str, PeftConfig]:
    task = TaskType.CAUSAL_LM if family == "llama" else TaskType.SEQ_2_SEQ_LM
    targets = _TARGETS[family]
    # PEFT takes a head's width for a share of the layers', which T5's need not be.
    width = 64 if family == "t5" else 32
    return {
        "lora": LoraConfig(task_type=task, r=4, lora_alpha=6, target_modules=targets),
        "ia3": IA3Config(task_type=task, target_modules=targets, feedforward_modules=targets[-1:]),
        "prefix": PrefixTuningConfig(task_type=task, num_virtual_tokens=4, token_dim=width),
    }


@pytest.fixture(scope="module", params=["llama", "t5", "bart"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    family, folder = request.param, tmp_path_factory.mktemp("deltas")
    models: dict[str, Any] = {"base": model_of(family)}
    for kind, config in configs(family).items():
        models[kind] = save_over(model_of(family), config, folder / kind)
    return Case(family, models, {kind: folder / kind for kind in configs(family)})


def input_of(task: str) -> tuple[int, ...]:
    at = [*WAYS].index(task)
    generator = torch.Generator().manual_seed(at)
    return tuple(torch.randint(3, 120, (5 + 7 * at,), generator=generator).tolist())


def searching(case: Case, task: str, **changes: Any) -> Request:
    """What is asked of a task, by its own way to search."""
    sampling = Sampling(max_tokens=TOKENS, n=2, stop_token_ids=case.ends, **WAYS[task])
    return Request(task, task, input_of(task), replace(sampling, **changes))


def expected(case: Case, task: str, **changes: Any) -> list[tuple[list[int], float]]:
    """The texts that the reference library finds, with their scores."""
    source = input_of(task)
    options = {"max_new_tokens": TOKENS, "num_return_sequences": 2, **WAYS[task], **changes}
    with torch.no_grad(), quietly():
        said = case.models[task].generate(
            input_ids=torch.tensor([source]),
            attention_mask=torch.ones(1, len(source), dtype=torch.long),
            do_sample=False,
            eos_token_id=sorted(case.ends),
            pad_token_id=0,
            return_dict_in_generate=True,
            output_scores=True,
            **options,
        )
    before = len(source) if case.family == "llama" else 1
    rows = said.sequences[:, before:].tolist()
    scores = options["num_beams"] > 1 and said.sequences_scores.tolist()
    return list(zip([ended(case, row) for row in rows], scores or [0.0], strict=True))


def ended(case: Case, tokens: Sequence[int]) -> list[int]:
    """A text without what fills its row."""
    ends = [at for at, token in enumerate(tokens) if token in case.ends]
    return list(tokens[: ends[0] + 1] if ends else tokens)


async def found(engine: Engine, request: Request) -> list[Generated]:
    outputs = await ask(engine, request)
    return [each for each in outputs if isinstance(each, Generated)]


def check(
    case: Case, outputs: Sequence[Generated], texts: Sequence[tuple[list[int], float]]
) -> None:
    assert [list(each.tokens) for each in outputs] == [tokens for tokens, _ in texts]
    assert [each.score for each in outputs] == pytest.approx([score for _, score in texts], 1e-5)
    reasons = ["stop" if tokens[-1] in case.ends else "length" for tokens, _ in texts]
    assert [each.finish_reason for each in outputs] == reasons


def all_free(engine: Engine) -> bool:
    pool = engine.core.scheduler.blocks
    assert pool is not None
    return pool.free == pool.total


async def test_beams_of_all_deltas_and_greedy_rows_at_once_and_alone(
    case: Case, tmp_path: Path
) -> None:
    texts = {task: expected(case, task) for task in WAYS}
    assert any(tokens[-1] in case.ends for pairs in texts.values() for tokens, _ in pairs)
    engine = tiny_engine(base_of(case.family), case.folders, tmp_path)
    async with serving(engine):
        greedy = [
            replace(searching(case, task, num_beams=1, n=1), id=f"greedy-{task}") for task in WAYS
        ]
        together = await asyncio.gather(
            *(
                found(engine, request)
                for request in [*(searching(case, task) for task in WAYS), *greedy]
            )
        )
        for task, outputs in zip(WAYS, together, strict=False):
            check(case, outputs, texts[task])
            alone = await found(engine, replace(searching(case, task), id=f"{task}-alone"))
            assert alone == outputs
        for task, (output,) in zip(WAYS, together[len(WAYS) :], strict=True):
            ((tokens, _),) = expected(case, task, num_beams=1, num_return_sequences=1)
            assert list(output.tokens) == tokens
            assert output.score is None
        assert all_free(engine)


async def test_who_lacks_blocks_starts_over_and_finds_the_same(case: Case, tmp_path: Path) -> None:
    base = base_of(case.family)
    # Room for any one search: what began last gives way, again and again.
    tasks, blocks = (("base", "lora"), 10) if base.reads_sources else (("base", "prefix"), 15)
    texts = {task: expected(case, task, min_new_tokens=TOKENS) for task in tasks}
    limits = tiny_limits(
        # A source is read in one step, beside what runs.
        max_batch_tokens=40 if base.reads_sources else 9,
        kv_cache_bytes=cache_of(base, blocks * BLOCK),
        prefix_cache=case.family != "bart",
    )
    engine = tiny_engine(base, case.folders, tmp_path, limits)
    requests = [
        replace(searching(case, task, min_tokens=TOKENS), id=f"{task}-{at}")
        for at in range(2)
        for task in tasks
    ]
    async with serving(engine), AsyncExitStack() as stack:
        with paced(engine) as let:
            answers = [
                await stack.enter_async_context(await engine.submit(each)) for each in requests
            ]
            let(1 << 16)
            for answer in answers:
                outputs = [each for each in await answer.outputs() if isinstance(each, Generated)]
                check(case, outputs, texts[answer.request.task])
        assert engine.core.scheduler.preemptions
        assert all_free(engine)


async def test_who_gives_up_midway_leaves_nothing_behind(case: Case, tmp_path: Path) -> None:
    engine = tiny_engine(base_of(case.family), case.folders, tmp_path)
    async with serving(engine):
        with paced(engine) as let:
            async with await engine.submit(searching(case, "lora")):
                let(5)
                await until(lambda: engine.core.times.steps >= 5)
                assert len(engine.core.scheduler.running) == 4
                assert not all_free(engine)
        await until(lambda: all_free(engine))
        assert not engine.stats().running
        check(case, await found(engine, searching(case, "lora")), expected(case, "lora"))


async def test_a_beam_whose_row_fails_ends_its_search_alone(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = tiny_engine(base_of(case.family), case.folders, tmp_path)
    forward = engine.runner.forward
    async with serving(engine):
        (whole, _) = await found(engine, searching(case, "base"))

        def step(items: Sequence[Item]) -> Forward:
            # One beam of the bare base's is as far as that, among others.
            if any(item.slot == BASE_SLOT and item.tokens[-1] == whole.tokens[2] for item in items):
                raise RuntimeError("a flaw")
            return forward(items)

        monkeypatch.setattr(engine.runner, "forward", step)
        failed, other = await asyncio.gather(
            found(engine, searching(case, "base")),
            found(engine, searching(case, "lora")),
            return_exceptions=True,
        )
        assert isinstance(failed, RowFailed)
        assert not isinstance(other, BaseException)
        check(case, other, expected(case, "lora"))
        assert all_free(engine)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"n": 5}, "n"),
        ({"logprobs": 0}, "logprobs"),
        ({"stop": ("w005",)}, "stop"),
        ({"num_beams": 65, "n": 1}, "num_beams"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 100_000}, "num_beams"),
    ],
)
async def test_what_beams_cannot_do_is_refused(
    case: Case, tmp_path: Path, changes: Mapping[str, Any], param: str
) -> None:
    base = base_of(case.family)
    limits = tiny_limits(kv_cache_bytes=cache_of(base, 2 * base.spec.context))
    engine = tiny_engine(base, {}, tmp_path, limits)
    async with serving(engine):
        with pytest.raises(InvalidRequest) as refusal:
            await engine.submit(searching(case, "base", **changes))
        assert refusal.value.param == param
        assert all_free(engine)


@pytest.mark.timeout(60)
async def test_a_text_is_found_however_little_its_score_is(case: Case, tmp_path: Path) -> None:
    engine = tiny_engine(base_of(case.family), {}, tmp_path)
    async with serving(engine):
        sampling = Sampling(num_beams=2, length_penalty=-5, max_tokens=64, ignore_eos=True)
        (output,) = await found(engine, Request("long", "base", input_of("base"), sampling))
        assert len(output.tokens) == 64
        assert output.score is not None
        assert output.score < -1e9
        assert all_free(engine)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("penalty", [1.0, 0.0, -1.0])
@pytest.mark.parametrize("length", [1, 3])
async def test_who_wants_more_texts_than_there_are_is_told(
    case: Case, tmp_path: Path, penalty: float, length: int
) -> None:
    engine = tiny_engine(base_of(case.family), {}, tmp_path)
    async with serving(engine):
        for token in (4, min(case.ends)):
            sampling = Sampling(
                num_beams=2,
                n=2,
                length_penalty=penalty,
                max_tokens=length,
                allowed_token_ids=(token,),
                stop_token_ids=case.ends,
            )
            asked = Request(f"two of {token}", "base", input_of("base"), sampling)
            with pytest.raises(InvalidRequest, match="fewer texts than n") as refusal:
                await ask(engine, asked)
            assert refusal.value.param == "n"
            one = replace(asked, id=f"one of {token}", sampling=replace(sampling, n=1))
            (output,) = await found(engine, one)
            assert set(output.tokens) <= {token}
        await until(lambda: all_free(engine))


@pytest.mark.timeout(60)
async def test_many_texts_leave_the_loop_to_others_in_between(tmp_path: Path) -> None:
    written, counts = Written(), [0]
    engine = tiny_engine(base_of("llama"), {}, tmp_path, observer=written)
    async with serving(engine):
        sampling = Sampling(num_beams=8, n=8, max_tokens=100, ignore_eos=True)
        asked = asyncio.create_task(ask(engine, Request("many", "base", (5, 6, 7), sampling)))
        while not asked.done():
            # Once each time that the loop goes round.
            await asyncio.sleep(0)
            counts.append(written.count)
        outputs = await asked
    assert all(isinstance(each, Generated) and len(each.tokens) == 100 for each in outputs)
    assert counts[-1] == 800
    assert max(after - before for before, after in pairwise(counts)) <= 256
