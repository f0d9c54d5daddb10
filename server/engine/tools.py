"""Tools: the functions that an answer may call, and whether it must."""

import json
from dataclasses import dataclass
from typing import Any

NO_ARGUMENTS = '{"type": "object", "properties": {}}'


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that answers may call; `parameters` is a JSON schema of an object, as text."""

    name: str
    description: str = ""
    parameters: str = NO_ARGUMENTS

    def shown(self) -> dict[str, Any]:
        """The tool as chat templates take it."""
        described = {"description": self.description} if self.description else {}
        function = {"name": self.name, **described, "parameters": json.loads(self.parameters)}
        return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class Tools:
    """What a request offers to its answer.

    The answer must call one where that is `required`, the one that is `named` if one is, and makes
    no second call unless it is `parallel`.
    """

    offered: tuple[Tool, ...] = ()
    required: bool = False
    named: str = ""
    parallel: bool = True

    def __bool__(self) -> bool:
        return bool(self.offered)

    @property
    def callable(self) -> tuple[Tool, ...]:
        """Those that the answer may call."""
        return tuple(each for each in self.offered if self.named in ("", each.name))


NO_TOOLS = Tools()
