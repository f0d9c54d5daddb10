"""Response bodies: what a response of OpenAI's says of itself beside its output."""

from typing import Any, Literal

from pydantic import BaseModel

from server.api.http.problem import Problem
from server.api.outputs import PromptDetails
from server.api.response_items import OutputItem
from server.api.tools import FlatChoice, FlatTool
from server.api.unsupported import UnsupportedReasoning
from server.engine.output import Usage


class OutputDetails(BaseModel):
    """How many of the tokens written were reasoning."""

    reasoning_tokens: int


class InputDetails(PromptDetails):
    """The same for a response; writing to the cache has no price, so that nothing is counted."""

    cache_write_tokens: Literal[0] = 0


class ResponseUsage(BaseModel):
    """Tokens read and written."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int

    @classmethod
    def of(cls, usage: Usage, reasoning: int) -> "ResponseUsage":
        """Show the engine's count."""
        return cls(
            input_tokens=usage.prompt_tokens,
            input_tokens_details=InputDetails(
                cached_tokens=usage.cached_tokens, cache_write_tokens=0
            ),
            output_tokens=usage.completion_tokens,
            output_tokens_details=OutputDetails(reasoning_tokens=reasoning),
            total_tokens=usage.total_tokens,
        )


class ResponseError(BaseModel):
    """Why there is no more of an answer, in the words of OpenAI's codes."""

    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
    message: str

    @classmethod
    def of(cls, problem: Problem) -> "ResponseError":
        """Show a problem."""
        if problem.status < 500:
            code = "rate_limit_exceeded" if problem.status == 429 else "invalid_prompt"
        else:
            code = "server_error"
        return cls(code=code, message=problem.message)


class Incomplete(BaseModel):
    """Why an answer did not end by itself."""

    reason: Literal["max_output_tokens"]


class ResponseBody(BaseModel):
    """A response, and what was asked."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    completed_at: int | None
    error: ResponseError | None
    incomplete_details: Incomplete | None
    background: Literal[False]
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    model: str
    output: list[OutputItem]
    parallel_tool_calls: bool
    previous_response_id: None
    reasoning: UnsupportedReasoning
    store: Literal[False]
    temperature: float
    text: dict[str, Any]
    tool_choice: FlatChoice
    tools: list[FlatTool]
    top_logprobs: int
    top_p: float
    truncation: Literal["disabled"]
    usage: ResponseUsage | None


class StatusEvent(BaseModel):
    """What a stream begins and ends with: the response as it is then."""

    type: str
    sequence_number: int
    response: ResponseBody
