"""The OpenAPI document: FastAPI's own, with the media types that answers really have."""

from typing import Any, TypeAlias

from fastapi import FastAPI

from server.api.http.problem import MEDIA_TYPE, ProblemBody

Responses: TypeAlias = dict[int | str, dict[str, Any]]

PROBLEMS: Responses = {
    "4XX": {"model": ProblemBody, "description": "The request cannot be answered"},
    "5XX": {"model": ProblemBody, "description": "The server cannot answer"},
}
_EVENT = {"type": "object", "required": ["data"], "properties": {"data": {"type": "string"}}}

STREAM: Responses = {200: {"content": {"text/event-stream": {"itemSchema": _EVENT}}}}
"""What a route that streams on request answers besides JSON."""


class Documented(FastAPI):
    """An application whose document says of problems that they are `application/problem+json`."""

    def openapi(self) -> dict[str, Any]:
        """Make the document when it is first asked for."""
        if self.openapi_schema is None:
            for operations in super().openapi()["paths"].values():
                for operation in operations.values():
                    _retype(operation["responses"])
                    _drop_whole(operation["responses"])
        return super().openapi()


def _retype(responses: dict[str, Any]) -> None:
    # FastAPI gives all answers of a route the media type of its success.
    for status in PROBLEMS.keys() & responses.keys():
        (content,) = responses[str(status)]["content"].values()
        responses[str(status)]["content"] = {MEDIA_TYPE: content}


def _drop_whole(responses: dict[str, Any]) -> None:
    # FastAPI calls the whole of a stream a string; what has a form is each of its events.
    for content in responses.get("200", {}).get("content", {}).values():
        if "itemSchema" in content:
            content.pop("schema", None)
