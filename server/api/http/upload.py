"""Uploads: the files of a multipart body, written to the store as they come."""

import re
from typing import BinaryIO

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from server.errors import InvalidRequest
from server.registry.names import PLAIN_NAME
from server.registry.staging import Staging

_MAX_PARTS = 64
_FILE_NAME = re.compile(PLAIN_NAME)


class Upload:
    """Receives one body, stretch by stretch; blocking.

    Of each file's name the last segment is kept; parts that are no files are passed over. Raises
    InvalidRequest for a body that is no multipart, for a name that is not plain, for one that comes
    twice and for too many parts.
    """

    def __init__(self, content_type: str, staging: Staging) -> None:
        _, options = parse_options_header(content_type)
        self._staging = staging
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = b""
        self._file: BinaryIO | None = None
        self._parts = 0
        self._ended = False
        boundary = options.get(b"boundary")
        if not boundary:
            raise InvalidRequest("The header 'Content-Type' must say the multipart's boundary.")
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._add_name,
                    "on_header_value": self._add_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_file,
                    "on_part_data": self._write,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _unreadable(error) from None

    def feed(self, data: bytes) -> None:
        """Take the next stretch of the body."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _unreadable(error) from None

    def finish(self) -> None:
        """Raise InvalidRequest unless the body was whole and had files."""
        if not self._ended:
            raise InvalidRequest("The upload is cut off: its last boundary is missing.")
        if not self._staging.names:
            raise InvalidRequest("The upload holds no files; send the checkpoint's files as parts.")

    def close(self) -> None:
        """Close a file that was cut off."""
        if self._file is not None:
            self._file.close()

    def _begin_part(self) -> None:
        self._headers.clear()
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise InvalidRequest(f"The upload has more than {_MAX_PARTS} parts.")

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _begin_file(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if b"filename" not in options:
            return
        name = _plain(options[b"filename"].decode(errors="replace"))
        if name in self._staging.names:
            raise InvalidRequest(f"The upload holds two files '{name}'.")
        self._file = self._staging.begin(name)

    def _write(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._staging.write(self._file, data[start:end])

    def _end_part(self) -> None:
        if self._file is not None:
            self._staging.end(self._file)
            self._file = None

    def _end(self) -> None:
        self._ended = True


def _plain(filename: str) -> str:
    name = filename.replace("\\", "/").rpartition("/")[2]
    if not _FILE_NAME.fullmatch(name):
        raise InvalidRequest("A file of the upload has no plain name: use letters, digits, . _ -")
    return name


def _unreadable(error: FormParserError) -> InvalidRequest:
    return InvalidRequest(f"The upload cannot be read as multipart/form-data: {error}")
