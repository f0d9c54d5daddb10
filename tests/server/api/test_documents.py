import re
from pathlib import Path

from tests.server.api.live import Live
from tests.server.api.problems import check


def test_the_documents_name_every_route_and_its_problems(live: Live):
    assert live.http.get("/docs").status_code == 200
    schema = live.http.get("/openapi.json").json()
    assert {
        "/v1/infer",
        "/v1/infer/batch",
        "/v1/tasks",
        "/v1/tasks/{name}",
        "/v1/keys/self",
        "/v1/models",
        "/v1/completions",
        "/v1/chat/completions",
        "/v1/embeddings",
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
        "/classify",
        "/pooling",
        "/score",
        "/rerank",
        "/tokenize",
        "/pause",
        "/embed",
        "/predict",
        "/generate",
        "/health",
        "/health/live",
        "/health/ready",
        "/metrics",
    } <= schema["paths"].keys()
    for operations in schema["paths"].values():
        for operation in operations.values():
            for status in ("4XX", "5XX"):
                problem = {"schema": {"$ref": "#/components/schemas/ProblemBody"}}
                content = {"application/problem+json": problem}
                assert operation["responses"][status]["content"] == content
            assert "422" not in operation["responses"]


def test_the_page_of_routes_has_them_all(live: Live):
    """Where paths differ in their beginning alone, the page names it once."""
    page = (Path(__file__).parents[3] / "docs" / "http.md").read_text()
    named = set(re.findall(r"`(?:[A-Z ]+ )?(/[^`]*)`", page))
    assert live.http.get("/openapi.json").json()["paths"].keys() <= named


def test_the_documents_tell_streams_and_plain_texts(live: Live):
    paths = live.http.get("/openapi.json").json()["paths"]
    for path in ("/v1/infer", "/v1/completions", "/v1/chat/completions", "/v1/responses"):
        content = paths[path]["post"]["responses"]["200"]["content"]
        assert content.keys() == {"application/json", "text/event-stream"}
    assert paths["/metrics"]["get"]["responses"]["200"]["content"].keys() == {"text/plain"}
    loaded = paths["/v1/load_lora_adapter"]["post"]["responses"]["200"]
    assert loaded["content"].keys() == {"text/plain"}


def test_the_documents_tell_what_is_refused_and_what_goes_together(live: Live):
    schemas = live.http.get("/openapi.json").json()["components"]["schemas"]
    chat = schemas["ChatBody"]["properties"]
    assert "max_tokens" in chat["min_tokens"]["description"]
    assert "logprobs" in chat["top_logprobs"]["description"]
    assert "refused" in schemas["GenerateParameters"]["properties"]["watermark"]["description"]


def test_the_documents_tell_what_names_and_conditions_may_be(live: Live):
    paths = live.http.get("/openapi.json").json()["paths"]
    put = {each["name"]: each for each in paths["/v1/tasks/{name}"]["put"]["parameters"]}
    assert put["name"]["schema"]["not"] == {"const": "base"}
    assert put["if-none-match"]["schema"]["anyOf"] == [
        {"type": "string", "const": "*"},
        {"type": "null"},
    ]
    for path in ("/v1/models/{name}", "/v1/tasks/{name}"):
        assert live.http.get(path.format(name="base")).status_code == 200
        assert "not" not in paths[path]["get"]["parameters"][0]["schema"]
    response = live.http.put("/v1/tasks/x", files={}, headers={"if-none-match": '"1"'})
    check(response, 400, "invalid_request", "if-none-match")
