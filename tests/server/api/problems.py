"""What every refusal looks like."""

from typing import Any

SECRET = "the prompt's own words"


def check(response: Any, status: int, code: str, param: str | None = None) -> str:
    """Check that a response is a problem in the one shape, and return its message."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body.keys() == {"type", "title", "status", "detail", "instance", "error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert (body["status"], body["error"]["code"], body["error"]["param"]) == (status, code, param)
    assert body["instance"].endswith(response.headers["x-request-id"])
    for leak in (SECRET, "Traceback", "site-packages", "/tmp", 'File "'):
        assert leak not in response.text
    return body["detail"]
