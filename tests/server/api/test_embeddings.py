"""Embeddings: many inputs, all forms, and sizes."""

import asyncio
import base64
from dataclasses import replace
from typing import Any

import numpy as np
import openai
import pytest

from server.api.inputs import MAX_BATCH, MAX_EMBEDDINGS
from server.registry.names import shared
from tests.samples import embedder
from tests.server.api.live import Live, wait_until
from tests.server.api.problems import check
from tests.server.engine.pacing import paced

SIZES = (4, 16)


@pytest.fixture(scope="module")
def client(reader: Live):
    reader.add("nested", embedder(SIZES))
    with openai.OpenAI(base_url=f"{reader.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def vectors(client: openai.OpenAI, model: str = "base", **options: Any) -> list[list[float]]:
    found = client.embeddings.create(model=model, **options)
    assert [each.index for each in found.data] == list(range(len(found.data)))
    return [each.embedding for each in found.data]


def test_as_many_inputs_as_openai_takes(reader: Live, client: openai.OpenAI):
    texts = [f"prize {number}" for number in range(MAX_EMBEDDINGS)]
    answer = client.embeddings.create(model="base", input=texts)
    alone = [vectors(client, input=texts[at])[0] for at in (0, MAX_BATCH, MAX_EMBEDDINGS - 1)]
    found = [answer.data[at].embedding for at in (0, MAX_BATCH, MAX_EMBEDDINGS - 1)]
    assert found == alone
    tokens = [reader.engine.base.tokenizer.encode(text) for text in texts]
    assert answer.usage.prompt_tokens == sum(map(len, tokens))
    assert vectors(client, input=tokens)[:5] == [each.embedding for each in answer.data[:5]]
    reader.settle()
    with pytest.raises(openai.BadRequestError) as caught:
        vectors(client, input=[*texts, "one more"])
    assert caught.value.param == "input"


async def test_a_swap_changes_no_answer_that_is_under_way(reader: Live):
    # More than are asked for at once: the last is asked for after the swap.
    texts = [f"noon {number}" for number in range(MAX_BATCH + 1)]
    reader.add("swapped", embedder(SIZES))
    async with openai.AsyncOpenAI(base_url=f"{reader.url}/v1", api_key="none") as client:
        with paced(reader.engine):
            asking = asyncio.create_task(client.embeddings.create(model="swapped", input=texts))
            await asyncio.to_thread(
                wait_until, lambda: reader.engine.registry.get(shared("swapped")).requests > 0
            )
            await asyncio.to_thread(
                reader.add, "swapped", replace(embedder(SIZES), dimensions=(8,))
            )
        answer = await asking
        assert len(answer.data) == len(texts)


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_natural_and_shorter_sizes(reader: Live, client: openai.OpenAI, encoding: Any):
    whole = vectors(client, "nested", input="a prize")[0]
    natural = vectors(client, "nested", input="a prize", dimensions=len(whole))[0]
    assert natural == whole
    for size in SIZES:
        answer = reader.post(
            "/v1/embeddings",
            model="nested",
            input="a prize",
            dimensions=size,
            encoding_format=encoding,
        ).json()
        vector = answer["data"][0]["embedding"]
        if encoding == "base64":
            vector = np.frombuffer(base64.b64decode(vector), dtype="<f4")
        first = np.array(whole[:size])
        assert vector == pytest.approx(first / np.linalg.norm(first), rel=1e-5)
    assert vectors(client, input="a prize", dimensions=reader.spec.hidden)


@pytest.mark.parametrize(("model", "size"), [("base", 4), ("nested", 5), ("nested", 1 << 20)])
def test_other_sizes_are_refused_before_any_work(reader: Live, model: str, size: int):
    before = reader.engine.stats()
    refused = reader.post("/v1/embeddings", model=model, input="a prize", dimensions=size)
    error = check(refused, 400, "invalid_request", "dimensions")
    assert "embeddings of" in error
    assert reader.engine.stats() == before


def test_what_is_too_long_may_be_cut(reader: Live, client: openai.OpenAI):
    long = "noon " * 500
    with pytest.raises(openai.BadRequestError):
        vectors(client, input=long)
    cut = vectors(client, input=long, extra_body={"truncate_prompt_tokens": -1})
    assert len(cut) == 1
