"""The page's files over HTTP: for browsers, strict, and asked for once."""

import re
from pathlib import Path

import pytest

from server.api.routes.page import FOLDER
from tests.server.api.live import Live

FIRST_VIEW_FILES = 24
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8", "accept-encoding": "gzip, br"}


def test_browsers_get_the_page_where_programs_get_what_they_got(live: Live) -> None:
    page = live.http.get("/", headers=BROWSER)
    assert page.status_code == 200
    assert page.text == (FOLDER / "index.html").read_text()
    other = live.http.get("/", headers={"accept": "*/*"})
    assert other.status_code == 405
    assert other.headers["allow"] == "POST"
    body = {"inputs": "hello", "model": "spam"}
    assert live.http.post("/", json=body, headers=BROWSER).json()[0][0]["label"]


def test_no_script_but_the_page_s_own_may_run(live: Live) -> None:
    headers = live.http.get("/", headers=BROWSER).headers
    policy = headers["content-security-policy"].split("; ")
    assert policy[0] == "default-src 'self'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/page/js/app.js", "/page/vendor/preact.mjs"])
def test_a_file_is_sent_compressed_and_not_twice(live: Live, path: str) -> None:
    first = live.http.get(path, headers=BROWSER)
    assert first.headers["content-encoding"] == "gzip"
    plain = live.http.get(path, headers=BROWSER | {"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == first.content
    assert live.http.head(path, headers=BROWSER).headers["etag"] == first.headers["etag"]
    again = live.http.get(path, headers=BROWSER | {"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_what_the_first_view_needs_is_asked_for_at_once() -> None:
    page = (FOLDER / "index.html").read_text()
    named = {FOLDER.parent / each for each in re.findall(r'"modulepreload" href="([^"]+)"', page)}
    began = {FOLDER.parent / each for each in re.findall(r'"module" src="([^"]+)"', page)}
    known = set(began)
    for each in began:
        _imported(each, known)
    assert named == known - began
    # Each is a round trip of a browser that has nothing yet.
    assert len(known) + len(re.findall(r'rel="stylesheet"', page)) <= FIRST_VIEW_FILES


def _imported(module: Path, known: set[Path]) -> set[Path]:
    """What a module imports at once and what that does, added to what is known."""
    for name in re.findall(r'from\s*"(\.[^"]+)"', module.read_text()):
        path = (module.parent / name).resolve()
        if path not in known:
            known.add(path)
            _imported(path, known)
    return known


@pytest.mark.parametrize(
    "path", ["nothing.js", "../api/routes/page.py", "%2e%2e/app.py", "vendor/README.md", ""]
)
def test_no_other_file_can_be_had(live: Live, path: str) -> None:
    assert live.http.get(f"/page/{path}", headers=BROWSER).status_code == 404
