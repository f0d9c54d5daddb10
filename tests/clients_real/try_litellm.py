"""litellm: answers, and errors as the classes that its users catch."""

import os

import litellm
import pytest

URL = os.environ["POLYDELTA_URL"]
HELLO = [{"role": "user", "content": "hello"}]
LONG = [{"role": "user", "content": "word " * 400}]

PROVIDERS = ["openai", "hosted_vllm"]
"""The two by which litellm's users reach servers of this kind."""


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> str:
    return request.param


def chat(provider: str, model: str, messages: list[dict[str, str]], **options: object):
    return litellm.completion(
        model=f"{provider}/{model}",
        messages=messages,
        api_base=f"{URL}/v1",
        api_key="none",
        num_retries=0,
        max_retries=0,
        **options,
    )


def test_a_chat_and_a_stream(provider: str):
    whole = chat(provider, "lora", HELLO, max_tokens=6, temperature=0)
    stream = chat(provider, "lora", HELLO, max_tokens=6, temperature=0, stream=True)
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
    assert "".join(pieces) == whole.choices[0].message.content


def test_a_model_that_is_not_there(provider: str):
    with pytest.raises(litellm.NotFoundError, match=r"no task 'lor'. Did you mean lora"):
        chat(provider, "lor", HELLO)


def test_a_prompt_that_is_too_long(provider: str):
    with pytest.raises(litellm.ContextWindowExceededError, match="maximum context length is 256"):
        chat(provider, "lora", LONG)


def test_a_field_out_of_bounds(provider: str):
    with pytest.raises(litellm.BadRequestError, match="top_p"):
        chat(provider, "lora", HELLO, top_p=7)


def test_embeddings_and_their_errors(provider: str):
    options = {"api_base": f"{URL}/v1", "api_key": "none", "num_retries": 0}
    model = f"{provider}/embedder"
    found = litellm.embedding(model=model, input=["a", "b"], encoding_format="float", **options)
    assert len(found.data) == 2
    with pytest.raises(litellm.NotFoundError):
        litellm.embedding(model=f"{provider}/nobody", input="a", encoding_format="float", **options)


def test_rerank():
    found = litellm.rerank(
        model="hosted_vllm/ranker",
        query="prize",
        documents=["noon", "You won a prize"],
        top_n=1,
        api_base=URL,
        api_key="none",
    )
    assert len(found.results) == 1
    assert found.results[0]["document"]["text"] in ("noon", "You won a prize")
