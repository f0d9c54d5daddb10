"""vLLM's routes beside OpenAI's, as its documents describe them."""

import base64
import json
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.server.api.conftest import LABELS
from tests.server.api.live import Live, wait_until
from tests.server.api.problems import check
from tests.server.engine.pacing import slowed

TEXT = "You won a prize! naïve 東京"
CHAT = [{"role": "user", "content": TEXT}]


def posted(live: Live, path: str, **body: Any) -> Any:
    response = live.post(path, **body)
    assert response.status_code == 200, response.text
    return response.json()


def test_classify(live: Live, reader: Live):
    for server, task in ((live, "spam"), (reader, "topic")):
        native = server.infer(task, [TEXT, "noon"])["outputs"]
        tokenizer: Any = server.engine.base.tokenizer
        tokens = tokenizer(TEXT)["input_ids"]
        for given in ({"model": task}, {}):
            found = posted(server, "/classify", input=[TEXT, "noon"], **given)
            assert (found["object"], found["model"]) == ("list", task)
            for index, (each, expected) in enumerate(zip(found["data"], native, strict=True)):
                assert (each["index"], each["num_classes"]) == (index, 3)
                assert each["label"] == expected["label"]
                assert each["probs"] == [expected["scores"][label] for label in LABELS]
        ids = posted(server, "/classify", input=tokens)
        assert ids["data"] == found["data"][:1]
        raw = posted(server, "/classify", input=TEXT, use_activation=False)["data"][0]
        logits = server.infer(task, TEXT, function_to_apply="none")["outputs"][0]["scores"]
        assert raw["probs"] == [logits[label] for label in LABELS]
    chat = posted(live, "/classify", messages=CHAT)["data"][0]
    native = live.infer("spam", CHAT)["outputs"][0]
    assert chat["label"] == native["label"]
    check(reader.post("/classify", model="base", input=TEXT), 400, "capability_mismatch", "model")
    both = reader.post("/classify", model="topic", input=TEXT, messages=CHAT)
    assert "either input or messages" in check(both, 400, "invalid_request")


def test_pooling(reader: Live):
    embedding = reader.infer("base", TEXT)["outputs"][0]["embedding"]
    (row,) = posted(reader, "/pooling", model="base", input=TEXT)["data"]
    assert row == {"index": 0, "object": "pooling", "data": embedding}
    (row,) = posted(reader, "/pooling", task="embed", input=TEXT, encoding_format="base64")["data"]
    packed = base64.b64decode(row["data"])
    assert struct.unpack(f"<{len(embedding)}f", packed) == pytest.approx(embedding, rel=1e-6)
    scores = reader.infer("topic", TEXT)["outputs"][0]["scores"]
    (row,) = posted(reader, "/pooling", task="classify", input=TEXT)["data"]
    assert row["data"] == [scores[label] for label in LABELS]
    several = reader.post("/pooling", input=TEXT)
    assert "base, topic" in check(several, 400, "invalid_request", "model")
    wrong = reader.post("/pooling", model="topic", task="embed", input=TEXT)
    check(wrong, 400, "capability_mismatch", "model")
    check(reader.post("/pooling", task="token_embed", input=TEXT), 400, "invalid_request", "task")


def test_tokenize_and_detokenize(live: Live, reader: Live):
    for server in (live, reader):
        tokenizer: Any = server.engine.base.tokenizer
        for special in (True, False):
            tokens = tokenizer(TEXT, add_special_tokens=special)["input_ids"]
            found = posted(server, "/tokenize", prompt=TEXT, add_special_tokens=special)
            assert found == {
                "count": len(tokens),
                "max_model_len": server.engine.context,
                "tokens": tokens,
            }
            named = posted(
                server,
                "/tokenize",
                model="base",
                prompt=TEXT,
                add_special_tokens=special,
                return_token_strs=True,
            )
            assert named["token_strs"] == tokenizer.convert_ids_to_tokens(tokens)
            back = posted(server, "/detokenize", tokens=tokens)
            assert back == {"prompt": tokenizer.decode(tokens)}
    assert posted(live, "/tokenize", prompt="") == {
        "count": 0,
        "max_model_len": live.engine.context,
        "tokens": [],
    }
    assert posted(live, "/detokenize", tokens=[]) == {"prompt": ""}
    # However long: it is counted to be cut.
    assert posted(live, "/tokenize", prompt="word " * 5000)["count"] > live.engine.context
    assert posted(live, "/tokenize", model="prefix", prompt="x")["max_model_len"] == 253
    text = "x" * 131_073
    for body in ({"prompt": text}, {"messages": [{"role": "user", "content": text}]}):
        assert "split" in check(live.post("/tokenize", **body), 400, "invalid_request", "prompt")
    check(live.post("/detokenize", tokens=[10**6]), 400, "invalid_request", "tokens")
    check(live.post("/tokenize", model="nobody", prompt="x"), 404, "model_not_found", "model")


def test_tokenize_a_chat(live: Live):
    tokenizer: Any = live.engine.base.tokenizer
    tokens = tokenizer.apply_chat_template(CHAT, add_generation_prompt=True)["input_ids"]
    found = posted(live, "/tokenize", messages=CHAT, return_token_strs=True)
    assert found["tokens"] == tokens
    assert found["token_strs"] == tokenizer.convert_ids_to_tokens(tokens)
    long = [{"role": "user", "content": "word " * 5000}]
    assert posted(live, "/tokenize", messages=long)["count"] > live.engine.context


def test_version_and_server_info(live: Live):
    assert live.http.get("/version").json().keys() == {"version"}
    shown = live.http.get("/server_info", params={"config_format": "json"}).json()
    assert shown["vllm_config"]["model_config"]["max_model_len"] == live.engine.context
    assert shown["system_env"]["torch_version"]
    text = live.http.get("/server_info").json()
    assert json.loads(text["vllm_config"]) == shown["vllm_config"]
    refused = live.http.get("/server_info", params={"config_format": "xml"})
    check(refused, 400, "invalid_request", "config_format")


LONG: dict[str, Any] = {"max_tokens": 120, "ignore_eos": True, "temperature": 0}


def begun(live: Live, pool: ThreadPoolExecutor) -> Any:
    """A generation that is under way."""
    asked = pool.submit(live.post, "/v1/completions", model="base", prompt="x", **LONG)
    wait_until(lambda: live.engine.stats().running > 0)
    return asked


@pytest.mark.parametrize("mode", ["abort", "wait", "keep"])
def test_pause_and_resume(live: Live, mode: str):
    expected = posted(live, "/v1/completions", model="base", prompt="x", **LONG)["choices"]
    with ThreadPoolExecutor(4) as pool:
        with slowed(live.engine):
            asked = begun(live, pool)
            pausing = pool.submit(live.http.post, "/pause", params={"mode": mode})
            wait_until(lambda: live.engine.paused)
            if mode != "wait":
                pausing.result()
        assert pausing.result().json() == {"status": "paused"}
        assert live.http.get("/is_paused").json() == {"is_paused": True}
        assert live.http.get("/health/live").status_code == 200
        if mode == "abort":
            check(asked.result(), 503, "aborted")
        if mode == "wait":
            assert asked.result()
        late = pool.submit(live.infer, "lora", "x", max_tokens=2)
        impatient = live.http.post(
            "/v1/infer", json={"task": "base", "input": "x"}, headers={"prefer": "wait=0.2"}
        )
        assert impatient.status_code in (429, 504)
        time.sleep(0.1)
        assert not late.done()
        assert asked.done() is (mode != "keep")
        assert live.http.post("/resume").json() == {"status": "resumed"}
        assert late.result()["outputs"]
        if mode != "abort":
            assert asked.result().json()["choices"] == expected
    assert live.http.get("/is_paused").json() == {"is_paused": False}
    check(live.http.post("/pause", params={"mode": "x"}), 400, "invalid_request", "mode")


def test_pausing_twice_and_resuming_what_runs(live: Live):
    before = threading.active_count()
    for _ in range(2):
        live.http.post("/pause", params={"mode": "keep"})
    live.http.post("/pause", params={"wait_for_inflight_requests": True})
    for _ in range(2):
        live.http.post("/resume")
    assert live.infer("base", "x", max_tokens=2)["outputs"]
    assert threading.active_count() < before + 20
