import math
from codecs import getincrementaldecoder
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests import samples
from tests.server.api.live import Live, serving
from tests.server.api.problems import check

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


@pytest.fixture
def client(live: Live):
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_a_chat_is_what_infer_says(live: Live, client: openai.OpenAI):
    chat = client.chat.completions.create(
        model="lora", messages=HELLO, temperature=0, max_tokens=6, extra_body={"ignore_eos": True}
    )
    (choice,) = chat.choices
    native = live.infer("lora", "hello", max_tokens=6, ignore_eos=True)
    assert choice.message.content == native["outputs"][0]["text"]
    assert choice.message.role == "assistant"
    assert choice.finish_reason == "length"
    assert chat.usage
    assert chat.usage.model_dump(exclude_unset=True) == native["usage"]


def test_a_chat_streams_role_text_and_usage(client: openai.OpenAI):
    whole = client.chat.completions.create(
        model="base", messages=HELLO, seed=5, n=2, max_completion_tokens=12
    )
    chunks = list(
        client.chat.completions.create(
            model="base",
            messages=HELLO,
            seed=5,
            n=2,
            max_completion_tokens=12,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    *pieces, last = chunks
    assert last.choices == []
    assert last.usage == whole.usage
    for index, choice in enumerate(whole.choices):
        mine = [each.choices[0] for each in pieces if each.choices[0].index == index]
        assert mine[0].delta.role == "assistant"
        assert "".join(each.delta.content or "" for each in mine) == choice.message.content
        assert mine[-1].finish_reason == choice.finish_reason


def test_chat_logprobs(client: openai.OpenAI):
    chat = client.chat.completions.create(
        model="base", messages=HELLO, temperature=0, max_tokens=3, logprobs=True, top_logprobs=2
    )
    logprobs = chat.choices[0].logprobs
    assert logprobs
    for token in logprobs.content or ():
        assert len(token.top_logprobs) == 2
        assert token.logprob == token.top_logprobs[0].logprob
        assert token.bytes is not None
        whole = bytes(token.bytes).decode(errors="replace")
        assert token.token.startswith("bytes:") if "\ufffd" in whole else token.token == whole


def test_a_chat_without_a_limit_ends_with_the_context(live: Live, client: openai.OpenAI):
    chat = client.chat.completions.create(
        model="base",
        messages=[{"role": "user", "content": "noon " * 110}],
        extra_body={"ignore_eos": True},
    )
    assert chat.choices[0].finish_reason == "length"
    assert chat.usage
    assert chat.usage.total_tokens == live.engine.context


def test_completions_of_text_and_of_tokens(live: Live, client: openai.OpenAI):
    tokens = live.engine.base.tokenizer.encode("hello")
    options: dict[str, Any] = {"model": "bottleneck", "temperature": 0, "max_tokens": 5}
    text = client.completions.create(prompt="hello", **options)
    ids = client.completions.create(prompt=tokens, **options)
    many = client.completions.create(prompt=["hello", "noon"], **options)
    lists = client.completions.create(prompt=[tokens, tokens], **options)
    assert text.choices[0].text == ids.choices[0].text == many.choices[0].text
    assert [choice.index for choice in many.choices] == [0, 1]
    assert [choice.text for choice in lists.choices] == [text.choices[0].text] * 2
    assert text.usage
    assert text.usage.prompt_tokens == len(tokens)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("chat", [False, True])
def test_cached_tokens_are_those_of_the_salt(client: openai.OpenAI, chat: bool, stream: bool):
    text = f"{chat} {stream} " + "the meeting is at noon " * 9

    def cached(salt: str | None) -> int | None:
        options: dict[str, Any] = {"model": "prefix", "max_tokens": 2, "stream": stream}
        options["extra_body"] = {"cache_salt": salt}
        if stream:
            options["stream_options"] = {"include_usage": True}
        if chat:
            options["messages"] = [{"role": "user", "content": text}]
            answer = client.chat.completions.create(**options)
        else:
            answer = client.completions.create(prompt=text, **options)
        usage = ([*answer][-1] if stream else answer).usage
        return usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens

    first, again = ([cached(salt) for salt in (None, "one", "other")] for _ in range(2))
    assert first == [None] * 3
    assert again[0]
    assert again == [again[0]] * 3


def test_completion_logprobs_and_stream(client: openai.OpenAI):
    options: dict[str, Any] = {
        "model": "base",
        "prompt": "hello",
        "temperature": 0,
        "max_tokens": 8,
        "logprobs": 2,
    }
    (choice,) = client.completions.create(**options).choices
    assert choice.logprobs
    assert choice.logprobs.token_logprobs
    assert all(math.isfinite(value) for value in choice.logprobs.token_logprobs)
    chunks = list(client.completions.create(**options, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == choice.text
    streamed = [chunk.choices[0].logprobs for chunk in chunks]
    tokens = [token for each in streamed if each for token in each.tokens or ()]
    assert tokens == choice.logprobs.tokens


def test_rules_of_what_may_come(live: Live, client: openai.OpenAI):
    plain = live.infer("base", "hello", max_tokens=6, ignore_eos=True, logprobs=0)
    first, second = (token["id"] for token in plain["outputs"][0]["logprobs"][:2])
    options: dict[str, Any] = {"max_tokens": 6, "temperature": 0, "ignore_eos": True}
    for rules in (
        {"logit_bias": {str(first): -100}},
        {"allowed_token_ids": [second, 50]},
        {"allowed_token_ids": [second, 50], "no_repeat_ngram_size": 3},
        {"forced_eos_token_id": 50},
        {"bad_words": [live.engine.base.tokenizer.decode([second])]},
        {"stop_token_ids": [second], "min_tokens": 2},
        {"min_tokens": 3, "stop": [live.engine.base.tokenizer.decode([second])]},
    ):
        native = live.infer("base", "hello", **options, **rules)["outputs"][0]
        assert native != live.infer("base", "hello", **options)["outputs"][0] or "stop" in rules
        asked = {"ignore_eos": True, **rules}
        chat = client.chat.completions.create(
            model="base", messages=HELLO, temperature=0, max_tokens=6, extra_body=asked
        )
        assert chat.choices[0].message.content == native["text"]
        assert chat.choices[0].finish_reason == native["finish_reason"]
    stopped = live.infer("base", "hello", **options, stop_token_ids=[second])
    assert stopped["outputs"][0]["finish_reason"] == "stop"
    assert stopped["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("logit_bias", {"five": 1}, "logit_bias"),
        ("logit_bias", {"5": 101}, "logit_bias.5"),
        ("logit_bias", {"99999": 1}, "logit_bias"),
        ("allowed_token_ids", [], "allowed_token_ids"),
        ("bad_words", [""], "bad_words.0"),
        ("bad_words", ["  "], "bad_words"),
        ("stop_token_ids", [-1], "stop_token_ids.0"),
    ],
)
def test_rules_that_are_none(client: openai.OpenAI, field: str, value: Any, param: str):
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="base", prompt="x", extra_body={field: value})
    assert caught.value.param is not None
    assert caught.value.param.startswith(param)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_each_token_of_a_completion_has_its_character_and_its_rivals(
    client: openai.OpenAI, count: int
):
    # At a high temperature the tiny base writes parts of characters and unlikely tokens.
    options: dict[str, Any] = {
        "model": "base",
        "prompt": "hello",
        "temperature": 3,
        "max_tokens": 60,
        "seed": 7,
        "logprobs": count,
        "extra_body": {"ignore_eos": True},
    }
    (choice,) = client.completions.create(**options).choices
    whole = choice.logprobs
    assert whole
    assert whole.tokens
    assert whole.text_offset
    assert whole.top_logprobs
    assert whole.token_logprobs
    assert whole.text_offset == sorted(whole.text_offset)
    assert whole.text_offset[-1] <= len(choice.text)
    assert any(token.startswith("bytes:") for token in whole.tokens)
    for token, logprob, table in zip(
        whole.tokens, whole.token_logprobs, whole.top_logprobs, strict=True
    ):
        assert len(table) in (count, count + 1)
        assert table[token] == logprob
    stream = client.completions.create(**options, stream=True)
    parts = [chunk.choices[0].logprobs for chunk in stream]
    for field in ("tokens", "text_offset", "top_logprobs"):
        joined = [each for part in parts if part for each in getattr(part, field)]
        assert joined == getattr(whole, field)
    for token, start in zip(whole.tokens, whole.text_offset, strict=True):
        if not token.startswith(("bytes:", "<")):
            assert choice.text[start : start + len(token)] == token


def test_a_text_does_not_end_within_a_character(client: openai.OpenAI):
    for length in range(1, 40):
        chat = client.chat.completions.create(
            model="base",
            messages=HELLO,
            temperature=2,
            seed=3,
            max_tokens=length,
            logprobs=True,
            extra_body={"ignore_eos": True},
        )
        (choice,) = chat.choices
        assert choice.logprobs
        tokens = choice.logprobs.content or []
        written = b"".join(bytes(each.bytes or ()) for each in tokens if each.token[:1] != "<")
        decoder = getincrementaldecoder("utf-8")("replace")
        assert choice.message.content == decoder.decode(written)


def test_embeddings_in_both_encodings(reader: Live):
    with openai.OpenAI(base_url=f"{reader.url}/v1", api_key="none") as client:
        packed = client.embeddings.create(model="base", input=["a prize", "noon"])
        plain = client.embeddings.create(
            model="base", input=["a prize", "noon"], encoding_format="float"
        )
        for one, other in zip(packed.data, plain.data, strict=True):
            assert one.embedding == pytest.approx(other.embedding, rel=1e-6)
        with pytest.raises(openai.BadRequestError) as caught:
            client.embeddings.create(model="topic", input="a prize")
    assert (caught.value.code, caught.value.param) == ("capability_mismatch", "model")


def test_models_are_the_base_and_the_tasks(live: Live, client: openai.OpenAI):
    models = {model.id: model.model_dump() for model in client.models.list()}
    assert models["base"]["parent"] is None
    assert models["base"]["root"] == "tiny-llama"
    assert models["spam"]["parent"] == "base"
    assert models["prefix"]["max_model_len"] == models["base"]["max_model_len"] - 3
    assert client.models.retrieve("spam").model_dump() == models["spam"]


def test_errors_are_the_clients_own(client: openai.OpenAI):
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="lor", messages=HELLO)
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    assert missing.value.request_id
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model="base", messages=HELLO, n=99)
    assert (wrong.value.code, wrong.value.param) == ("invalid_request", "n")
    with pytest.raises(openai.BadRequestError) as unable:
        client.chat.completions.create(model="spam", messages=HELLO)
    assert (unable.value.code, unable.value.param) == ("capability_mismatch", "model")
    with pytest.raises(openai.NotFoundError) as unlisted:
        client.models.retrieve("lor")
    assert unlisted.value.param == "model"


async def test_the_asynchronous_client(live: Live):
    async with openai.AsyncOpenAI(base_url=f"{live.url}/v1", api_key="none") as client:
        whole = await client.chat.completions.create(
            model="lora", messages=HELLO, temperature=0, max_tokens=8
        )
        stream = await client.chat.completions.create(
            model="lora", messages=HELLO, temperature=0, max_tokens=8, stream=True
        )
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == whole.choices[0].message.content


def test_a_chat_that_names_no_model(decoder: Path, tmp_path: Path, live: Live):
    """The base answers where only it can be meant."""
    body: dict[str, Any] = {"messages": HELLO, "max_tokens": 2, "temperature": 0}
    with serving(decoder, tmp_path, drain_timeout=0) as alone:
        alone.add("spam", samples.classifier(alone.spec, ("ham", "spam")))
        for path, field in (
            ("/v1/chat/completions", {"messages": HELLO}),
            ("/v1/completions", {"prompt": "x"}),
        ):
            options = {"max_tokens": 2, "temperature": 0, **field}
            unnamed, named = (alone.post(path, **options, **on) for on in ({}, {"model": "base"}))
            assert unnamed.json()["model"] == "base"
            assert unnamed.json()["choices"] == named.json()["choices"]
            stream = alone.post(path, **options, stream=True)
            assert '"model":"base"' in stream.text
    message = check(live.post("/v1/chat/completions", **body), 400, "invalid_request", "model")
    assert "base, lora" in message


def test_the_client_prints_one_sentence(client: openai.OpenAI):
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="lor", messages=HELLO)
    sentence = "There is no task 'lor'. Did you mean lora?"
    assert str(missing.value) == f"Error code: 404 - {sentence}"
    with pytest.raises(openai.BadRequestError, match="maximum context length is 256 tokens"):
        client.completions.create(model="base", prompt="word " * 400)
