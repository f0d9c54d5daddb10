"""Conditions: the versions that If-Match and If-None-Match name (RFC 9110, 8.8.3 and 13.1)."""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, TypeAlias

from fastapi import Depends, Header
from pydantic import WithJsonSchema

from server.errors import InvalidRequest
from server.registry.condition import ANY, Condition

_ELEMENT = re.compile(r'[ \t]*(?:(W/)?"([!#-~\x80-\xff]*)")?[ \t]*(?:,|$)')

_TAG = r'((W/)?"[!#-~\u0080-\u00ff]*")?'
_FORM = {"type": "string", "pattern": rf"^[ \t]*(\*|{_TAG}([ \t]*,[ \t]*{_TAG})*)[ \t]*$"}

_Lines: TypeAlias = Annotated[list[str] | None, Header(), WithJsonSchema(_FORM)]


async def _condition(if_match: _Lines = None) -> Condition:
    if if_match is None:
        return None
    # Weak ones never match, and so an empty list does not, either.
    tags = _entity_tags(if_match, "if-match")
    return frozenset(tag for weak, tag in tags if not weak)


async def _known(if_none_match: _Lines = None) -> frozenset[str]:
    return frozenset(tag for _, tag in _entity_tags(if_none_match or (), "if-none-match"))


ConditionDep: TypeAlias = Annotated[Condition, Depends(_condition)]
"""The versions one of which the task is to be at, or 412, as If-Match says."""

KnownDep: TypeAlias = Annotated[frozenset[str], Depends(_known)]
"""The versions that the client has already, as If-None-Match says."""


def _entity_tags(lines: Sequence[str], name: str) -> Iterator[tuple[bool, str]]:
    """Each entity tag of a header's lines, and whether it is weak; a lone `*` is ANY."""
    line = ",".join(lines)
    if line.strip() == ANY:
        yield False, ANY
        return
    place = 0
    while place < len(line):
        found = _ELEMENT.match(line, place)
        if found is None:
            raise InvalidRequest(
                "Give versions in double quotes with commas between them, as in "
                '"0123456789ab", or * alone for any.',
                name,
            )
        # In quotes a * is a tag, which no version has.
        if found[2] not in (None, ANY):
            yield found[1] is not None, found[2]
        place = found.end()
