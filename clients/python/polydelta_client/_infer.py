"""Requests to tasks, and how their answers are read; nothing is sent here."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import httpx2

from ._batches import batches, choices, portions
from ._call import Call, Plan
from ._decode import decode
from ._failures import element_error, request_id
from ._options import check_parameters
from ._reading import answer, nothing, reads
from ._schema import Schema, json_schema
from .errors import APIResponseError, APIStatusError, PolydeltaError
from .inference import Inference, ParsedInference
from .inputs import BatchRequest, Input
from .outputs import Usage

Element = Inference | PolydeltaError


@dataclass(frozen=True)
class _Batch:
    results: list[Any]


def infer(
    task: str, input: Input, schema: Schema[Any] | None, parameters: Mapping[str, Any]
) -> Plan[Inference]:
    """`POST /v1/infer`, as often as so many texts need."""
    parts: list[Inference] = []
    for portion in portions(input, choices(parameters)):
        body = _body(task, portion, schema, parameters)
        parts.append((yield Call("POST", "/v1/infer", answer(Inference), json=body)))
    return _with_schema(_joined(task, parts), schema)


def infer_tasks(
    tasks: Sequence[str], input: Input, schema: Schema[Any] | None, parameters: Mapping[str, Any]
) -> Plan[dict[str, Element]]:
    """`POST /v1/infer` for several tasks at once."""
    parts: dict[str, list[Element]] = {task: [] for task in tasks}
    names = list(parts)
    for portion in portions(input, choices(parameters) * max(1, len(names))) if names else []:
        body = _body(names, portion, schema, parameters)
        read = _reads_results([None] * len(names))
        results = yield Call("POST", "/v1/infer", read, json=body)
        for name, result in zip(names, results, strict=True):
            parts[name].append(result)
    return {task: _whole(task, results, schema) for task, results in parts.items()}


def stream(
    task: str, input: Input, schema: Schema[Any] | None, parameters: Mapping[str, Any]
) -> Call[None]:
    """`POST /v1/infer` with the answer as server-sent events."""
    body = _body(task, input, schema, parameters) | {"stream": True}
    headers = {"accept": "text/event-stream"}
    return Call("POST", "/v1/infer", nothing, json=body, headers=headers)


def infer_each(requests: Iterable[BatchRequest]) -> Iterator[Call[list[Element]]]:
    """`POST /v1/infer/batch`, as often as so many rows need."""
    return map(_batch, batches(requests))


def infer_many(requests: Iterable[BatchRequest]) -> Plan[list[Element]]:
    """The same, until all are answered; what was answered outlives a later batch that fails."""
    results: list[Element] = []
    for batch in batches(requests):
        try:
            results += yield _batch(batch)
        except PolydeltaError as error:
            if not results:
                raise
            results += [error] * len(batch)
    return results


def _batch(requests: list[BatchRequest]) -> Call[list[Element]]:
    parts = [(r[0], r[1], dict(r[2]) if len(r) == 3 else {}) for r in requests]
    schemas = [parameters.pop("schema", None) for _, _, parameters in parts]
    for _, _, parameters in parts:
        check_parameters(parameters)
    bodies = [
        _body(task, input, schema, parameters)
        for (task, input, parameters), schema in zip(parts, schemas, strict=True)
    ]
    return Call("POST", "/v1/infer/batch", _reads_results(schemas), json={"requests": bodies})


def _reads_results(
    schemas: Sequence[Schema[Any] | None],
) -> Callable[[httpx2.Response], list[Element]]:
    """Read several results, one for each schema that its request had."""

    def read(response: httpx2.Response) -> list[Element]:
        name = request_id(response)
        results = reads(_Batch)(response).results
        if len(results) != len(schemas):
            raise APIResponseError(f"{len(results)} results came for {len(schemas)} requests")
        return [_element(*each, name) for each in zip(results, schemas, strict=True)]

    return read


def _element(result: Any, schema: Schema[Any] | None, name: str | None) -> Element:
    error: APIStatusError | None = element_error(result, name)
    if error is not None:
        return error
    return _with_schema(replace(decode(Inference, result), request_id=name), schema)


def _body(
    task: str | list[str], input: Input, schema: Schema[Any] | None, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    given = {key: value for key, value in parameters.items() if value is not None}
    salt = given.pop("cache_salt", None)
    if schema is not None:
        given["schema"] = json_schema(schema)
    body = {"task": task, "input": input, "parameters": given}
    return body if salt is None else body | {"cache_salt": salt}


def _with_schema(inference: Inference, schema: Schema[Any] | None) -> Inference:
    if schema is None:
        return inference
    members = {each.name: getattr(inference, each.name) for each in fields(inference)}
    return ParsedInference(**members, schema=schema)


def _whole(task: str, results: list[Element], schema: Schema[Any] | None) -> Element:
    """What several portions give, or the first error among them."""
    inferences: list[Inference] = []
    for result in results:
        if not isinstance(result, Inference):
            return result
        inferences.append(result)
    return _with_schema(_joined(task, inferences), schema)


def _joined(task: str, parts: list[Inference]) -> Inference:
    """One answer of several; of none if nothing was asked."""
    if not parts:
        return Inference("", task, "", "", [], Usage(0, 0, 0))
    first, *others = parts
    for part in others:
        if part.version != first.version:
            raise APIResponseError(
                f"task {task!r} changed from version {first.version} to {part.version} between "
                "two portions of its input: ask again"
            )
    usage = Usage(
        sum(part.usage.prompt_tokens for part in parts),
        sum(part.usage.completion_tokens for part in parts),
        sum(part.usage.total_tokens for part in parts),
    )
    outputs = [output for part in parts for output in part.outputs]
    return replace(first, outputs=outputs, usage=usage)
