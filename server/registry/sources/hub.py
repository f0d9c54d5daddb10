"""Repositories on the Hugging Face hub, or on whatever HF_ENDPOINT says speaks its protocol.

Of a repository's commit three things are asked, as huggingface_hub does: which commit a revision is
(`/api/models/…/revision/…`), what there is under some names (`…/paths-info/…`) and their content
(`/…/resolve/…`). All bytes come through this server's own client, which holds to its bounds.
"""

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from posixpath import join
from typing import cast
from urllib.parse import quote, urlencode

from deltas.formats import DIALECTS
from server.errors import InvalidRequest, SourceUnavailable
from server.registry.sources.address import Address
from server.registry.sources.digest import Digest
from server.registry.sources.http import Http, Response
from server.registry.sources.remote import Opened
from server.registry.sources.web import open_url

_ENDPOINT = "https://huggingface.co"
_MAX_ANSWER = 1 << 20


class Hub:
    """A folder of a repository at one commit: the one that its revision names at first."""

    def __init__(self, address: Address, http: Http) -> None:
        if not address.path:
            raise InvalidRequest(
                "A repository is named hf://OWNER/NAME, with @REVISION if need be.", param="source"
            )
        name, _, revision = address.path[0].partition("@")
        self._repository = f"{address.host}/{name}"
        self._revision = revision or "main"
        self._folder = join(*address.path[1:], "") if address.path[1:] else ""
        self._http = http
        self._endpoint = os.environ.get("HF_ENDPOINT", _ENDPOINT).rstrip("/")
        self._token = os.environ.get("HF_TOKEN") or None
        self._commit: str | None = None
        self._digests: dict[str, Digest] = {}

    @contextmanager
    def open(self, name: str, start: int = 0, tag: str | None = None) -> Generator[Opened | None]:
        """Begin to read a file, or go on with it."""
        if self._commit is None:
            self._look_up()
        if name not in self._digests:
            yield None
            return
        place = quote(self._folder + name)
        url = f"{self._endpoint}/{self._repository}/resolve/{self._commit}/{place}"
        digest = self._digests[name]
        with open_url(self._http, url, start, tag, self._token, digest) as opened:
            yield opened

    def _look_up(self) -> None:
        repository = f"/api/models/{self._repository}"
        found = self._ask("GET", f"{repository}/revision/{quote(self._revision, '')}?expand=sha")
        commit = found.get("sha") if isinstance(found, dict) else None
        if not isinstance(commit, str) or not commit.isalnum():
            raise _not_a_hub()
        names = sorted(name for each in DIALECTS for name in each.files | each.judged)
        wanted = urlencode([("paths", self._folder + name) for name in names]).encode()
        listed = self._ask("POST", f"{repository}/paths-info/{commit}", wanted)
        if not isinstance(listed, list):
            raise _not_a_hub()
        for entry in listed:
            self._note(entry, names)
        self._commit = commit

    def _note(self, entry: object, names: list[str]) -> None:
        """Keep the digest of a file that was asked for."""
        match entry:
            case {"type": "file", "path": str(path), "lfs": {"oid": str(value)}}:
                digest = Digest("sha256", value)
            case {"type": "file", "path": str(path), "oid": str(value), "size": int(size)}:
                digest = Digest.blob(value, size)
            case _:
                return
        name = path.removeprefix(self._folder)
        if name in names:
            self._digests[name] = digest

    def _ask(
        self, method: str, path: str, form: bytes | None = None
    ) -> dict[str, object] | list[object]:
        kind = {"content-type": "application/x-www-form-urlencoded"} if form else {}
        with self._http.request(method, self._endpoint + path, kind, self._token, form) as response:
            self._check(response)
            body = response.read(_MAX_ANSWER)
        try:
            return cast("dict[str, object] | list[object]", json.loads(body))
        except (ValueError, RecursionError):
            raise _not_a_hub() from None

    def _check(self, response: Response) -> None:
        if response.status == 200:
            return
        if response.headers.get("x-error-code") == "RevisionNotFound":
            raise InvalidRequest(
                f"{self._repository} has no revision {self._revision}; give a branch, a tag or a "
                "commit after an @.",
                param="source",
            )
        if response.status in (401, 403, 404):
            raise InvalidRequest(
                f"The hub shows this server no repository {self._repository}. If there is one, it "
                "is private or gated: have the operator set HF_TOKEN, to the token of an account "
                "that may read it, in the server's environment.",
                param="source",
            )
        raise SourceUnavailable(f"The hub answered with status {response.status}; try again.")


def _not_a_hub() -> SourceUnavailable:
    return SourceUnavailable(
        "The answer is none of a Hugging Face hub; look at HF_ENDPOINT in the server's environment."
    )
