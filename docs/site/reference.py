"""The pages of the HTTP API, a page for each protocol, made of the server's OpenAPI document."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from docs.site import schemas
from docs.site.schemas import Schema

Operation: TypeAlias = Mapping[str, Any]

PROTOCOLS: Mapping[str, tuple[str, str]] = {
    "native": ("Native", "Polydelta's own routes: answers, tasks, versions, traffic, keys."),
    "openai": ("OpenAI", "What OpenAI's clients ask; `model` names the task."),
    "vllm": ("vLLM", "What vLLM's clients, routers and scripts ask; `model` names the task."),
    "hugging face": (
        "Hugging Face",
        "What text-embeddings-inference, text-generation-inference and `InferenceClient` ask.",
    ),
    "operations": ("Operations", "Health, metrics and what the server does now."),
}
"""By the tags of the document: a page's title, and what is on it."""

_ERRORS = "[errors](../http.md#errors)"


def pages(document: Mapping[str, Any]) -> dict[str, str]:
    """The pages by their paths; raises KeyError for a route whose tag has no page."""
    found: dict[str, list[str]] = {tag: [] for tag in PROTOCOLS}
    used: dict[str, list[Operation]] = {tag: [] for tag in PROTOCOLS}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for tag in operation["tags"]:
                found[tag].append(_section(method, path, operation))
                used[tag].append(operation)
    known = document["components"]["schemas"]
    return {
        path_of(tag): "\n\n".join([*_top(tag), *found[tag], *_named(used[tag], known)]) + "\n"
        for tag in PROTOCOLS
    }


def path_of(tag: str) -> str:
    """Where a protocol's page is among the pages."""
    return f"api/{tag.replace(' ', '-')}.md"


def _top(tag: str) -> Iterator[str]:
    title, about = PROTOCOLS[tag]
    yield f"# {title}"
    yield (
        f"{about} [HTTP](../http.md) tells what all routes have in common and what differs from "
        f"the originals; every failure has one form, see {_ERRORS}. This page is made of the "
        "server's OpenAPI document, which a running server has at `/openapi.json`, and to try at "
        "`/docs`."
    )


def _section(method: str, path: str, operation: Operation) -> str:
    parts = [f"## `{method.upper()} {path}`", operation.get("description", "")]
    if given := operation.get("parameters"):
        rows = (
            schemas.row(
                each["name"],
                each["schema"] | {"description": each.get("description", "")},
                required=each["required"],
                place=f"in the {each['in']}",
            )
            for each in given
        )
        parts.append("\n".join(["| parameter | is | |", "| --- | --- | --- |", *rows]))
    if "requestBody" in operation:
        parts.append(_body(operation["requestBody"]["content"]))
    parts.append(f"**Answers** {'; '.join(_answers(operation['responses']))}.")
    return "\n\n".join(part for part in parts if part)


def _body(content: Mapping[str, Any]) -> str:
    parts: list[str] = []
    for media, each in content.items():
        schema: Schema = each["schema"]
        if "properties" in schema:
            parts += [f"**Body**, `{media}`:", schemas.table(schema)]
        elif media == "multipart/form-data":
            parts.append(f"**Body**, `{media}`: the files, each under its name.")
        else:
            parts.append(f"**Body**, `{media}`: {schemas.kind(schema)}.")
    return "\n\n".join(parts)


def _answers(responses: Mapping[str, Any]) -> Iterator[str]:
    for status, response in responses.items():
        if status in ("4XX", "5XX"):
            continue
        told = [
            f"`{media}`" + (f", {schemas.kind(each['schema'])}" if each.get("schema") else "")
            for media, each in response.get("content", {}).items()
        ]
        yield f"{status} with " + " or ".join(told) if told else f"{status} without a body"


def _named(operations: Iterable[Operation], known: Mapping[str, Schema]) -> Iterator[str]:
    """A section for each schema that the operations' answers and bodies lead to."""
    wanted, found = [name for each in operations for name in schemas.named(each)], set[str]()
    while wanted:
        name = wanted.pop()
        if name not in found:
            found.add(name)
            wanted += schemas.named(known[name])
    if found:
        yield "## Objects"
    for name in sorted(found):
        schema = known[name]
        told = schemas.table(schema) or f"Is {schemas.kind(schema)}."
        yield "\n\n".join(part for part in (f"### {name}", schema.get("description"), told) if part)
