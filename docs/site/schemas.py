"""JSON schemas as an OpenAPI document has them, told in Markdown."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

Schema: TypeAlias = Mapping[str, Any]

REFUSED = "Not done by this server"
"""How the description of a field begins that is refused but for what changes nothing."""

_REFERENCE = "#/components/schemas/"
_BOUNDS = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "above {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "below {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
)
_TRIVIAL = {("minLength", 1), ("minItems", 1)}
"""Bounds that only say that something is there."""


def named(schema: Schema) -> Iterable[str]:
    """The names of the schemas that one refers to, anywhere in it."""
    if "$ref" in schema:
        yield schema["$ref"].removeprefix(_REFERENCE)
    for value in schema.values():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                yield from named(each)


def table(schema: Schema) -> str:
    """An object's fields as a table, then those that are refused as a sentence; else empty."""
    fields: Mapping[str, Schema] = schema.get("properties", {})
    refused = {name: each for name, each in fields.items() if _is_refused(each)}
    taken = {name: each for name, each in fields.items() if name not in refused}
    parts: list[str] = []
    if taken:
        rows = [_row(name, each, schema) for name, each in taken.items()]
        parts.append("\n".join(["| field | is | |", "| --- | --- | --- |", *rows]))
    if refused:
        names = ", ".join(f"`{name}` ({_values(each['enum'])})" for name, each in refused.items())
        parts.append(f"Refused, but for the values that change nothing: {names}.")
    return "\n\n".join(parts)


def row(name: str, schema: Schema, *, required: bool, place: str = "") -> str:
    """A row of a table: a field or a parameter, what it is, and what else there is to say."""
    said = [place, "required" if required else "", *_bounds(schema), _default(schema)]
    text = schema.get("description", "")
    notes = "; ".join(part for part in said if part)
    notes = f"{text}. {notes}" if text and notes else text or notes
    return f"| `{name}` | {_cell(kind(schema))} | {_cell(notes)} |"


def kind(schema: Schema) -> str:
    """What a value is, in a few words; schemas with a name are links to their section."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REFERENCE)
        return f"[{name}](#{name.lower()})"
    for union in ("anyOf", "oneOf"):
        if union in schema:
            found = [kind(each) for each in schema[union] if each.get("type") != "null"]
            return " or ".join(dict.fromkeys(found))
    if "const" in schema or "enum" in schema:
        return _values(schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), dict) and schema["additionalProperties"]:
        return f"object of {kind(schema['additionalProperties'])}"
    found = str(schema.get("type", "any value"))
    return {"string": "text", "boolean": "true or false"}.get(found, found)


def _row(name: str, schema: Schema, whole: Schema) -> str:
    return row(name, schema, required=name in whole.get("required", ()))


def _is_refused(schema: Schema) -> bool:
    return "enum" in schema and schema.get("description", "").startswith(REFUSED)


def _values(values: Iterable[Any]) -> str:
    return ", ".join(f"`{json.dumps(value)}`" for value in values if value is not None) or "`null`"


def _bounds(schema: Schema) -> list[str]:
    """What bounds a value, those of the only thing besides null that it may be."""
    choices = [each for each in schema.get("anyOf", []) if each.get("type") != "null"]
    inner = choices[0] if len(choices) == 1 else schema
    return [
        words.format(_number(inner[bound]))
        for bound, words in _BOUNDS
        if bound in inner and (bound, inner[bound]) not in _TRIVIAL
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def _default(schema: Schema) -> str:
    default = schema.get("default")
    plain = isinstance(default, str | int | float) and default != ""
    return f"`{json.dumps(default)}` unless given" if plain else ""


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
