"""Sources that never end, lie or drip: they are given up, and nothing of them is left."""

import gzip
import threading
from collections.abc import Callable

import pytest

from deltas.errors import DeltaError
from server.errors import ServerError, SourceUnavailable
from server.registry.registry import Registry
from server.registry.sources.sources import Sources
from server.registry.sources.transfer import Bounds
from tests.file_server import FileServer, Handler, drip
from tests.server.registry.fetching import bring

HASTY = Bounds(1 << 20, seconds=3600, rate=1000, window=0.5)
"""What gives up on a source that is as slow as this machine may be."""


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("transfer-encoding", "chunked")
    handler.end_headers()
    while True:
        handler.wfile.write(b"10000\r\n" + bytes(65536) + b"\r\n")


def lying(handler: Handler) -> None:
    handler.answer(200, bytes(4096), content_length="5")
    handler.close_connection = True


def huge(handler: Handler) -> None:
    handler.answer(200, content_length=str(1 << 40))


def bomb(handler: Handler) -> None:
    handler.answer(200, gzip.compress(bytes(1 << 20)), content_encoding="gzip")


def headers_without_end(handler: Handler) -> None:
    handler.send_response(200)
    for number in range(100_000):
        handler.send_header(f"x-{number}", "y" * 100)
    handler.end_headers()


@pytest.mark.parametrize("answer", [endless, lying, huge, bomb, drip, headers_without_end])
def test_hostile_answers_end_soon_and_leave_nothing(
    registry: Registry, web: FileServer, answer: Callable[[Handler], None]
) -> None:
    web.special["/spam/delta.json"] = answer
    with pytest.raises((DeltaError, ServerError)):
        bring(registry, f"{web.url}/spam/", bounds=HASTY)
    assert registry.all() == []


def test_a_cancelled_transfer_ends_at_once(registry: Registry, web: FileServer) -> None:
    web.special["/spam/delta.json"] = drip
    sources = Sources(private=True, bounds=Bounds(1 << 20))
    source = sources.own(f"{web.url}/spam/")
    transfer = sources.transfer(source)
    threading.Timer(0.3, transfer.cancel).start()
    with registry.stage() as staging, pytest.raises(SourceUnavailable, match="given up"):
        source.bring(staging, transfer)
