"""Writing: answers become JSON where that keeps nobody waiting.

A list within an answer's items that may be long is an Iterable of its model, each of which is made
as it is written: the list is never there as a whole, for the collector to go through.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from fastapi import Response
from pydantic import BaseModel, RootModel
from pydantic_core import to_json

from server.engine.output import Classified, Embedded, Generated, Output

_AT_ONCE = 4096
"""Values that are written sooner than another thread would take them up."""

_writer = ThreadPoolExecutor(1, thread_name_prefix="answers")


async def written(
    outputs: Iterable[Output], make: Callable[[], BaseModel], others: int = 0
) -> bytes:
    """Make the answer that shows outputs and `others` values; write it down without the unset."""
    return await written_values(others + sum(map(_values, outputs)), make)


async def written_values(count: int, make: Callable[[], BaseModel]) -> bytes:
    """Make an answer of about so many values, and write it down without what is unset."""

    def write() -> bytes:
        return b"".join(_pieces(make()))

    if count <= _AT_ONCE:
        return write()
    return await asyncio.get_running_loop().run_in_executor(_writer, write)


def json_response(body: bytes) -> Response:
    """Send what is JSON already."""
    return Response(body, media_type="application/json")


def _pieces(model: BaseModel) -> Iterable[bytes]:
    """A model's JSON, an item of its lists at a time: others have their turn in between."""
    if isinstance(model, RootModel):
        yield _value(cast("RootModel[object]", model).root)
        return
    separator = b"{"
    for name in type(model).model_fields:
        if name in model.model_fields_set:
            yield separator + _field(model, name)
            separator = b","
    yield b"}" if separator == b"," else b"{}"


def _field(model: BaseModel, name: str) -> bytes:
    value = getattr(model, name)
    if isinstance(value, list):
        return b'"%s":%s' % (name.encode(), _value(cast("object", value)))
    return model.model_dump_json(include={name}, exclude_unset=True)[1:-1].encode()


def _value(value: object) -> bytes:
    if isinstance(value, list):
        return b"[%s]" % b",".join(map(_item, cast("list[object]", value)))
    return _item(value)


def _item(value: object) -> bytes:
    if isinstance(value, list):
        # Vectors are written at once, lists of models one by one.
        items = cast("list[object]", value)
        return _value(items) if items and isinstance(items[0], BaseModel) else to_json(items)
    if isinstance(value, BaseModel):
        return value.model_dump_json(exclude_unset=True).encode()
    return to_json(value)


def _values(output: Output) -> int:
    """About how many values an output shows."""
    if isinstance(output, Generated):
        return sum(1 + len(token.top) for token in output.logprobs or ())
    if isinstance(output, Embedded):
        return len(output.embedding)
    return len(output.scores) if isinstance(output, Classified) else len(output.entities)
