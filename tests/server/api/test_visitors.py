"""Who may ask: by which name, and from which page."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.api.live import Live, serving
from tests.server.api.problems import check

PAGE = "https://app.example"
PREFLIGHT = {
    "access-control-request-method": "PUT",
    "access-control-request-headers": "content-type, if-match",
}


@pytest.fixture(scope="module")
def reachable(decoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server that other machines reach, by a few names, and a page of one other origin."""
    names = ["API.example.org", "*.inside.example"]
    folder = tmp_path_factory.mktemp("reachable")
    with serving(
        decoder, folder, drain_timeout=0, host="0.0.0.0", trusted_hosts=names, cors_origins=[PAGE]
    ) as server:
        yield server


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8000",
        "localhost.:8000",
        "app.localhost",
        "127.0.0.1:1",
        "10.1.2.3",
        "[::1]:8000",
        "[fe80::1]",
        socket.gethostname(),
    ],
)
def test_names_that_no_page_has_are_trusted(live: Live, host: str):
    assert live.http.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "[::1].evil.example",
        "evil.example#localhost",
        "evil.example@localhost",
        "localhost@evil.example",
        "localhost, evil.example",
        "cpu",
    ],
)
def test_a_page_whose_name_leads_here_gets_nothing(live: Live, host: str):
    for method, path in (("GET", "/v1/tasks"), ("DELETE", "/v1/tasks/lora"), ("GET", "/health")):
        message = check(
            live.http.request(method, path, headers={"host": host}), 421, "misdirected_request"
        )
        assert "--trusted-hosts" in message
        assert "evil" not in message
    assert live.http.get("/v1/tasks/lora").status_code == 200


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        ("cpu:8000", True),
        ("api.example.org", True),
        ("API.EXAMPLE.ORG:443", True),
        ("a.b.inside.example", True),
        ("inside.example", False),
        ("example.org", False),
        ("evil.example", False),
    ],
)
def test_a_server_of_a_network_trusts_its_names_and_those_it_is_told(
    reachable: Live, host: str, trusted: bool
):
    status = reachable.http.get("/health", headers={"host": host}).status_code
    assert status == (200 if trusted else 421)


def test_other_pages_change_nothing(live: Live):
    for origin in ("https://evil.example", "http://127.0.0.1:1", "null", "file://", ""):
        headers = {"origin": origin}
        for method, path in (
            ("DELETE", "/v1/tasks/lora"),
            ("PUT", "/v1/tasks/lora"),
            ("POST", "/v1/unload_lora_adapter"),
            ("POST", "/v1/infer"),
        ):
            response = live.http.request(method, path, headers=headers)
            assert "--cors-origins" in check(response, 403, "cross_origin")
        read = live.http.get("/v1/tasks", headers=headers)
        assert read.status_code == 200
        assert not [name for name in read.headers if name.startswith("access-control")]
        asked = live.http.options("/v1/tasks/lora", headers={**headers, **PREFLIGHT})
        check(asked, 405, "method_not_allowed")
    assert live.http.get("/v1/tasks/lora").status_code == 200


def test_the_server_s_own_pages_may_use_it(live: Live):
    body = {"task": "lora", "input": "x", "parameters": {"max_tokens": 1}}
    port = live.address[1]
    for own in (f"127.0.0.1:{port}", f"localhost:{port}"):
        headers = {"origin": f"http://{own}", "host": own}
        assert live.http.post("/v1/infer", json=body, headers=headers).status_code == 200


def test_pages_that_are_named_may_use_it(reachable: Live):
    body = {"task": "base", "input": "x", "parameters": {"max_tokens": 1}}
    asked = reachable.http.options("/v1/tasks/x", headers={"origin": PAGE, **PREFLIGHT})
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == PAGE
    assert "PUT" in asked.headers["access-control-allow-methods"]
    answer = reachable.http.post("/v1/infer", json=body, headers={"origin": PAGE})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    refused = reachable.http.get("/v1/tasks/absent", headers={"origin": PAGE})
    assert refused.headers["access-control-allow-origin"] == PAGE

    other = {"origin": "https://evil.example"}
    assert "access-control-allow-origin" not in reachable.http.get("/health", headers=other).headers
    check(reachable.http.post("/v1/infer", json=body, headers=other), 403, "cross_origin")
    asked = reachable.http.options("/v1/tasks/x", headers={**other, **PREFLIGHT})
    assert "access-control-allow-origin" not in asked.headers
