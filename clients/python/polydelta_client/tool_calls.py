"""Calls of tools that a chat's answer makes."""

import json
from dataclasses import dataclass
from typing import Any

from ._result import Result


@dataclass(frozen=True, repr=False)
class CalledFunction(Result):
    """What is called: `arguments` is the text of a JSON object."""

    name: str
    arguments: str


@dataclass(frozen=True, repr=False)
class ToolCall(Result):
    """A call, in OpenAI's form; a message of role "tool" answers it by its `id`."""

    id: str
    type: str
    function: CalledFunction

    @property
    def name(self) -> str:
        """The tool."""
        return self.function.name

    @property
    def arguments(self) -> Any:
        """What it is given, as its schema has it."""
        return json.loads(self.function.arguments)


@dataclass(frozen=True, repr=False)
class FunctionPiece(Result):
    """A stretch of a call: the first has its name."""

    arguments: str
    name: str | None = None


@dataclass(frozen=True, repr=False)
class ToolCallPiece(Result):
    """What a stream tells of call `index` at once; the first has its id."""

    index: int
    function: FunctionPiece
    id: str | None = None
    type: str | None = None
