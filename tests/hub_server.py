"""A hub of model repositories, as far as deltas are fetched from it, over a server of files."""

import hashlib
import json
from pathlib import Path
from urllib.parse import parse_qs

from tests.file_server import FileServer, Handler

COMMIT = "c" * 40


class HubServer:
    """Repositories at one commit each; what ends in `.safetensors` is large, and kept elsewhere.

    With `token`, only who sends that is told of anything.
    """

    def __init__(self, api: FileServer, storage: FileServer, token: str | None = None) -> None:
        self._api = api
        self._storage = storage
        self._token = token
        self._files: dict[str, dict[str, bytes]] = {}

    def add(self, repository: str, directory: Path, folder: str = "") -> None:
        """Add a directory's files to a repository."""
        files = self._files.setdefault(repository, {})
        for file in directory.iterdir():
            files[folder + file.name] = file.read_bytes()
        api = f"/api/models/{repository}"
        for revision in ("main", "v1", COMMIT):
            self._api.special[f"{api}/revision/{revision}"] = self._revision
        self._api.special[f"{api}/paths-info/{COMMIT}"] = lambda handler: self._listed(
            handler, files
        )
        for name, content in files.items():
            if name.endswith(".safetensors"):
                self._storage.files[f"/{repository}/{name}"] = content
            self._api.special[f"/{repository}/resolve/{COMMIT}/{name}"] = (
                lambda handler, name=name, content=content: self._resolve(
                    handler, f"/{repository}/{name}", content
                )
            )

    def _allows(self, handler: Handler) -> bool:
        if self._token and handler.headers.get("authorization") != f"Bearer {self._token}":
            handler.answer(401, x_error_code="RepoNotFound")
            return False
        return True

    def _revision(self, handler: Handler) -> None:
        if self._allows(handler):
            handler.answer(200, json.dumps({"id": "x", "sha": COMMIT}).encode())

    def _listed(self, handler: Handler, files: dict[str, bytes]) -> None:
        if not self._allows(handler):
            return
        wanted = parse_qs(self._api.asked[-1].body.decode())["paths"]
        entries = [_entry(name, files[name]) for name in wanted if name in files]
        # What nobody asked for, and what would lead out of the folder.
        entries.append(_entry("../../etc/passwd", b"x"))
        handler.answer(200, json.dumps(entries).encode(), content_type="application/json")

    def _resolve(self, handler: Handler, path: str, content: bytes) -> None:
        if not self._allows(handler):
            return
        told = {"x_repo_commit": COMMIT, "etag": f'"{_oid(content)}"'}
        if path.endswith(".safetensors"):
            told["x_linked_etag"] = f'"{hashlib.sha256(content).hexdigest()}"'
            told["x_linked_size"] = str(len(content))
            handler.answer(302, location=f"{self._storage.url}{path}?signature=secret", **told)
        else:
            handler.answer(200, content, **told)


def _oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(name: str, content: bytes) -> dict[str, object]:
    entry: dict[str, object] = {
        "type": "file",
        "path": name,
        "oid": _oid(content),
        "size": len(content),
    }
    if name.endswith(".safetensors"):
        oid = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 130}
    return entry
