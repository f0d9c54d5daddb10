from tests.server.api.live import Live


def test_the_documents_name_every_route_and_its_problems(live: Live):
    assert live.http.get("/docs").status_code == 200
    schema = live.http.get("/openapi.json").json()
    assert {
        "/v1/infer",
        "/v1/infer/batch",
        "/v1/tasks",
        "/v1/tasks/{name}",
        "/v1/models",
        "/v1/completions",
        "/v1/chat/completions",
        "/v1/embeddings",
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
        "/health",
        "/health/live",
        "/health/ready",
        "/metrics",
    } <= schema["paths"].keys()
    for operations in schema["paths"].values():
        for operation in operations.values():
            problem = operation["responses"]["4XX"]["content"]["application/json"]["schema"]
            assert problem == {"$ref": "#/components/schemas/ProblemBody"}
            assert "422" not in operation["responses"]
