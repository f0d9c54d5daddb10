"""`/tokenize` and `/detokenize`: vLLM's texts as token ids and back."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, Discriminator, Field, RootModel, Tag

from deltas.delta import TaskType
from server.api.dependencies import EngineDep
from server.api.fields import fields
from server.api.http.body import Body, BodyRoute, Items
from server.api.http.identity import new_id
from server.api.inputs import MAX_TOKENS, Text, TokenId
from server.api.lookup import LookUpDep
from server.api.messages import Messages, messages_of
from server.api.naming import OptionalModel
from server.api.prompting import ChatTemplateFields, TruncationFields
from server.api.routes.models import room_of
from server.api.tools import ToolFields
from server.api.unsupported import UnsupportedTokenizing
from server.api.writing import json_response, written_values
from server.engine.request import Request
from server.registry.version import BASE_NAME

router = APIRouter(
    route_class=BodyRoute, tags=["vllm"], dependencies=[fields(task="model", input="prompt")]
)


class TokenizeText(TruncationFields):
    """A text to tokenise, of 131,072 characters at most; all tasks have the base's tokens."""

    model: OptionalModel | None = None
    prompt: Text
    return_token_strs: bool = False


class TokenizeChat(ChatTemplateFields, ToolFields, UnsupportedTokenizing):
    """Messages to write out, as the template of the task that `model` names does, and tokenise.

    Tools are written with them.
    """

    model: OptionalModel | None = None
    messages: Messages
    return_token_strs: bool = False


def _form(value: Any) -> str:
    chat = isinstance(value, dict) and "messages" in value
    return "(chat)" if chat or isinstance(value, TokenizeChat) else "(text)"


class TokenizeBody(RootModel[Any]):
    """A text in `prompt`, or a chat in `messages`."""

    root: Annotated[
        Annotated[TokenizeText, Tag("(text)")] | Annotated[TokenizeChat, Tag("(chat)")],
        Discriminator(_form),
    ]


class Tokenized(BaseModel):
    """Token ids, how many there are and how many the task takes, and what they look like."""

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None = None


class DetokenizeBody(Body):
    """Token ids; those of an empty text are none."""

    model: OptionalModel | None = None
    tokens: Annotated[Items[TokenId], Field(max_length=MAX_TOKENS)]


class Detokenized(BaseModel):
    """The text, special tokens written out."""

    prompt: str


@router.post("/tokenize", response_model=Tokenized)
async def tokenize(body: TokenizeBody, engine: EngineDep, tasks: LookUpDep) -> Response:
    """Show the token ids of a text or of a chat, whether or not they fit the context.

    They are cut where that is asked for, as they would be before an answer.
    """
    asked = body.root
    task = asked.model or BASE_NAME
    version = await tasks.version(task)
    room = room_of(version, engine)
    options = asked.prompting()
    if options.truncate == -1:
        options = replace(options, truncate=room - (version.type is TaskType.GENERATE))
    if isinstance(asked, TokenizeText):
        tokens = await engine.reader.tokens(asked.prompt, options)
    else:
        messages, tools = messages_of(asked.messages), asked.offered()
        request = Request(new_id("tok"), task, messages, prompt=options, tools=tools)
        prompt = await engine.reader.read(request, version, generates=True, fits=False)
        tokens = prompt.tokens
    # They are what they should be: looking at each would take as long as making it.
    answer = Tokenized.model_construct(count=len(tokens), max_model_len=room, tokens=tokens)
    if asked.return_token_strs:
        answer.token_strs = await engine.reader.pieces(tokens)
    return json_response(await written_values(len(tokens), lambda: answer))


@router.post("/detokenize", response_model=Detokenized)
async def detokenize(body: DetokenizeBody, engine: EngineDep, tasks: LookUpDep) -> Response:
    """Show the text of token ids."""
    await tasks.version(body.model or BASE_NAME)
    text = await engine.reader.text(body.tokens)
    return json_response(await written_values(len(body.tokens), lambda: Detokenized(prompt=text)))
