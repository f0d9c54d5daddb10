"""Uploads: written once, within the store, beside everything else that the server does."""

import socket
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from tests import samples
from tests.server.api.live import PATIENCE, Live, serving, wait_until
from tests.server.api.problems import check

PLACES = 4
BODY = (
    b'--x\r\ncontent-disposition: form-data; name="files"; filename="delta.json"\r\n\r\n'
    b'{"format": "polydelta"'
)


@pytest.fixture
def served(decoder: Path, tmp_path: Path) -> Generator[Live]:
    limits = {"max_uploads": PLACES, "max_tasks": 2, "store_gb": 100_000 / (1 << 30)}
    with serving(decoder, tmp_path, drain_timeout=0, **limits) as server:
        yield server


def begun(live: Live, name: str, body: bytes = BODY) -> socket.socket:
    """An upload of which the beginning has been sent."""
    connection = socket.create_connection(live.address, timeout=PATIENCE)
    connection.sendall(
        b"PUT /v1/tasks/%s HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        b"content-type: multipart/form-data; boundary=x\r\ncontent-length: 1000\r\n\r\n%s"
        % (name.encode(), body)
    )
    return connection


def upload(live: Live, name: str, directory: Path) -> httpx2.Response:
    files = [("files", (path.name, path.read_bytes())) for path in sorted(directory.iterdir())]
    return live.http.put(f"/v1/tasks/{name}", files=files)


def staged(live: Live) -> list[Path]:
    return list((live.folder / "store").glob("run-*/staging-*"))


@contextmanager
def slow_uploads(live: Live, name: str) -> Generator[None]:
    """As many uploads as may be, none of which goes on."""
    with ExitStack() as stack:
        for _ in range(PLACES):
            stack.enter_context(begun(live, name))
        wait_until(lambda: len(staged(live)) == PLACES)
        yield


def test_an_upload_is_written_to_the_store_as_it_comes(served: Live):
    with begun(served, "fresh"):
        wait_until(lambda: len(list((served.folder / "store").glob("run-*/staging-*/*"))) == 1)
    wait_until(lambda: not staged(served))


def test_a_put_that_waits_holds_up_no_read(
    served: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    directory = served.write("other", samples.generator("lora", served.spec))
    entered, proceed = threading.Event(), threading.Event()
    checked = served.engine.registry.on_checked

    def slow(*arguments: object) -> None:
        entered.set()
        assert proceed.wait(60)
        checked(*arguments)

    monkeypatch.setattr(served.engine.registry, "on_checked", slow)
    with ThreadPoolExecutor(64) as pool:
        puts = [pool.submit(upload, served, "one", directory) for _ in range(PLACES)]
        assert entered.wait(60)
        removals = [pool.submit(served.http.delete, "/v1/tasks/one") for _ in range(45)]
        wait_until(lambda: len(served.server.server_state.connections) >= 45 + PLACES)
        assert [model["id"] for model in served.http.get("/v1/models").json()["data"]] == ["base"]
        assert not any(put.done() for put in puts)
        proceed.set()
        assert {put.result().status_code for put in puts} <= {200, 201, 429}
        assert {removal.result().status_code for removal in removals} <= {204, 404}


def test_only_so_many_uploads_come_in_at_once(served: Live):
    directory = served.write("other", samples.generator("lora", served.spec))
    with slow_uploads(served, "slow"):
        refused = upload(served, "one", directory)
        assert int(refused.headers["retry-after"]) > 0
        check(refused, 429, "queue_full")
    wait_until(lambda: upload(served, "one", directory).status_code == 201)
    assert not staged(served)


def test_who_is_slow_to_name_a_directory_holds_no_place(served: Live):
    directory = served.write("other", samples.generator("lora", served.spec))
    head = b"PUT /v1/tasks/slow HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    with ExitStack() as stack:
        for _ in range(PLACES):
            slow = stack.enter_context(socket.create_connection(served.address, timeout=PATIENCE))
            slow.sendall(head + b'content-length: 100\r\n\r\n{"source": ')
        wait_until(lambda: len(served.server.server_state.tasks) == PLACES)
        assert upload(served, "one", directory).status_code == 201


def test_only_so_many_tasks_are_there_at_once(served: Live):
    directory = served.write("other", samples.generator("prompt", served.spec))
    assert upload(served, "one", directory).status_code == 201
    assert upload(served, "two", directory).status_code == 201
    assert "--max-tasks" in check(upload(served, "three", directory), 507, "insufficient_storage")
    changed = served.write("changed", samples.generator("prompt", served.spec, seed=1))
    assert upload(served, "two", changed).status_code == 201
    assert served.http.delete("/v1/tasks/one").status_code == 204
    assert upload(served, "three", directory).status_code == 201


def test_deltas_take_only_so_much_of_the_disk(served: Live):
    large = served.write("large", samples.generator("prompt", served.spec))
    with (large / "delta.safetensors").open("ab") as file:
        file.truncate(200_000)
    assert "--store-gb" in check(upload(served, "one", large), 507, "insufficient_storage")
    assert not staged(served)


def test_what_is_cut_off_is_refused(served: Live):
    content = (
        b'--x\r\ncontent-disposition: form-data; name="f"; filename="delta.json"\r\n\r\n{}\r\n'
    )
    for body, boundary in ((content, "x"), (b"", "x"), (content, ""), (b"no boundary", "x")):
        kind = f"multipart/form-data; boundary={boundary}"
        response = served.http.put("/v1/tasks/x", content=body, headers={"content-type": kind})
        check(response, 400, "invalid_request")
    assert not staged(served)


def test_what_does_not_belong_to_a_delta_is_not_kept(served: Live):
    directory = served.write("other", samples.generator("prompt", served.spec))
    (directory / "README.md").write_text("x" * 1000)
    first = upload(served, "one", directory).json()
    (directory / "README.md").unlink()
    assert upload(served, "one", directory).json()["version"] == first["version"]
    assert not list((served.folder / "store").rglob("README.md"))
