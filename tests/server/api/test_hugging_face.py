"""What huggingface_hub's own client and the documents of TEI and TGI ask is answered so."""

import json
from typing import Any

import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from tests.server.api.live import Live
from tests.server.api.problems import check

TEXT = "You won a prize!"


def client(live: Live, path: str = "") -> InferenceClient:
    return InferenceClient(f"{live.url}{path}", token="none")


def posted(live: Live, path: str, **body: Any) -> Any:
    response = live.post(path, **body)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("path", ["/models/lora", "/models/base", "/generate"])
def test_text_generation(live: Live, path: str):
    task = path.rpartition("/")[2] if "models" in path else "lora"
    options: dict[str, Any] = {"max_new_tokens": 8, "adapter_id": task}
    expected = posted(live, "/v1/completions", model=task, prompt=TEXT, max_tokens=8, temperature=0)
    (choice,) = expected["choices"]
    found = client(live, path).text_generation(TEXT, **options)
    assert found == choice["text"]
    full = client(live, path).text_generation(TEXT, return_full_text=True, **options)
    assert full == TEXT + choice["text"]
    stopped = client(live, path).text_generation(TEXT, stop=[found[2:4]], **options)
    assert stopped == found[: found.index(found[2:4])]


def test_text_generation_with_details(live: Live):
    expected = posted(
        live, "/v1/completions", model="lora", prompt=TEXT, max_tokens=6, temperature=0, logprobs=0
    )
    (choice,) = expected["choices"]
    one = client(live, "/models/lora").text_generation(
        TEXT, max_new_tokens=6, details=True, top_n_tokens=2, seed=7
    )
    assert one.generated_text == choice["text"]
    assert one.details
    assert (one.details.finish_reason, one.details.generated_tokens) == ("length", 6)
    assert (one.details.seed, one.details.prefill) == (7, [])
    logprobs = [token.logprob for token in one.details.tokens]
    assert logprobs == pytest.approx(choice["logprobs"]["token_logprobs"], abs=1e-5)
    tops: Any = one.details.top_tokens
    assert [len(top) for top in tops] == [2] * 6
    assert [top[0]["id"] for top in tops] == [token.id for token in one.details.tokens]


@pytest.mark.parametrize("path", ["/models/lora", "/generate_stream"])
def test_text_generation_streams(live: Live, path: str):
    whole = client(live, "/models/lora").text_generation(TEXT, max_new_tokens=8)
    asking = client(live, path)
    options: dict[str, Any] = {"max_new_tokens": 8, "adapter_id": "lora", "stream": True}
    assert "".join(asking.text_generation(TEXT, **options)) == whole
    events = list(asking.text_generation(TEXT, details=True, **options))
    assert [event.index for event in events] == [*range(1, len(events) + 1)]
    *others, last = events
    assert all(event.generated_text is None and event.details is None for event in others)
    assert last.generated_text == whole
    assert last.details
    assert last.details.finish_reason == "length"
    assert last.details.generated_tokens == len(events) == 8
    stream = live.post("/generate_stream", inputs=TEXT, parameters={"adapter_id": "lora"})
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert "[DONE]" not in stream.text
    for line in filter(None, stream.text.split("\n")):
        assert json.loads(line.removeprefix("data: ")).keys() >= {"index", "token"}


def test_generation_ends_where_the_base_does(live: Live):
    """A text that ends by itself, or by a stop string, says so."""
    end = min(live.engine.base.end_tokens)
    native = posted(
        live,
        "/v1/completions",
        model="base",
        prompt=TEXT,
        max_tokens=4,
        temperature=0,
        logit_bias={str(end): 100},
    )
    assert native["choices"][0]["finish_reason"] == "stop"
    text = client(live).text_generation(TEXT, max_new_tokens=8, adapter_id="base")
    one = client(live, "/models/base").text_generation(
        TEXT, max_new_tokens=8, details=True, stop=[text[3:5]]
    )
    assert one.details
    assert one.details.finish_reason == "stop_sequence"


def test_sampling_is_asked_for_by_what_samples(live: Live):
    greedy = client(live, "/models/base").text_generation(TEXT, max_new_tokens=8)
    for options in ({"temperature": 5.0}, {"do_sample": True}, {"top_p": 0.99}, {"top_k": 300}):
        drawn = {
            client(live, "/models/base").text_generation(
                TEXT, max_new_tokens=8, seed=seed, **options
            )
            for seed in range(3)
        }
        assert drawn != {greedy}
    same = client(live, "/models/base").text_generation(TEXT, max_new_tokens=8, temperature=1.0)
    assert same == greedy


def test_text_classification(live: Live, reader: Live):
    for server, task in ((live, "spam"), (reader, "topic")):
        native = server.infer(task, TEXT)["outputs"][0]["scores"]
        # Either names the task, or it is the only one that classifies.
        for path in ("", f"/models/{task}"):
            found = client(server, path).text_classification(TEXT)
            assert {each.label: each.score for each in found} == pytest.approx(native)
            assert [each.score for each in found] == sorted(native.values(), reverse=True)
        best = client(server).text_classification(TEXT, top_k=1, function_to_apply="none")
        assert [each.label for each in best] == [max(native, key=native.__getitem__)]
        flat = posted(server, "/predict", model=task, inputs=TEXT)
        assert {each["label"]: each["score"] for each in flat} == pytest.approx(native)
        pairs = posted(server, "/predict", inputs=[[TEXT], [TEXT, "noon"]])
        assert pairs[0] == flat
        assert pairs[1] == posted(server, "/predict", inputs=[TEXT, "noon"]) != flat
        raw = posted(server, "/predict", inputs=TEXT, raw_scores=True)
        logits = server.infer(task, TEXT, function_to_apply="none")["outputs"][0]["scores"]
        assert {each["label"]: each["score"] for each in raw} == pytest.approx(logits)


def test_feature_extraction_and_similarity(reader: Live):
    native = reader.infer("base", [TEXT, "noon"])["outputs"]
    for path in ("", "/embed", "/models/base"):
        found = client(reader, path).feature_extraction(TEXT)
        assert found.shape == (1, len(native[0]["embedding"]))
        assert found[0].tolist() == pytest.approx(native[0]["embedding"], rel=1e-6)
        unit = client(reader, path).feature_extraction(TEXT, normalize=True)
        assert unit[0].tolist() == pytest.approx(native[0]["embedding"], rel=1e-5)
    many = posted(reader, "/embed", inputs=[TEXT, "noon"])
    assert many == [each["embedding"] for each in native]
    scores = client(reader).sentence_similarity(TEXT, other_sentences=["noon", TEXT])
    product = sum(one * other for one, other in zip(*many, strict=True))
    assert scores == pytest.approx([product, 1.0], abs=1e-5)


def test_token_classification(reader: Live):
    native = reader.infer("names", "see you there")["outputs"][0]["entities"]
    found = client(reader, "/models/names").token_classification("see you there")
    shown = [(each.entity_group, each.start, each.end, each.word) for each in found]
    assert shown == [(each["label"], each["start"], each["end"], each["text"]) for each in native]


def test_what_they_tell_of_themselves(live: Live, reader: Live):
    for server, kind in ((live, "text-generation"), (reader, "feature-extraction")):
        asking = InferenceClient(server.url, token="none", provider="hf-inference")
        info = asking.get_endpoint_info()
        assert info["model_id"] == server.engine.base.name
        assert info["model_pipeline_tag"] == kind
        assert info["max_total_tokens"] == server.engine.context
        assert asking.health_check()


def test_what_is_refused(live: Live, reader: Live):
    for path, body, param in (
        ("/generate", {"inputs": TEXT, "parameters": {"watermark": True}}, "parameters.watermark"),
        ("/generate", {"inputs": TEXT, "parameters": {"best_of": True}}, "parameters.best_of"),
        ("/generate", {"inputs": TEXT, "parameters": {"max_new_tokens": 0}}, None),
        ("/predict", {"inputs": ["a", "b", "c"]}, "inputs"),
        ("/predict", {"inputs": []}, "inputs"),
        ("/embed", {"inputs": TEXT, "normalize": False}, "normalize"),
        ("/", {"inputs": 1}, "inputs"),
    ):
        response = live.post(path, **body)
        check(response, 400, "invalid_request", param or "parameters.max_new_tokens")
    several = live.post("/generate", inputs=TEXT)
    assert "base" in check(several, 400, "invalid_request", "model")
    check(live.post("/embed", inputs=TEXT), 400, "capability_mismatch", "model")
    check(live.post("/models/lor", inputs=TEXT), 404, "model_not_found", "model")
    check(live.post("/generate", model="spam", inputs=TEXT), 400, "capability_mismatch", "model")
    with pytest.raises(HfHubHTTPError, match=r"no task 'lor'. Did you mean lora"):
        client(live, "/models/lor").text_generation(TEXT)
    del reader
