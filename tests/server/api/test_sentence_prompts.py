"""Prompts of a base that sentence-transformers saved come before texts to embed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.api.live import Live, serving
from tests.server.model.test_sentence import stored


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    base = stored(tmp_path_factory.mktemp("base"), {"pooling_mode": "mean"}, "Dense", "Normalize")
    said = {"prompts": {"query": "find: ", "usual": "read: "}, "default_prompt_name": "usual"}
    (base / "config_sentence_transformers.json").write_text(json.dumps(said))
    with serving(base, tmp_path_factory.mktemp("live"), drain_timeout=0) as server:
        yield server


def embedded(live: Live, **body: Any) -> list[float]:
    answer = live.post("/v1/embeddings", model="base", **body)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"][0]["embedding"]


def test_a_prompt_comes_before_a_text(live: Live) -> None:
    found = embedded(live, input="rivers", prompt_name="query")
    assert len(found) == 8
    tokens = live.engine.base.tokenizer("find: rivers")["input_ids"]
    assert found == pytest.approx(embedded(live, input=tokens), abs=1e-6)
    other = live.post("/embed", inputs="rivers", prompt_name="query")
    assert other.json()[0] == pytest.approx(found, abs=1e-6)


def test_without_a_name_the_usual_one_does(live: Live) -> None:
    usual = embedded(live, input="rivers", prompt_name="usual")
    assert embedded(live, input="rivers") == usual
    assert usual != embedded(live, input="rivers", prompt_name="query")


def test_a_prompt_that_there_is_not_is_refused(live: Live) -> None:
    answer = live.post("/v1/embeddings", input="rivers", prompt_name="none")
    assert answer.status_code == 400
    assert "it has: query, usual" in answer.json()["error"]["message"]


def test_a_prompt_is_not_put_before_tokens(live: Live) -> None:
    answer = live.post("/v1/embeddings", input=[5, 6, 7], prompt_name="query")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "prompt_name"
