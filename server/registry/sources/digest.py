"""Digests that a source gives for its files."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

_REPR_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/=]{44}):")


@dataclass(frozen=True)
class Digest:
    """What an algorithm of hashlib must make of a file after a prefix, in hex."""

    algorithm: str
    value: str
    prefix: bytes = b""

    @classmethod
    def blob(cls, oid: str, size: int) -> Self:
        """That of a file in Git, by the id and the size of its blob."""
        return cls("sha1", oid, b"blob %d\0" % size)

    @classmethod
    def told(cls, headers: Mapping[str, str]) -> Self | None:
        """That of a whole answer, where its headers tell one.

        `Repr-Digest` is of RFC 9530, the others are those of S3 and of Google's storage.
        """
        if found := _REPR_DIGEST.search(headers.get("repr-digest", "")):
            return cls._decoded("sha256", found[1])
        if value := headers.get("x-amz-checksum-sha256"):
            return cls._decoded("sha256", value)
        for each in headers.get("x-goog-hash", "").split(","):
            name, _, value = each.strip().partition("=")
            if name == "md5":
                return cls._decoded("md5", value)
        return None

    @classmethod
    def _decoded(cls, algorithm: str, value: str) -> Self | None:
        try:
            raw = base64.b64decode(value, validate=True)
        except binascii.Error:
            # Such as a digest of parts' digests, which S3 writes with their number.
            return None
        fits = len(raw) == hashlib.new(algorithm, usedforsecurity=False).digest_size
        return cls(algorithm, raw.hex()) if fits else None

    def begin(self) -> "Sum":
        """Begin to compute it."""
        return hashlib.new(self.algorithm, self.prefix, usedforsecurity=False)


class Sum(Protocol):
    """What hashlib computes."""

    def update(self, data: bytes, /) -> None:
        """Go on with more bytes."""
        ...

    def hexdigest(self) -> str:
        """What they come to, in hex."""
        ...
