"""Tools: OpenAI's fields for what an answer may call, its older `functions` among them."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, Field

from server.api.http.body import Body, Items
from server.api.messages import MAX_CALLS
from server.engine.message import ToolCall
from server.engine.output import CallPiece
from server.engine.tools import NO_ARGUMENTS, NO_TOOLS, Tool, Tools
from server.errors import InvalidRequest

MAX_TOOLS = MAX_CALLS
MAX_SCHEMA = 1 << 16
"""Characters of a tool's parameters as JSON."""

ToolName: TypeAlias = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.:/-]{1,128}$")]


class FunctionBody(Body):
    """A function: its name, what it is for and a JSON schema of its arguments.

    Arguments keep to the schema whether it is `strict` or not.
    """

    name: ToolName
    description: Annotated[str, Field(max_length=1 << 14)] = ""
    parameters: dict[str, Any] = Field(default_factory=dict[str, Any])
    strict: bool | None = None

    def tool(self) -> Tool:
        """The function as the engine takes it."""
        if not self.parameters:
            return Tool(self.name, self.description, NO_ARGUMENTS)
        schema = json.dumps(self.parameters, ensure_ascii=False)
        if len(schema) > MAX_SCHEMA:
            message = f"The parameters of '{self.name}' are longer than {MAX_SCHEMA} characters."
            raise InvalidRequest(message, param="tools")
        return Tool(self.name, self.description, schema)


class ToolBody(Body):
    """A tool that an answer may call; functions are the only type there is."""

    type: Literal["function"]
    function: FunctionBody


class FunctionType(Body):
    """What says that a tool is a function, the only type there is."""

    type: Literal["function"]


class FlatTool(FunctionBody, FunctionType):
    """A tool as OpenAI's responses have it, the function beside its type."""


class NameBody(Body):
    """The name of a function."""

    name: ToolName


class NamedTool(Body):
    """The one tool that must be called."""

    type: Literal["function"]
    function: NameBody


class NamedFlatTool(NameBody, FunctionType):
    """The same as OpenAI's responses have it."""


ToolChoice: TypeAlias = Literal["none", "auto", "required"] | NamedTool
FlatChoice: TypeAlias = Literal["none", "auto", "required"] | NamedFlatTool
FunctionChoice: TypeAlias = Literal["none", "auto"] | NameBody


class ToolFields(Body):
    """What an answer may call and whether it must; `none` keeps the tools from being shown, too."""

    tools: Annotated[Items[ToolBody], Field(max_length=MAX_TOOLS)] = Field(
        default_factory=list[ToolBody]
    )
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True

    def offered(self) -> Tools:
        """What the engine is told; raises InvalidRequest for a choice among none."""
        functions = [each.function for each in self.tools]
        return tools_of(functions, self.tool_choice, "tool", parallel=self.parallel_tool_calls)


class ToolsOrFunctions(ToolFields):
    """Tools, or the functions that OpenAI had before them, of which an answer calls at most one."""

    functions: Annotated[Items[FunctionBody], Field(max_length=MAX_TOOLS)] = Field(
        default_factory=list[FunctionBody]
    )
    function_call: FunctionChoice = "auto"

    def offered(self) -> Tools:
        """What the engine is told; raises InvalidRequest for a choice among none."""
        if not self.functions and self.function_call in ("auto", "none"):
            return super().offered()
        if self.tools:
            raise InvalidRequest("Send tools or functions, not both.", param="functions")
        return tools_of(self.functions, self.function_call, "function", parallel=False)


class CalledBody(BaseModel):
    """The function that a call names, or a stretch of its arguments: the text of a JSON object."""

    name: str
    arguments: str


class CallBody(BaseModel):
    """A call that an answer makes."""

    id: str
    type: Literal["function"]
    function: CalledBody

    @classmethod
    def of(cls, call: ToolCall) -> "CallBody":
        """Show the engine's call."""
        function = CalledBody(name=call.name, arguments=call.arguments)
        return cls(id=call.id, type="function", function=function)


class CalledChunk(BaseModel):
    """What a stream tells of a called function at once."""

    name: str | None = None
    arguments: str


class CallChunk(BaseModel):
    """What a stream tells of call `index` at once; the first has its id and its name."""

    index: int
    id: str | None = None
    type: Literal["function"] | None = None
    function: CalledChunk

    @classmethod
    def of(cls, piece: CallPiece) -> "CallChunk":
        """Show the engine's piece."""
        if not piece.name:
            return cls(index=piece.index, function=CalledChunk(arguments=piece.arguments))
        function = CalledChunk(name=piece.name, arguments=piece.arguments)
        return cls(index=piece.index, id=piece.id, type="function", function=function)


def tools_of(
    functions: Sequence[FunctionBody],
    choice: ToolChoice | FlatChoice | FunctionChoice,
    kind: Literal["tool", "function"],
    *,
    parallel: bool,
) -> Tools:
    """What the engine is told of functions and a choice of them.

    Raises InvalidRequest for a choice among none, and for names that are there twice.
    """
    field = "tool_choice" if kind == "tool" else "function_call"
    named = ""
    if isinstance(choice, NamedTool | NameBody):
        named = choice.function.name if isinstance(choice, NamedTool) else choice.name
    if not functions:
        if choice not in ("auto", "none"):
            raise InvalidRequest(f"{field} needs {kind}s to choose from.", param=field)
        return NO_TOOLS
    counts = Counter(function.name for function in functions)
    ((name, count),) = counts.most_common(1)
    if count > 1:
        raise InvalidRequest(f"There are {count} {kind}s of the name '{name}'.", param=f"{kind}s")
    if named and named not in counts:
        raise InvalidRequest(f"There is no {kind} of the name '{named}'.", param=field)
    if choice == "none":
        return NO_TOOLS
    tools = tuple(function.tool() for function in functions)
    required = bool(named) or choice not in ("auto", "none")
    # Whoever names a tool wants one call of it.
    return Tools(tools, required, named, parallel and not named)
