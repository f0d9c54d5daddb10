"""Chat templates beside a delta, looked for where Transformers' tokenizers look."""

from deltas.checkpoint import Checkpoint
from deltas.errors import InvalidDelta, UnsupportedDelta
from deltas.strict_json import Json

TEMPLATE = "chat_template.jinja"
TOKENIZER_CONFIG = "tokenizer_config.json"

MAX_TEMPLATE = 128 * 1024
"""Greatest size of a template in bytes; the longest in use have a quarter of that."""
MAX_CONFIG = 2 * 1024**2
"""Greatest size of a tokenizer's configuration in bytes; some list thousands of added tokens."""

_NAMED = "additional_chat_templates"
_DEFAULT = "default"


def read_chat_template(checkpoint: Checkpoint) -> str:
    """Read the template that chats are written out by; empty where the base's own is meant.

    A file of its own goes before the tokenizer's configuration, and of several templates the one
    named `default` counts: the others are for tools. Raises InvalidDelta or UnsupportedDelta if
    it is empty, too large or cannot be told.
    """
    if TEMPLATE in checkpoint.names:
        return _checked(checkpoint.text(TEMPLATE, MAX_TEMPLATE), TEMPLATE)
    if TOKENIZER_CONFIG in checkpoint.names:
        listed = checkpoint.json(TOKENIZER_CONFIG, MAX_CONFIG).get("chat_template")
        if listed is not None:
            return _checked(_default(listed), f"chat_template in {TOKENIZER_CONFIG}")
    if _NAMED in checkpoint.names:
        raise UnsupportedDelta(
            f"The checkpoint has {_NAMED} but no {TEMPLATE}: save the one to use under that name."
        )
    return ""


def _default(listed: Json) -> Json:
    """The template itself, or of a list of named ones the one that is used without tools."""
    if not isinstance(listed, list):
        return listed
    for each in listed:
        if isinstance(each, dict) and each.get("name") == _DEFAULT:
            return each.get("template")
    raise UnsupportedDelta(
        f"{TOKENIZER_CONFIG} lists chat templates but none named '{_DEFAULT}': save the one to use "
        f"as {TEMPLATE}."
    )


def _checked(template: Json, name: str) -> str:
    if not isinstance(template, str):
        raise InvalidDelta(f"The {name} must be a text.")
    if not template.strip():
        raise InvalidDelta(f"{name} is empty; leave it out to use the base's.")
    if len(template.encode()) > MAX_TEMPLATE:
        raise InvalidDelta(f"{name} is larger than {MAX_TEMPLATE} bytes.")
    return template
