"""LangChain: a chat, and the errors that its agents act on."""

import os

import pytest
from langchain_core.exceptions import ContextOverflowError
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

URL = f"{os.environ['POLYDELTA_URL']}/v1"


def chat(model: str) -> ChatOpenAI:
    return ChatOpenAI(model=model, base_url=URL, api_key="none", max_retries=0, max_tokens=4)


def test_a_chat_and_a_stream():
    assert chat("lora").invoke("hello").content is not None
    assert list(chat("lora").stream("hello"))


def test_a_prompt_that_is_too_long():
    with pytest.raises(ContextOverflowError, match="maximum context length is 256"):
        chat("lora").invoke("word " * 400)


def test_embeddings():
    embeddings = OpenAIEmbeddings(
        model="embedder", base_url=URL, api_key="none", check_embedding_ctx_length=False
    )
    assert len(embeddings.embed_documents(["a", "b"])) == 2
