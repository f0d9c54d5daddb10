"""From the events of a stream to pieces of text; nothing is received here."""

import json
from dataclasses import dataclass
from typing import cast

import httpx2

from ._decode import decode
from ._failures import request_id, stream_error
from .errors import APIConnectionError, APIResponseError
from .outputs import Piece, Usage

_END = "[DONE]"


@dataclass(frozen=True)
class _Totals:
    usage: Usage


class Heard:
    """What a stream tells beside its pieces."""

    _reader: "PieceReader"

    @property
    def usage(self) -> Usage | None:
        """The tokens counted, known once the stream is exhausted."""
        return self._reader.usage

    @property
    def request_id(self) -> str | None:
        """The name that the server's log has for the request, known with the first piece."""
        return self._reader.request_id


class PieceReader:
    """What has been heard of one stream so far."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.request_id: str | None = None
        self.ended = False
        self.started = False

    def begin(self, response: httpx2.Response) -> None:
        """Take in the head of an attempt's answer."""
        self.request_id = request_id(response)

    def read(self, data: str) -> Piece | None:
        """Take in one event; return its piece, if it is one."""
        if data == _END:
            self.ended = True
            return None
        event = self._parse(data)
        if "usage" in event:
            self.usage = decode(_Totals, event).usage
            return None
        self.started = True
        return decode(Piece, event)

    def check_end(self) -> None:
        """Raise if the connection closed before the server said that the stream was complete."""
        if not self.ended:
            raise APIConnectionError("the stream broke off before its end", retryable=True)

    def _parse(self, data: str) -> dict[str, object]:
        try:
            event = json.loads(data)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            raise APIResponseError(f"not an event of a Polydelta stream: {data[:200]!r}", body=data)
        if error := stream_error(event):
            raise error
        return cast("dict[str, object]", event)
