"""Docstrings in Markdown, where a page asks mkdocstrings for them and nobody renders it."""

import re
from collections.abc import Iterator
from pathlib import Path

import griffe

_DIRECTIVE = re.compile(r"^::: (?P<path>\S+)\n(?: +.*\n?)*", re.MULTILINE)


def expand(page: str, sources: Path) -> str:
    """The page with what its directives name, found under `sources`, in their place."""

    def told(directive: re.Match[str]) -> str:
        package, _, rest = directive["path"].partition(".")
        found = griffe.load(package, search_paths=[sources])[rest]
        return "\n\n".join(_object(found)) + "\n\n"

    return _DIRECTIVE.sub(told, page)


def _object(found: griffe.Object | griffe.Alias) -> Iterator[str]:
    """A heading, a docstring, then each public member's."""
    if isinstance(found, griffe.Alias):
        found = found.final_target
    if not found.is_module:
        yield f"### `{found.path}`"
    yield from _said(found)
    for name, member in found.members.items():
        if name.startswith("_") or member.is_alias:
            continue
        if member.is_class:
            yield from _object(member)
        elif isinstance(member, griffe.Function):
            yield f"`{member.signature()}`"
            yield from _said(member)
        elif isinstance(member, griffe.Attribute):
            yield f"`{name}: {member.annotation}`" if member.annotation else f"`{name}`"
            yield from _said(member)


def _said(found: griffe.Object) -> Iterator[str]:
    if found.docstring:
        yield found.docstring.value
