"""Messages: a chat's turns, as values of which chat templates see Transformers' form."""

import json
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from server.engine.prompt_options import USUAL, PromptOptions
from server.engine.tools import Tool

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that an assistant's message makes; `arguments` are an object as JSON text."""

    id: str
    name: str
    arguments: str

    def shown(self, *, as_text: bool = False) -> dict[str, Any]:
        """The call as chat templates take it, its arguments parsed or `as_text`."""
        arguments = self.arguments if as_text else json.loads(self.arguments)
        function = {"name": self.name, "arguments": arguments}
        return {"id": self.id, "type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat.

    `reasoning` and `tool_calls` are an assistant's; `tool_call_id` says which call a tool's message
    answers, and `name` who speaks: a tool, or one of several users.
    """

    role: Role
    content: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    name: str = ""

    @property
    def characters(self) -> int:
        """How much text it holds."""
        calls = sum(len(call.name) + len(call.arguments) for call in self.tool_calls)
        return len(self.role) + len(self.content) + len(self.reasoning) + calls

    def shown(self, *, as_text: bool = False, in_parts: bool = False) -> dict[str, Any]:
        """The message as chat templates take it: what it lacks is not there, but for the content.

        Templates join the content to texts of their own, which None would not bear.
        """
        parts = [{"type": "text", "text": self.content}]
        shown: dict[str, Any] = {"role": self.role, "content": parts if in_parts else self.content}
        if self.reasoning:
            shown["reasoning_content"] = self.reasoning
        if self.tool_calls:
            shown["tool_calls"] = [call.shown(as_text=as_text) for call in self.tool_calls]
        if self.tool_call_id:
            shown["tool_call_id"] = self.tool_call_id
        if self.name:
            shown["name"] = self.name
        return shown


@dataclass(frozen=True, slots=True)
class Chat:
    """What a chat template writes out: the turns so far, and the tools that the next may call.

    Some templates take calls' arguments `as_text` alone, and some contents `in_parts`.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    options: PromptOptions = USUAL
    as_text: bool = False
    in_parts: bool = False

    @property
    def concerns_tools(self) -> bool:
        """Whether tools are listed, called or answer in it."""
        return bool(self.tools) or any(
            message.tool_calls or message.role == "tool" for message in self.messages
        )

    @property
    def characters(self) -> int:
        """How much text it holds."""
        tools = sum(len(tool.description) + len(tool.parameters) for tool in self.tools)
        return tools + sum(message.characters for message in self.messages)

    def shown(self) -> dict[str, Any]:
        """What `apply_chat_template` takes, and with it the variables of the template."""
        tools = [tool.shown() for tool in self.tools]
        return {
            **self.options.variables,
            "messages": [
                each.shown(as_text=self.as_text, in_parts=self.in_parts) for each in self.messages
            ],
            "tools": tools or None,
            "add_generation_prompt": self.options.opens,
            "continue_final_message": self.options.continues,
        }
