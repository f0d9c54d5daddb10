"""Generation: the same text as Transformers' own generate(), and every way in which it ends."""

import asyncio
import warnings
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from deltas.base import describe
from server.engine.engine import Engine
from server.engine.message import Message
from server.engine.output import Generated, Piece
from server.engine.request import Input, Request, Sampling
from server.errors import InvalidRequest
from server.model.base import Base, load_base
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.store import Store
from tests.models import CONTEXT, VOCABULARY, tiny_model
from tests.server.engine.engines import ask, serving, tiny_limits
from tests.server.engine.references import TOLERANCE, plain

TEXT = "The meeting is at noon: naïve café — 東京 🙂"
MESSAGES = (Message("system", "Answer."), Message("user", TEXT))
TOKENS = 48
RANDOM = Sampling(max_tokens=TOKENS, temperature=1.5, seed=11, ignore_eos=True)


@pytest.fixture
def base(decoder: Path) -> Base:
    return load_base("tiny", decoder, torch.float32, torch.device("cpu"))


@pytest.fixture(scope="module")
def reference(decoder: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(decoder)


@pytest.fixture
async def engine(base: Base, tmp_path: Path) -> AsyncGenerator[Engine]:
    registry = Registry(Store(tmp_path), base.spec, base.dtype)
    async with serving(Engine(base, registry, tiny_limits(max_batch_tokens=32))) as engine:
        yield engine


def spaced_tokenizer() -> PreTrainedTokenizerFast:
    """Every word begins with its space, which the decoder takes off a text's beginning."""
    names = ["<pad>", "<s>", "</s>", *(f"▁w{index}" for index in range(3, VOCABULARY))]
    tokenizer = Tokenizer(models.WordLevel({name: at for at, name in enumerate(names)}, "<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="</s>",
        chat_template="{{ bos_token }}{{ messages[0]['content'] }}",
    )


async def test_only_what_goes_on_in_a_text_begins_with_a_space(tmp_path: Path) -> None:
    model = tiny_model("llama")
    base = Base(describe(model, "spaced"), model, spaced_tokenizer())
    registry = Registry(Store(tmp_path), base.spec, base.dtype)
    sampling = Sampling(max_tokens=3, ignore_eos=True)
    async with serving(Engine(base, registry, tiny_limits())) as engine:
        continued = await write(engine, "w5 w7", sampling, raw=True)
        answered = await write(engine, "w5 w7", sampling, raw=False)
    assert continued.text == " " + answered.text.strip()
    assert answered.text.startswith("w")


async def write(
    engine: Engine, source: Input, sampling: Sampling, *, key: str = "x", raw: bool = True
) -> Generated:
    (output,) = await ask(engine, Request(key, "base", source, sampling, raw=raw))
    assert isinstance(output, Generated)
    return output


def ids_of(base: Base, text: str = TEXT) -> list[int]:
    return base.tokenizer.backend_tokenizer.encode(text).ids


def chat_ids(base: Base, messages: Sequence[dict[str, str]]) -> list[int]:
    text = base.tokenizer.apply_chat_template(
        list(messages), tokenize=False, add_generation_prompt=True
    )
    return base.tokenizer.backend_tokenizer.encode(str(text), add_special_tokens=False).ids


def generated(model: PreTrainedModel, ids: Sequence[int], **options: object) -> list[int]:
    """Transformers' own greedy continuation."""
    settings = GenerationConfig(**({"max_new_tokens": TOKENS, "do_sample": False} | options))
    (tokens,) = model.generate(torch.tensor([ids]), settings)
    return tokens[len(ids) :].tolist()


def decoded(base: Base, tokens: Sequence[int]) -> str:
    return base.tokenizer.decode(tokens, skip_special_tokens=True)


async def test_greedy_text_is_transformers_own(
    engine: Engine, base: Base, reference: PreTrainedModel
) -> None:
    cases: list[tuple[Input, bool, list[int]]] = [
        (TEXT, True, ids_of(base)),
        (tuple(ids_of(base)), False, ids_of(base)),
        (TEXT, False, chat_ids(base, [{"role": "user", "content": TEXT}])),
        (MESSAGES, False, chat_ids(base, [message.shown() for message in MESSAGES])),
    ]
    sampling = Sampling(max_tokens=TOKENS, ignore_eos=True)
    found = await asyncio.gather(
        *(
            write(engine, source, sampling, key=f"{at}", raw=raw)
            for at, (source, raw, _) in enumerate(cases)
        )
    )
    texts = [decoded(base, generated(reference, ids)) for _, _, ids in cases]
    assert [output.text for output in found] == texts
    assert {output.finish_reason for output in found} == {"length"}


async def test_a_lora_writes_what_peft_generates(
    engine: Engine, base: Base, decoder: Path, tmp_path: Path
) -> None:
    config = LoraConfig(
        task_type="CAUSAL_LM", target_modules=["q_proj", "down_proj"], init_lora_weights=False
    )
    with warnings.catch_warnings(), torch.random.fork_rng():
        torch.manual_seed(5)
        # PEFT still asks for names that Transformers is about to drop.
        warnings.simplefilter("ignore")
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(decoder), config).eval()
        model.save_pretrained(tmp_path / "lora")
    engine.registry.put(shared("lora"), tmp_path / "lora")
    request = Request("x", "lora", TEXT, Sampling(max_tokens=TOKENS, ignore_eos=True), raw=True)
    (output,) = await ask(engine, request)
    assert isinstance(output, Generated)
    (tokens,) = model.generate(
        input_ids=torch.tensor([ids_of(base)]), max_new_tokens=TOKENS, do_sample=False
    )
    assert output.text == decoded(base, tokens[len(ids_of(base)) :].tolist())


@pytest.mark.parametrize("least", [0, 12])
async def test_end_tokens(
    base: Base,
    reference: PreTrainedModel,
    least: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = ids_of(base)
    free = generated(reference, ids)
    # The base would write this token by itself: now it ends a text.
    end = next(token for token in free[5:] if token not in free[:5])
    monkeypatch.setattr(base.model.generation_config, "eos_token_id", [2, end])
    expected = generated(reference, ids, eos_token_id=[2, end], min_new_tokens=least or None)
    registry = Registry(Store(tmp_path), base.spec, base.dtype)
    async with serving(Engine(base, registry, tiny_limits())) as engine:
        output = await write(engine, TEXT, Sampling(max_tokens=TOKENS, min_tokens=least))
    ended = expected[-1] in (2, end)
    assert output.text == decoded(base, expected[:-1] if ended else expected)
    assert output.finish_reason == ("stop" if ended else "length")
    assert least < len(expected)
    assert ended or least


async def test_a_seed_gives_the_same_text_in_any_company(engine: Engine) -> None:
    alone = await write(engine, TEXT, RANDOM)
    company = [
        write(engine, TEXT[at:], replace(RANDOM, seed=at, top_k=5 * at), key=f"{at}")
        for at in range(6)
    ]
    again, *others = await asyncio.gather(write(engine, TEXT, RANDOM), *company)
    assert again == alone
    assert len({each.text for each in (alone, *others)}) == 7


async def test_several_choices(engine: Engine) -> None:
    request = Request("x", "base", TEXT, replace(RANDOM, n=4), raw=True)
    async with await engine.submit(request) as answer:
        outputs = await answer.outputs()
    texts = [output.text for output in outputs if isinstance(output, Generated)]
    assert len(set(texts)) == 4
    assert texts[0] == (await write(engine, TEXT, RANDOM)).text
    assert answer.usage.completion_tokens == 4 * TOKENS


async def test_unseeded_texts_differ(engine: Engine) -> None:
    free = replace(RANDOM, seed=None)
    first, second = [await write(engine, TEXT, free) for _ in range(2)]
    assert first.text != second.text


@pytest.mark.parametrize("narrow", [{"top_k": 1}, {"top_p": 1e-9}, {"min_p": 1.0}])
async def test_one_candidate_is_the_greedy_one(engine: Engine, narrow: dict[str, float]) -> None:
    greedy = await write(engine, TEXT, Sampling(max_tokens=TOKENS, ignore_eos=True))
    assert await write(engine, TEXT, replace(RANDOM, **narrow)) == greedy
    assert await write(engine, TEXT, replace(RANDOM, temperature=1e-40)) == greedy


STOPS: list[Callable[[str], tuple[str, ...]]] = [
    lambda text: (text[7:13],),
    lambda text: (text[20:21],),
    lambda text: (text[-4:],),
    lambda text: (text[30:36], text[12:19]),
    lambda text: (text[5:9] + "\0",),
    lambda text: (text[5:25], text[8:11]),
]


@pytest.mark.parametrize("choose", STOPS)
async def test_stop_strings(engine: Engine, choose: Callable[[str], tuple[str, ...]]) -> None:
    greedy = Sampling(max_tokens=TOKENS, ignore_eos=True, seed=3, temperature=1.0)
    text = (await write(engine, TEXT, greedy)).text
    stop = choose(text)
    found = [(text.find(each) + len(each), text.find(each)) for each in stop if each in text]
    expected = text[: min(found)[1]] if found else text
    pieces: list[Piece] = []
    request = Request("x", "base", TEXT, replace(greedy, stop=stop), raw=True)
    async with await engine.submit(request) as answer:
        async for piece in answer:
            pieces.append(piece)  # noqa: PERF401
    assert "".join(piece.text for piece in pieces) == expected
    assert pieces[-1].finish_reason == ("stop" if found else "length")
    assert all(piece.finish_reason is None for piece in pieces[:-1])
    assert all(piece.text for piece in pieces[:-1])
    assert not engine.stats().running


async def test_logprobs(engine: Engine, base: Base, reference: PreTrainedModel) -> None:
    ids = ids_of(base)
    output = await write(engine, TEXT, replace(RANDOM, logprobs=4, repetition_penalty=1.3))
    assert output.logprobs is not None
    tokens = [token.id for token in output.logprobs]
    rows = plain(reference)(torch.tensor([*ids, *tokens]))[len(ids) - 1 : -1].log_softmax(dim=-1)
    found = torch.tensor([token.logprob for token in output.logprobs])
    expected = rows.gather(1, torch.tensor(tokens)[:, None])[:, 0]
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)
    values, indices = rows.topk(4)
    assert [[each.id for each in token.top] for token in output.logprobs] == indices.tolist()
    top = torch.tensor([[each.logprob for each in token.top] for token in output.logprobs])
    torch.testing.assert_close(top, values, rtol=0, atol=TOLERANCE)
    assert decoded(base, tokens) == output.text


async def test_tokens_do_not_wait_for_held_text_in_any_number(engine: Engine) -> None:
    sampling = replace(RANDOM, logprobs=1)
    whole = await write(engine, TEXT, sampling)
    endless = replace(sampling, stop=(f"{whole.text}…",))
    async with await engine.submit(Request("x", "base", TEXT, endless, raw=True)) as answer:
        pieces = [piece async for piece in answer]
    assert max(len(piece.logprobs) for piece in pieces) <= 32 < TOKENS
    assert tuple(token for piece in pieces for token in piece.logprobs) == whole.logprobs
    assert "".join(piece.text for piece in pieces) == whole.text


async def test_the_context_ends_a_text(engine: Engine, base: Base) -> None:
    endless = Sampling(max_tokens=10 * CONTEXT, ignore_eos=True)
    async with await engine.submit(Request("x", "base", TEXT, endless, raw=True)) as answer:
        (output,) = await answer.outputs()
    assert isinstance(output, Generated)
    assert output.finish_reason == "length"
    assert answer.usage.total_tokens == CONTEXT
    assert answer.usage.prompt_tokens == len(ids_of(base))


async def test_messages_that_the_template_does_not_take(engine: Engine, base: Base) -> None:
    base.tokenizer.chat_template = "{{ raise_exception('No such turn') }}"
    with pytest.raises(InvalidRequest, match="No such turn"):
        await write(engine, MESSAGES, Sampling())
    with pytest.raises(InvalidRequest):
        await write(engine, "", Sampling())
