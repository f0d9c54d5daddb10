"""Checkpoints on their way in: uploaded file by file, or named by where they are."""

import asyncio
import logging
import re
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, TypeAlias

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError
from starlette.datastructures import FormData, UploadFile

from server.api.body import Body
from server.api.dependencies import SourceRootsDep
from server.errors import InsufficientStorage, InvalidRequest
from server.registry.names import PLAIN_NAME
from server.registry.sources import fetch_source

logger = logging.getLogger(__name__)

MAX_FILES = 64

_FILE_NAME = re.compile(PLAIN_NAME)


class SourceBody(Body):
    """Where a checkpoint is, as the server sees it."""

    source: Annotated[str, Field(min_length=1, max_length=4096)]


async def _checkpoint(http: Request, roots: SourceRootsDep) -> AsyncIterator[Path]:
    if http.headers.get("content-type", "").startswith("multipart/form-data"):
        async with _uploaded(http) as directory:
            yield directory
    else:
        try:
            body = SourceBody.model_validate_json(await http.body())
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from None
        yield await asyncio.to_thread(fetch_source, body.source, roots)


CheckpointDep: TypeAlias = Annotated[Path, Depends(_checkpoint)]
"""The directory with the files that the request uploads or names."""

BODY_SCHEMA = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": SourceBody.model_json_schema()},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "additionalProperties": {"type": "string", "format": "binary"},
                }
            },
        },
    }
}


@asynccontextmanager
async def _uploaded(http: Request) -> AsyncGenerator[Path]:
    """Receive an upload into a directory that is removed afterwards.

    Of each file's name the last segment is kept. Raises InvalidRequest for a name that is not
    plain, for one that comes twice and for an upload without files, InsufficientStorage if the
    upload cannot be written.
    """
    with ExitStack() as stack:
        try:
            temporary = TemporaryDirectory(prefix="polydelta-", ignore_cleanup_errors=True)
            directory = Path(stack.enter_context(temporary))
            async with http.form(max_files=MAX_FILES, max_fields=MAX_FILES) as form:
                await asyncio.to_thread(_write, form, directory)
        except OSError as error:
            logger.exception("An upload could not be written.")
            raise InsufficientStorage("The server has no room for the upload.") from error
        yield directory


def _write(form: FormData, directory: Path) -> None:
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    if not files:
        raise InvalidRequest("The upload holds no files; send the checkpoint's files as parts.")
    for file in files:
        target = directory / _plain(file.filename or "")
        try:
            with target.open("xb") as written:
                shutil.copyfileobj(file.file, written)
        except FileExistsError:
            raise InvalidRequest(f"The upload holds two files '{target.name}'.") from None


def _plain(filename: str) -> str:
    name = filename.replace("\\", "/").rpartition("/")[2]
    if not _FILE_NAME.fullmatch(name):
        raise InvalidRequest("A file of the upload has no plain name: use letters, digits, . _ -")
    return name
