"""Servers of files for sources to be fetched from: honest ones, and others."""

import hashlib
import re
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[["Handler"], None]


@dataclass
class FileServer:
    """Serves `files` by their paths with ETags, ranges, If-Range and If-Match, and takes new ones.

    `special` has whole answers of their own for some paths, `cuts` after how many bytes of a body
    the connection is closed, next time. With `refuse` it takes none. As an object store does, it
    lists what lies beneath a prefix, with when it was `written`, and removes.
    """

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    special: dict[str, Answer] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    written: dict[str, float] = field(default_factory=dict)
    tagged: bool = True
    refuse: bool = False

    def put(self, place: str, directory: Path) -> str:
        """Serve a directory's files beneath a path, and return its address."""
        for file in directory.iterdir():
            self.files[f"{place}/{file.name}"] = file.read_bytes()
        return f"{self.url}{place}/"

    def asked_for(self, end: str) -> list[Asked]:
        return [each for each in self.asked if unquote(each.path).endswith(end)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    files: FileServer

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"content_length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        size = int(self.headers.get("content-length", 0))
        path, _, query = self.path.partition("?")
        path = unquote(path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.files.asked.append(Asked(self.command, self.path, headers, self.rfile.read(size)))
        try:
            if special := self.files.special.get(path):
                special(self)
            elif query.startswith("delete"):
                self._remove(path.strip("/"), self.files.asked[-1].body)
            elif "list-type=2" in query:
                self._list(path.strip("/"), parse_qs(query).get("prefix", [""])[0])
            elif path in self.files.files:
                self._file(path, self.files.files[path])
            else:
                self.answer(404)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.files.refuse:
            return self.answer(403)
        path = unquote(self.path.partition("?")[0])
        self.files.files[path] = body
        self.files.written[path] = time.time()
        return self.answer(200, etag=f'"{hashlib.md5(body).hexdigest()}"')

    def _remove(self, bucket: str, body: bytes) -> None:
        """Objects that a body names, as DeleteObjects of S3 does."""
        if self.files.refuse:
            return self.answer(403)
        keys = re.findall(rb"<Key>[^<]+</Key>", body)
        for key in keys:
            self.files.files.pop(f"/{bucket}/{key[5:-6].decode()}", None)
        told = b"".join(b"<Deleted>%s</Deleted>" % key for key in keys)
        body = b"<DeleteResult>%s</DeleteResult>" % told
        return self.answer(200, body, content_type="application/xml")

    def _list(self, bucket: str, prefix: str) -> None:
        """All objects at once, as ListObjectsV2 of S3 tells them."""
        top = f"/{bucket}/"
        told = "".join(
            f"<Contents><Key>{escape(path.removeprefix(top))}</Key><Size>{len(body)}</Size>"
            f"<LastModified>{self._written(path)}</LastModified></Contents>"
            for path, body in self.files.files.items()
            if path.startswith(top + prefix)
        )
        body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{told}</ListBucketResult>"
        self.answer(200, body.encode(), content_type="application/xml")

    def _written(self, path: str) -> str:
        moment = datetime.fromtimestamp(self.files.written.get(path, 0), UTC)
        return f"{moment:%FT%T}.000Z"

    do_HEAD = do_POST = do_GET  # noqa: N815

    def _file(self, path: str, content: bytes) -> None:
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        headers: dict[str, str] = {"last_modified": "Sat, 28 Nov 2026 00:00:00 GMT"}
        if self.files.tagged:
            headers["etag"] = tag
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        if self.headers.get("if-match", tag) != tag:
            return self.answer(412)
        status, body = 200, content
        if wanted and self.headers.get("if-range", tag) == tag:
            start = int(wanted[1])
            body = content[start : int(wanted[2]) + 1 if wanted[2] else None]
            end = start + len(body) - 1
            status, headers["content_range"] = 206, f"bytes {start}-{end}/{len(content)}"
        headers["content_length"] = str(len(body))
        if cuts := self.files.cuts.get(path):
            body = body[: cuts.pop(0)]
            self.close_connection = True
        return self.answer(status, body, **headers)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def serving_files(certificate: Path | None = None) -> Generator[FileServer]:
    """Run a server on localhost, over TLS if there is a certificate."""

    class Own(Handler):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    server.daemon_threads = True
    scheme = "http"
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    Own.files = FileServer(f"{scheme}://localhost:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Own.files
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def make_certificate(file: Path) -> Path:
    """Write a key and a certificate of localhost, an authority of its own, into one file."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", file]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    signed = subprocess.run(
        ["openssl", "req", "-x509", "-days", "2", *key, *name], check=True, capture_output=True
    )
    with file.open("ab") as appended:
        appended.write(signed.stdout)
    return file


def drip(handler: Handler) -> None:
    """Promise a file and send a byte of it now and then."""
    handler.send_response(200)
    handler.send_header("content-length", "1000000")
    handler.end_headers()
    for _ in range(600):
        handler.wfile.write(b"x")
        time.sleep(0.05)


@contextmanager
def crawling(files: FileServer, path: str) -> Generator[int]:
    """Serve half of a file and then a byte a try, until the context is left; yields its size."""
    size = len(files.files[path])
    # Tries that bring something are as many as it takes, however long somebody looks.
    files.cuts[path] = [size // 2] + [1] * (size // 2)
    try:
        yield size
    finally:
        files.cuts[path] = []


def redirect(target: str) -> Answer:
    """Lead to another address."""
    return lambda handler: handler.answer(302, location=target)
