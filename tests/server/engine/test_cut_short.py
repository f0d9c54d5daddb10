"""Texts that are about to be cut off end in time, in the form that was asked for."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from llguidance import LLTokenizer

from server.engine.ending import Endings
from server.engine.engine import Engine
from server.engine.grammar import Grammar
from server.engine.grammars import compiled
from server.engine.output import Generated
from server.engine.request import Request, Sampling
from tests.bases import byte_tokenizer
from tests.server.engine.engines import ask, serving, tiny_engine
from tests.server.engine.guided import byte_base
from tests.structured.tools import TOOLS

PROMPT = tuple(range(40, 52))
NOTE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "lines": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        "more": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["text"],
    "additionalProperties": False,
}
SHORTEST = '{"text": ""}'


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncGenerator[Engine]:
    async with serving(tiny_engine(byte_base("llama"), {}, tmp_path)) as engine:
        yield engine


async def written(engine: Engine, schema: Any, tokens: int, **options: Any) -> Generated:
    grammar = Grammar.of_schema(schema, "schema")
    sampling = Sampling(max_tokens=tokens, **options)
    name = f"{schema} {tokens} {options}"
    (output,) = await ask(engine, Request(name, "base", PROMPT, sampling, grammar=grammar))
    assert isinstance(output, Generated)
    return output


@pytest.mark.parametrize("tokens", [len(SHORTEST), 20, 57, 128])
@pytest.mark.parametrize("seed", range(4))
async def test_what_would_be_cut_off_still_keeps_to_its_schema(
    engine: Engine, tokens: int, seed: int
) -> None:
    luck: dict[str, Any] = {"temperature": 1.0, "seed": seed}
    output = await written(engine, NOTE, tokens, **luck)
    Draft202012Validator(NOTE).validate(json.loads(output.text))
    assert output.finish_reason in ("stop", "length")
    assert len(output.tokens) <= tokens
    whole = await written(engine, NOTE, 200, **luck)
    if output.finish_reason == "stop":
        assert output.text == whole.text
    else:
        # Only the end is another, once there is no room for more.
        begun = output.text[: tokens - 2 * len(SHORTEST)] if tokens > 2 * len(SHORTEST) else ""
        assert whole.text.startswith(begun)


async def test_a_text_is_the_same_whatever_else_is_asked_of_its_tokens(engine: Engine) -> None:
    plain = await written(engine, NOTE, 40)
    judged = await written(engine, NOTE, 40, logprobs=1)
    assert judged.text == plain.text
    assert judged.tokens == plain.tokens
    assert judged.logprobs is not None
    assert len(judged.logprobs) == len(judged.tokens)
    assert (await written(engine, NOTE, 40, stop=("never",))).text == plain.text


async def test_too_few_tokens_give_the_beginning_of_a_text(engine: Engine) -> None:
    output = await written(engine, NOTE, len(SHORTEST) - 4)
    assert output.finish_reason == "length"
    assert output.text == SHORTEST[: len(SHORTEST) - 4]
    with pytest.raises(json.JSONDecodeError):
        json.loads(output.text)


async def test_what_a_request_forbids_is_not_written_to_end_in_time(engine: Engine) -> None:
    output = await written(engine, NOTE, 60, bad_words=("}",))
    assert (len(output.tokens), output.finish_reason) == (60, "length")
    assert not output.text.endswith("}")


@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_has_a_short_ending_that_is_found(name: str) -> None:
    tokenizer = byte_tokenizer(chat=True)
    ends: Any = [tokenizer.eos_token_id]
    endings = Endings(LLTokenizer(tokenizer.backend_tokenizer.to_str(), None, ends))
    matcher = compiled(Grammar.of_schema(TOOLS[name], "schema"), endings)
    found = endings.find(matcher.state, ())
    assert found
    Draft202012Validator(TOOLS[name]).validate(json.loads(str(tokenizer.decode(found))))
    assert endings.find(matcher.state, (), most=len(found) - 1) is None


@pytest.mark.parametrize("begun", ["", "a+MATCH#SIGN", "https%3A%2F!"])
def test_an_address_is_ended_wherever_it_was_left(begun: str) -> None:
    tokenizer = byte_tokenizer(chat=True)
    ends: Any = [tokenizer.eos_token_id]
    endings = Endings(LLTokenizer(tokenizer.backend_tokenizer.to_str(), None, ends))
    schema = {"type": "string", "format": "email"}
    state = compiled(Grammar.of_schema(schema, "schema"), endings).state
    tokens = tokenizer.encode(f'"{begun}', add_special_tokens=False)
    assert state.consume_tokens(tokens)
    found = endings.find(state, ())
    assert found
    assert "@" in json.loads(str(tokenizer.decode([*tokens, *found])))


@pytest.mark.parametrize(
    ("regex", "text"),
    [
        (r"\d{4}-\d\d", "0101-01"),
        (r"[a-z]+@[a-z]+\.com", "n@n.com"),
        (r"(yes|no)+!", "no!"),
        (r"[\]}]{3}", "}}}"),
        (r".*", ""),
        (r"\d+;", "0;"),
        (r"(\w{1,50}[a-f]){9}z", None),
    ],
)
def test_endings_of_patterns(regex: str, text: str | None) -> None:
    tokenizer = byte_tokenizer(chat=True)
    ends: Any = [tokenizer.eos_token_id]
    endings = Endings(LLTokenizer(tokenizer.backend_tokenizer.to_str(), None, ends))
    found = endings.find(compiled(Grammar("regex", regex), endings).state, ())
    assert (None if found is None else tokenizer.decode(found)) == text
