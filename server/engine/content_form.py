"""Contents: whether a chat template takes a message's content as a text, or in parts alone.

Templates of models that read pictures, too, may look for parts of the type `text` and pass over a
plain text in silence.
"""

from collections.abc import Callable
from dataclasses import replace

from server.engine.message import Chat, Message

_SAID = "polydelta said this"
_PROBE = Chat((Message("user", _SAID),))


def may_take_parts(template: str) -> bool:
    """Whether a template might look at a part's type at all."""
    return any(f"{mark}type{mark}" in template for mark in "'\"") or ".type" in template


def takes_parts(write: Callable[[Chat], str | None]) -> bool:
    """Whether a template writes a content out in parts alone; it gives None for what it refuses."""
    plain, parts = write(_PROBE), write(replace(_PROBE, in_parts=True))
    return _SAID not in (plain or "") and _SAID in (parts or "")
