"""Texts that keep to a grammar: what Transformers writes under its mask, in any company."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from llguidance import LLParserLimits

from deltas.formats import native
from server.engine import grammars
from server.engine.engine import Engine
from server.engine.grammar import MAX_BYTES, MAX_NAMES, Grammar
from server.engine.output import Generated
from server.engine.request import Call, Request, Sampling
from server.errors import CapabilityMismatch, InvalidRequest
from server.model.base import Base
from tests.samples import generator
from tests.server.engine.engines import (
    Starts,
    ask,
    cache_of,
    serving,
    tiny_base,
    tiny_engine,
    tiny_limits,
)
from tests.server.engine.guided import byte_base, generated
from tests.server.engine.pacing import together

PROMPT = tuple(range(40, 52))
PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "the name of the person": {"enum": ["Ada", "Alan", "Grace"]},
        "how many years of age": {"type": "integer", "minimum": 0, "maximum": 120},
        "member": {"type": "boolean"},
        "nothing": {"const": None},
    },
    "required": ["the name of the person", "how many years of age", "member", "nothing"],
    "additionalProperties": False,
}
GRAMMARS = {
    "schema": Grammar.of_schema(PERSON, "schema"),
    "object": Grammar.of_schema({"type": "object", "maxProperties": 1}, "schema"),
    "regex": Grammar("regex", r"(The meeting is at )?[0-9]{2}:[0-9]{2} (noon|sharp)(\.|!)"),
    "choice": Grammar.of_choices(["yes/no", 'the "largest"', "a\nb\\", "🙂 café", "a|b"], "choice"),
    "lark": Grammar("grammar", 'start: "<" word ("," word)+ ">"\nword: /[a-c]{1,3}/'),
    "gbnf": Grammar("grammar", 'root ::= "[" item ("," item)? "]"\nitem ::= [0-9] "km"'),
}
SAMPLING = Sampling(max_tokens=100)


@pytest.fixture
def base() -> Base:
    return byte_base("llama")


@pytest.fixture
async def engine(base: Base, tmp_path: Path) -> AsyncGenerator[Engine]:
    native.write(generator("lora", base.spec), tmp_path / "lora", base.spec)
    deltas = {"lora": tmp_path / "lora"}
    async with serving(tiny_engine(base, deltas, tmp_path / "store")) as engine:
        yield engine


async def written(
    engine: Engine, grammar: Grammar | None, task: str = "base", **changes: Any
) -> Generated:
    sampling = replace(SAMPLING, **changes)
    name = f"{task} {grammar} {changes}"
    (output,) = await ask(engine, Request(name, task, PROMPT, sampling, grammar=grammar))
    assert isinstance(output, Generated)
    return output


@contextmanager
def counted(engine: Engine) -> Generator[list[int]]:
    """How many rows each step computes."""
    rows: list[int] = []
    forward = engine.runner.forward
    with pytest.MonkeyPatch.context() as patch:

        def step(items: Any) -> Any:
            rows.append(sum(len(item.tokens) for item in items))
            return forward(items)

        patch.setattr(engine.runner, "forward", step)
        yield rows


async def test_a_grammar_is_compiled_once_for_each_tenant(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Grammar] = []
    compiled = grammars.compiled

    def compile_(grammar: Grammar, endings: Any) -> Any:
        made.append(grammar)
        return compiled(grammar, endings)

    monkeypatch.setattr(grammars, "compiled", compile_)
    choice = GRAMMARS["choice"]
    for tenant, times in (("acme", 1), ("acme", 1), ("other", 2), ("", 3)):
        call = Call(tenant=tenant)
        await ask(engine, Request("", "base", PROMPT, SAMPLING, grammar=choice, call=call))
        assert len(made) == times


@pytest.mark.parametrize("name", GRAMMARS)
async def test_greedy_text_is_transformers_own_under_the_mask(
    engine: Engine, base: Base, name: str
) -> None:
    grammar = GRAMMARS[name]
    expected = generated(tiny(base), base.tokenizer, PROMPT, grammar, 100)
    output = await written(engine, grammar)
    # What is cut off otherwise ends in its form: the last tokens are others.
    same = 100 if output.finish_reason == "stop" else 90
    assert output.text[:same] == expected[:same]
    # With log-probabilities each token has a step of its own.
    assert (await written(engine, grammar, logprobs=0)).text == output.text
    check(name, output.text)


def tiny(base: Base) -> Any:
    """The same weights before anything is hooked into them."""
    return byte_base(base.name.removeprefix("bytes-")).model


def check(name: str, text: str) -> None:
    """Fail unless a text is what a grammar describes."""
    match name:
        case "schema":
            value = json.loads(text)
            assert list(value) == PERSON["required"]
            assert 0 <= value["how many years of age"] <= 120
        case "object":
            assert isinstance(json.loads(text), dict)
        case "regex":
            assert re.fullmatch(GRAMMARS[name].source, text)
        case "choice":
            assert text in json.loads(GRAMMARS[name].source)
        case "lark":
            assert re.fullmatch(r"<[a-c]{1,3}(,[a-c]{1,3})+>", text)
        case _:
            assert re.fullmatch(r"\[[0-9]km(,[0-9]km)?\]", text)


@pytest.mark.parametrize("name", [name for name in GRAMMARS if name != "object"])
async def test_drawn_texts_are_what_the_grammar_says(engine: Engine, name: str) -> None:
    texts = await asyncio.gather(
        *(
            written(engine, GRAMMARS[name], max_tokens=200, temperature=1.0, seed=seed)
            for seed in range(20)
        )
    )
    assert len({each.text for each in texts}) > 1
    for each in texts:
        assert each.finish_reason == "stop"
        check(name, each.text)


async def test_every_choice_can_be_written(engine: Engine) -> None:
    for text in json.loads(GRAMMARS["choice"].source):
        only = Grammar.of_choices([text], "choice")
        assert (await written(engine, only)).text == text


async def test_forced_tokens_need_no_steps(engine: Engine) -> None:
    grammar = GRAMMARS["schema"]
    with counted(engine) as forced:
        output = await written(engine, grammar)
    with counted(engine) as each:
        assert (await written(engine, grammar, logprobs=0)).text == output.text
    assert len(forced) < 0.7 * len(each)
    assert max(each[1:]) == 1 < max(forced[1:])
    # What is forced at the end is not computed at all.
    assert sum(forced[1:]) <= sum(each[1:])


@pytest.mark.parametrize("kernels", [True, False])
async def test_any_company_leaves_texts_as_they_are(
    base: Base, tmp_path: Path, kernels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not kernels:
        monkeypatch.setenv("POLYDELTA_KERNELS", "off")
    native.write(generator("lora", base.spec), tmp_path / "lora", base.spec)
    asked = [
        (task, grammar, {"temperature": temperature, "seed": 5, "max_tokens": 60})
        for task in ("base", "lora")
        for grammar in (*GRAMMARS.values(), None)
        for temperature in (0.0, 1.0)
    ]
    plans = {
        "alone": tiny_limits(),
        "at once": tiny_limits(),
        "in chunks": tiny_limits(max_batch_tokens=7),
        # Room for the longest alone: the others are preempted, again and again.
        "crowded": tiny_limits(kv_cache_bytes=cache_of(base, 128)),
    }
    answers: dict[str, list[Generated]] = {}
    for name, limits in plans.items():
        starts = Starts()
        plain = byte_base("llama")
        deltas = {"lora": tmp_path / "lora"}
        engine = tiny_engine(plain, deltas, tmp_path / name, limits, starts)
        async with serving(engine):
            if name == "alone":
                answers[name] = [await written(engine, g, t, **c) for t, g, c in asked]
            else:
                jobs = (written(engine, g, t, **c) for t, g, c in asked)
                answers[name] = await together(engine, *jobs)
            assert name != "crowded" or engine.stats().preemptions
    assert all(each == answers["alone"] for each in answers.values())


async def test_a_step_that_fails_leaves_the_others_in_their_grammars(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [await written(engine, grammar) for grammar in GRAMMARS.values()]
    forward = engine.runner.forward
    calls = 0

    def step(items: Any) -> Any:
        nonlocal calls
        calls += 1
        if len(items) > 1 and calls % 2:
            raise ArithmeticError("a step of several rows")
        return forward(items)

    monkeypatch.setattr(engine.runner, "forward", step)
    found = await asyncio.gather(*(written(engine, each) for each in GRAMMARS.values()))
    assert list(found) == expected


async def test_a_grammars_end_ends_the_text(engine: Engine) -> None:
    only = Grammar.of_choices(["noon"], "choice")
    endings: list[dict[str, Any]] = [{}, {"ignore_eos": True}, {"min_tokens": 50}]
    for changes in endings:
        output = await written(engine, only, **changes)
        assert (output.text, output.finish_reason) == ("noon", "stop")
    digits = Grammar("regex", "[0-9]+")
    long = await written(engine, digits, min_tokens=30)
    assert re.fullmatch("[0-9]{30,}", long.text)
    short = await written(engine, GRAMMARS["schema"], max_tokens=5)
    assert short.finish_reason == "length"
    stopped = await written(engine, GRAMMARS["schema"], stop=("name of",))
    assert (stopped.text.split('"')[1], stopped.finish_reason) == ("the ", "stop")


async def test_rules_hold_beside_a_grammar(engine: Engine) -> None:
    one, other = Grammar.of_choices(["1", "2"], "choice"), engine.base.tokenizer.encode("1")[0]
    assert (await written(engine, one, logit_bias=((other, -100.0),))).text == "2"
    with pytest.raises(InvalidRequest, match="leaves no token"):
        await written(engine, one, allowed_token_ids=(other + 100,))
    digits, seven = Grammar("regex", "[0-9]+"), engine.base.tokenizer.encode("7")[0]
    for size in (1, 2):
        text = (await written(engine, digits, no_repeat_ngram_size=size, max_tokens=8)).text
        pieces = [text[at : at + size] for at in range(len(text) - size + 1)]
        assert len(set(pieces)) == len(pieces)
    bound = {"max_tokens": 4, "min_tokens": 4}
    assert (await written(engine, digits, forced_eos_token_id=seven, **bound)).text[-1] == "7"
    with pytest.raises(InvalidRequest, match="leaves no token"):
        await written(engine, digits, forced_eos_token_id=other + 100, **bound)


BAD = {
    "not": Grammar.of_schema({"not": {"type": "string"}}, "schema"),
    "uniqueItems": Grammar.of_schema({"type": "array", "uniqueItems": True}, "schema"),
    "contains": Grammar.of_schema(
        {"x-guidance": {"lenient": True}, "contains": {"type": "string"}}, "schema"
    ),
    "look-around": Grammar("regex", "a(?=b)"),
    "unclosed": Grammar("regex", "(a"),
    "unknown name": Grammar("grammar", "start: nowhere"),
    "GBNF": Grammar("grammar", 'root ::= "a'),
    "nested deeper": Grammar("regex", "(" * 65 + "a" + ")" * 65),
    "bytes": Grammar("regex", "a" * (MAX_BYTES + 1)),
    "names": Grammar("grammar", "start: a\n" + "a: a\n" * MAX_NAMES),
}


@pytest.mark.parametrize("words", BAD)
async def test_what_cannot_be_kept_to_is_refused_by_name(engine: Engine, words: str) -> None:
    for _ in range(2):
        with pytest.raises(InvalidRequest, match=words) as caught:
            await written(engine, replace(BAD[words], param="field"))
        assert caught.value.param == "field"
    assert (await written(engine, GRAMMARS["regex"])).text


async def test_deep_recursion_is_survived(engine: Engine) -> None:
    links = {
        f"d{i}": {"type": "object", "properties": {"a": {"$ref": f"#/$defs/d{i + 1}"}}}
        for i in range(900)
    }
    schema = {"$defs": {**links, "d900": {"type": "string"}}, "$ref": "#/$defs/d0"}
    assert (await written(engine, Grammar.of_schema(schema, "schema"))).text.startswith("{")


async def test_a_regex_that_explodes_fails_alone(engine: Engine) -> None:
    bomb = Grammar("regex", "(a{1000}){1000}")
    beside = asyncio.gather(*(written(engine, each) for each in GRAMMARS.values()))
    with pytest.raises(InvalidRequest):
        await written(engine, bomb)
    assert all(output.text for output in await beside)


async def test_a_tokenizer_of_words_alone(tmp_path: Path) -> None:
    async with serving(tiny_engine(tiny_base("llama"), {}, tmp_path)) as engine:
        with pytest.raises(CapabilityMismatch, match="tokenizer"):
            await written(engine, GRAMMARS["regex"])


async def test_a_grammar_that_takes_too_much_work_fails_its_own_row(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = LLParserLimits(step_lexer_fuel=500, verbose_errors=False)
    monkeypatch.setattr(grammars, "_LIMITS", few)
    heavy = Grammar("regex", r"(\w{1,50}[a-f]){1,50}z")
    async with serving(tiny_engine(base, {}, tmp_path)) as engine:
        found = await asyncio.gather(
            written(engine, heavy), written(engine, GRAMMARS["choice"]), return_exceptions=True
        )
        assert isinstance(found[0], InvalidRequest)
        assert "too complex" in str(found[0])
        assert isinstance(found[1], Generated)
        check("choice", found[1].text)
