"""What is too long is cut where that is asked for, as Transformers' tokenizers cut it."""

from typing import Any

import pytest

from tests.server.api.live import Live
from tests.server.api.problems import check

TEXT = "You won a prize! The meeting is at noon, see you there."
LONG = "noon " * 500
TOOL = {"type": "function", "function": {"name": "weather"}}
CHAT = [{"role": "user", "content": TEXT}, {"role": "assistant", "content": "The"}]


def posted(live: Live, path: str, **body: Any) -> Any:
    response = live.post(path, **body)
    assert response.status_code == 200, response.text
    return response.json()


def cut(live: Live, text: str, most: int, side: str = "right", **options: Any) -> list[int]:
    """A text's tokens as Transformers cuts them."""
    tokenizer: Any = live.engine.base.tokenizer
    before, tokenizer.truncation_side = tokenizer.truncation_side, side
    try:
        return tokenizer(text, truncation=True, max_length=most, **options)["input_ids"]
    finally:
        tokenizer.truncation_side = before
        tokenizer.backend_tokenizer.no_truncation()


READINGS = [("/classify", "topic"), ("/pooling", "topic"), ("/v1/embeddings", "base")]


@pytest.mark.parametrize(("path", "task"), READINGS)
def test_a_head_reads_the_beginning(reader: Live, path: str, task: str):
    def read(given: Any, **options: Any) -> Any:
        return posted(reader, path, model=task, input=given, **options)["data"]

    assert read(TEXT, truncate_prompt_tokens=6) == read(cut(reader, TEXT, 6))
    left = read(TEXT, truncate_prompt_tokens=6, truncation_side="left")
    assert left == read(cut(reader, TEXT, 6, "left"))
    assert left != read(TEXT, truncate_prompt_tokens=6)
    most = reader.engine.context
    assert read(LONG, truncate_prompt_tokens=-1) == read(cut(reader, LONG, most))
    bare = cut(reader, TEXT, 99, add_special_tokens=False)
    assert read(TEXT, add_special_tokens=False) == read(bare)
    response = reader.post(path, model=task, input=LONG)
    check(response, 400, "context_length_exceeded", "input")


@pytest.mark.parametrize("path", ["/score", "/v1/rerank"])
def test_both_sides_of_a_comparison_are_cut(reader: Live, path: str):
    def body(one: Any, other: Any) -> dict[str, Any]:
        if path == "/score":
            return {"text_1": one, "text_2": [other]}
        return {"query": one, "documents": [other]}

    found = posted(reader, path, model="base", truncate_prompt_tokens=6, **body(TEXT, LONG))
    assert found["usage"]["prompt_tokens"] == 12
    (row,) = found.get("data") or found["results"]
    texts = [cut(reader, text, 6) for text in (TEXT, LONG)]
    vectors = posted(reader, "/embed", model="base", inputs=texts)
    dot = sum(one * other for one, other in zip(*vectors, strict=True))
    lengths = [sum(value * value for value in vector) ** 0.5 for vector in vectors]
    cosine = dot / lengths[0] / lengths[1]
    assert row.get("score", row.get("relevance_score")) == pytest.approx(cosine, abs=1e-5)


@pytest.mark.parametrize("side", ["Left", "right"])
def test_text_embeddings_inference_cuts_to_what_fits(reader: Live, side: str):
    options = {"truncate": True, "truncation_direction": side}
    tokens = cut(reader, LONG, reader.engine.context, side.lower())
    for path, task in (("/embed", "base"), ("/models/base", None)):
        model = {"model": task} if task else {}
        whole = posted(reader, "/embed", model="base", inputs=[tokens])
        assert posted(reader, path, inputs=LONG, **options, **model) == whole
    labels = posted(reader, "/classify", model="topic", input=tokens)["data"][0]
    for path, model in (("/predict", {"model": "topic"}), ("/models/topic", {})):
        found = posted(reader, path, inputs=LONG, **options, **model)
        best = (found if path == "/predict" else found[0])[0]
        assert (best["label"], best["score"]) == (labels["label"], max(labels["probs"]))
    ranks = posted(reader, "/rerank", model="base", query="x", texts=[LONG], **options)
    assert len(ranks) == 1
    for path in ("/embed", "/predict"):
        task = "base" if path == "/embed" else "topic"
        response = reader.post(path, model=task, inputs=LONG)
        check(response, 400, "context_length_exceeded", "inputs")
    whole = reader.post("/models/names", inputs=LONG, truncate=True)
    assert "whole" in check(whole, 400, "invalid_request", "truncate")


def test_text_generation_inference_keeps_the_end(live: Live):
    def generate(given: str, **options: Any) -> Any:
        parameters = {"max_new_tokens": 5, **options}
        return posted(live, "/generate", model="base", inputs=given, parameters=parameters)

    tokenizer: Any = live.engine.base.tokenizer
    end = tokenizer.decode(cut(live, TEXT, 5, "left"))
    assert generate(TEXT, truncate=5) == generate(end) != generate(TEXT)


def test_tokenize_shows_what_would_be_read(live: Live, reader: Live):
    for server, side in ((live, "left"), (reader, "right")):
        options: Any = {"truncate_prompt_tokens": 5, "truncation_side": side}
        found = posted(server, "/tokenize", prompt=TEXT, **options)
        assert found["tokens"] == cut(server, TEXT, 5, side)
    longest = posted(live, "/tokenize", prompt=LONG, truncate_prompt_tokens=-1)["tokens"]
    # One token of an answer has room.
    assert longest == cut(live, LONG, live.engine.context - 1, "left")


def test_tokenize_writes_a_chat_as_it_would_be_read(live: Live):
    tokenizer: Any = live.engine.base.tokenizer
    for options in (
        {"continue_final_message": True},
        {"add_generation_prompt": False},
        {"add_generation_prompt": True},
    ):
        expected = tokenizer.apply_chat_template(CHAT, return_dict=False, **options)
        assert posted(live, "/tokenize", messages=CHAT, **options)["tokens"] == expected
    end: Any = {"truncate_prompt_tokens": 4, "add_generation_prompt": True}
    assert posted(live, "/tokenize", messages=CHAT, **end)["tokens"] == expected[-4:]
    chat = {"model": "base", "messages": CHAT[:1], "tools": [TOOL], "max_tokens": 1}
    counted = posted(live, "/tokenize", messages=CHAT[:1], tools=[TOOL])["count"]
    if counted < live.engine.context:
        usage = posted(live, "/v1/chat/completions", **chat)["usage"]
        assert counted == usage["prompt_tokens"]
    assert counted > posted(live, "/tokenize", messages=CHAT[:1])["count"]
