"""What a request allows, forbids and holds back, through the whole engine."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from transformers import SequenceBiasLogitsProcessor

from server.engine.engine import Engine
from server.engine.output import Generated
from server.engine.request import Request, Sampling
from server.engine.rules import rules_of
from server.errors import InvalidRequest
from server.model.base import Base
from server.model.rules import BadWords
from tests.bases import byte_tokenizer
from tests.models import VOCABULARY, tiny_model
from tests.server.engine.engines import ask, serving, tiny_base, tiny_engine

PROMPT = tuple(range(9, 16))
SAMPLING = Sampling(max_tokens=12, ignore_eos=True, logprobs=0)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncGenerator[Engine]:
    async with serving(tiny_engine(tiny_base("llama"), {}, tmp_path)) as engine:
        yield engine


async def written(engine: Engine, sampling: Sampling) -> Generated:
    (output,) = await ask(engine, Request("x", "base", PROMPT, sampling))
    assert isinstance(output, Generated)
    return output


async def tokens(engine: Engine, **changes: object) -> list[int]:
    output = await written(engine, replace(SAMPLING, **changes))
    return [token.id for token in output.logprobs or ()]


async def test_biased_text_is_transformers_own(engine: Engine) -> None:
    plain = await tokens(engine)
    bias = {plain[0]: -100.0, plain[3]: -7.5, 77: 0.5}
    processor = SequenceBiasLogitsProcessor([[[token], value] for token, value in bias.items()])
    model = tiny_model("llama")
    expected = model.generate(
        torch.tensor([PROMPT]),
        attention_mask=torch.ones(1, len(PROMPT)),
        max_new_tokens=12,
        do_sample=False,
        eos_token_id=None,
        logits_processor=[processor],
    )[0, len(PROMPT) :].tolist()
    assert expected != plain
    assert await tokens(engine, logit_bias=tuple(bias.items())) == expected


@pytest.mark.parametrize("name", ["no_repeat_ngram_size", "encoder_no_repeat_ngram_size"])
async def test_text_without_repetitions_is_transformers_own(engine: Engine, name: str) -> None:
    plain = await tokens(engine, max_tokens=24)
    prompt = (*PROMPT, *plain[:12])
    expected = (
        tiny_model("llama")
        .generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt)),
            max_new_tokens=12,
            do_sample=False,
            eos_token_id=None,
            **{name: 1},
        )[0, len(prompt) :]
        .tolist()
    )
    assert expected != plain[12:]
    sampling = replace(SAMPLING, **{name: 1})
    (output,) = await ask(engine, Request("x", "base", prompt, sampling))
    assert isinstance(output, Generated)
    assert list(output.tokens) == expected


async def test_a_stop_token_ends_the_text_and_is_no_part_of_it(engine: Engine) -> None:
    plain = await tokens(engine)
    stop = next(token for token in plain[2:] if plain.index(token) >= 2)
    at = plain.index(stop)
    output = await written(engine, replace(SAMPLING, stop_token_ids=frozenset([stop])))
    assert output.finish_reason == "stop"
    assert [token.id for token in output.logprobs or ()] == plain[:at]
    later = await tokens(engine, stop_token_ids=frozenset([stop]), min_tokens=at + 1)
    assert stop not in later
    assert later[:at] == plain[:at]
    assert len(later) > at


async def test_words_that_are_not_to_come(engine: Engine) -> None:
    plain = await tokens(engine)
    word = engine.base.tokenizer.decode(plain[4:6])
    found = await tokens(engine, bad_words=(word,))
    assert found[:5] == plain[:5]
    assert all(pair != tuple(plain[4:6]) for pair in pairwise(found))


async def test_allowed_tokens(engine: Engine) -> None:
    allowed = (3, 50, 90)
    for temperature in (0.0, 1.0):
        assert set(await tokens(engine, allowed_token_ids=allowed, temperature=temperature)) <= {
            *allowed
        }


async def test_nothing_left_fails_alone(engine: Engine) -> None:
    (end,) = engine.base.end_tokens
    with pytest.raises(InvalidRequest, match="leaves no token"):
        await tokens(engine, allowed_token_ids=(end,), min_tokens=1)
    assert len(await tokens(engine)) == 12


@pytest.mark.parametrize(
    "change",
    [
        {"logit_bias": ((VOCABULARY, 1.0),)},
        {"allowed_token_ids": (5, VOCABULARY)},
        {"stop_token_ids": frozenset([VOCABULARY])},
        {"forced_bos_token_id": VOCABULARY},
        {"forced_eos_token_id": VOCABULARY},
    ],
)
async def test_tokens_that_the_base_does_not_have(
    engine: Engine, change: dict[str, object]
) -> None:
    with pytest.raises(InvalidRequest, match=f"{VOCABULARY - 1}") as caught:
        await tokens(engine, **change)
    assert [caught.value.param] == list(change)


def test_a_bad_word_is_forbidden_within_a_text_too() -> None:
    tokenizer = byte_tokenizer(chat=True)
    plain = tiny_base("llama")
    base = Base(plain.spec, plain.model, tokenizer)
    (rule,) = rules_of(Sampling(bad_words=("the", " noon")), base, PROMPT)
    assert isinstance(rule, BadWords)
    forms = [tokenizer.encode(text) for text in ("the", " the", "noon", " noon")]
    # " noon" begins with a space that is a token of its own and says nothing new.
    assert [list(word) for word in rule.words] == [
        form for at, form in enumerate(forms) if at % 2 == 0 or len(form) == len(forms[at - 1])
    ]
