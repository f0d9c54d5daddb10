"""Schemas: JSON schemas as they are, or types that pydantic knows how to describe and to read."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")

Schema = type[T] | Mapping[str, Any]


def json_schema(schema: Schema[Any]) -> Mapping[str, Any]:
    """Return what the server is told; raise ImportError where pydantic is wanted and absent."""
    return schema if isinstance(schema, Mapping) else _adapter(schema).json_schema()


def parsed(schema: Schema[T], text: str) -> T:
    """Return what a text says, as the schema has it; raise ValueError where it says no such."""
    if isinstance(schema, Mapping):
        return cast("T", json.loads(text))
    return _adapter(schema).validate_json(text)


def _adapter(schema: type[T]) -> "TypeAdapter[T]":
    try:
        from pydantic import TypeAdapter
    except ImportError:
        raise ImportError("a type as schema needs pydantic: pip install pydantic") from None
    return TypeAdapter(schema)
