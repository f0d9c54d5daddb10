"""Template variables: what a client may tell a chat template, vLLM's `chat_template_kwargs`."""

from inspect import signature
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field, FiniteFloat
from pydantic_core import PydanticCustomError
from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

_TAKEN = {
    *signature(PreTrainedTokenizerBase.apply_chat_template).parameters,
    *signature(render_jinja_template).parameters,
    "messages",
    "raise_exception",
    "strftime_now",
}
"""What these names mean to Transformers is not the client's to say."""


def _check_name(name: str) -> str:
    if name in _TAKEN or name.endswith(("_token", "_tokens")):
        raise PydanticCustomError("variable", "This is not for a request to say; leave it out")
    return name


Name: TypeAlias = Annotated[
    str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$"), AfterValidator(_check_name)
]
Value: TypeAlias = (
    Annotated[str, Field(max_length=256)]
    | bool
    | Annotated[int, Field(ge=-(1 << 31), lt=1 << 31)]
    | FiniteFloat
    | None
)
TemplateVariables: TypeAlias = Annotated[dict[Name, Value], Field(max_length=32)]
