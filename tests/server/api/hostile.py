"""The largest bodies that a route's own schema leaves room for, with every value wrong or right."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from server.api.http.limits import MAX_JSON_BYTES
from server.api.http.parsing import parse
from server.errors import InvalidRequest

Schema = dict[str, Any]
Path = tuple[str, ...]

ITEM = "[]"
JUNK: tuple[Any, ...] = (-1, "", [], {"type": "wrong"})
BRIEF: Schema = {
    "max_tokens": 1,
    "parameters": {"max_tokens": 1, "max_new_tokens": 1},
    "input": "x",
    "text_1": "x",
    "text_2": "x",
}
"""What keeps right bodies from being computed for long, and what makes them right."""
ROOM = 2048
"""Bytes that each list within another gets, if the other may have so many items."""


class Document:
    """An OpenAPI document."""

    def __init__(self, document: Schema) -> None:
        self._document = document

    def routes(self) -> Iterator[tuple[str, str, Schema]]:
        """Every method, path and schema of a JSON body."""
        for path, operations in self._document["paths"].items():
            for method, operation in operations.items():
                content = operation.get("requestBody", {}).get("content", {})
                if "application/json" in content:
                    yield method.upper(), path, content["application/json"]["schema"]

    def forms(self, schema: Schema) -> list[Schema]:
        """A schema's alternatives, or itself alone."""
        while "$ref" in schema:
            found: Any = self._document
            for step in schema["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            schema = found
        options = schema.get("oneOf") or schema.get("anyOf")
        return [form for each in options for form in self.forms(each)] if options else [schema]

    def sample(self, schema: Schema, name: str = "") -> Any:
        """A small value that is right."""
        form = self.forms(schema)[0]
        if name in ("model", "task"):
            return "base"
        if "enum" in form or "const" in form:
            return form.get("const", form.get("enum", [None])[0])
        if form.get("type") == "object":
            fields = form["properties"]
            known = {name: self.sample(fields[name], name) for name in form.get("required", ())}
            return known | {name: BRIEF[name] for name in BRIEF.keys() & fields.keys()}
        if form.get("type") == "array":
            return [self.sample(form["items"])]
        return {"integer": 1, "number": 1, "boolean": True}.get(form.get("type", ""), "x")

    def places(self, schema: Schema, path: Path = ()) -> Iterator[Path]:
        """Where in a body lists and long texts may be."""
        for form in self.forms(schema):
            if form.get("type") == "object":
                for name, field in form.get("properties", {}).items():
                    yield from self.places(field, (*path, name))
            elif form.get("type") == "array":
                yield (*path, ITEM)
                yield from self.places(form["items"], (*path, ITEM))
            elif form.get("maxLength", 0) > 1024:
                yield path

    def bodies(self, schema: Schema, *, every: bool = True) -> Iterator[tuple[str, str]]:
        """Named bodies: the largest that the server takes, and the largest that it looks into.

        Not `every` one: each place gets one kind of wrong value, and one after the other its turn.
        """
        for name, written in self._written(schema, every):
            size = MAX_JSON_BYTES
            yield f"{name}, {size} bytes", written(size)
            while size > 1 and not _looked_into(written(size)):
                size = size * 2 // 3
            if size not in (1, MAX_JSON_BYTES):
                yield f"{name}, {size} bytes", written(size)

    def _written(self, schema: Schema, every: bool) -> Iterator[tuple[str, Callable[[int], str]]]:
        yield "deep", lambda size: "[" * (size // 2) + "]" * (size // 2)
        yield "keys", lambda size: json.dumps({f"{key:07}": 1 for key in range(size // 14)})
        for junk in map(json.dumps, JUNK):
            yield f"a list of {junk}", partial(_list_of, junk)
            yield f"unknown: {junk}", partial(self._with, schema, ("unknown", ITEM), junk)
        for turn, path in enumerate(dict.fromkeys(self.places(schema))):
            junk = JUNK if every else (JUNK[turn % len(JUNK)],)
            values = (*map(json.dumps, junk), None) if path[-1] == ITEM else ("7", None)
            for value in values:
                name = f"{'.'.join(path)}: {value or 'right'}"
                yield name, partial(self._with, schema, path, value)

    def _with(self, schema: Schema, path: Path, value: str | None, size: int) -> str:
        """A small right value, changed at a place: there everything is `value`, or right.

        A list with lists in it shares its room among as many as it may have.
        """
        size = max(size, 2)
        if not path:
            return value or json.dumps("x" * min(size - 2, self._most(schema, "maxLength")))
        step, rest = path[0], path[1:]
        for form in self.forms(schema):
            if step == ITEM and form.get("type") == "array" and self._has(form["items"], rest):
                most = form.get("maxItems", 1 << 20)
                if ITEM in rest:
                    many = max(1, min(most, size // ROOM))
                    each = self._with(form["items"], rest, value, size // many - 1)
                    return f"[{_repeated(each, size - 2, many)}]"
                if rest:
                    return f"[{self._with(form['items'], rest, value, size - 2)}]"
                return f"[{self._filled(form, value, size - 2)}]"
            if step != ITEM and form.get("type") == "object":
                fields = form["properties"]
                known = {name: json.dumps(each) for name, each in self.sample(form).items()}
                room = size - sum(len(name) + len(each) + 6 for name, each in known.items())
                room -= len(step) + 6
                if step in fields:
                    known[step] = self._with(fields[step], rest, value, room)
                else:
                    known[step] = f"[{_repeated(value or '1', room - 2)}]"
                return "{" + ", ".join(f'"{name}": {each}' for name, each in known.items()) + "}"
        raise AssertionError(path)

    def _filled(self, array: Schema, value: str | None, size: int) -> str:
        if value is not None:
            return _repeated(value, size)
        return _repeated(json.dumps(self.sample(array["items"])), size, array.get("maxItems"))

    def _most(self, schema: Schema, bound: str) -> int:
        return max(form.get(bound, 0) for form in self.forms(schema))

    def _has(self, schema: Schema, path: Path) -> bool:
        if not path:
            return True
        for form in self.forms(schema):
            if path[0] == ITEM and form.get("type") == "array":
                return self._has(form["items"], path[1:])
            if path[0] in form.get("properties", {}):
                return True
        return False


def _looked_into(body: str) -> bool:
    try:
        parse(body.encode())
    except InvalidRequest:
        return False
    return True


def _list_of(written: str, size: int) -> str:
    return f"[{_repeated(written, size - 2)}]"


def _repeated(written: str, size: int, most: int | None = None) -> str:
    fits = max(1, (size + 1) // (len(written) + 1))
    return ",".join([written] * min(fits, most or fits))
