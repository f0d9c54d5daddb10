"""Keywords: told apart by what they are for, and refused where they are unknown."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, cast

from .inputs import CallOptions, InferOptions, Parameters

_CALL = frozenset(CallOptions.__annotations__)
_PARAMETERS = frozenset(Parameters.__annotations__)


def split(options: InferOptions) -> tuple[Parameters, CallOptions]:
    """Part what the server is asked from how the call is made; raise TypeError for the unknown."""
    check(options, _PARAMETERS | _CALL)
    given = cast("Mapping[str, Any]", options)
    parameters = {key: value for key, value in given.items() if key in _PARAMETERS}
    call = {key: value for key, value in given.items() if key in _CALL}
    return cast("Parameters", parameters), cast("CallOptions", call)


def check_call(options: CallOptions) -> None:
    """Raise TypeError for what is no option of a call."""
    check(options, _CALL)


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Raise TypeError for what is no parameter of a request."""
    check(parameters, _PARAMETERS)


def check(given: Iterable[str], known: frozenset[str]) -> None:
    """Raise TypeError for the first name that is not known, naming one that is like it."""
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = (
                f"; did you mean {near[0]!r}?"
                if near
                else f"; there are {', '.join(sorted(known))}"
            )
            raise TypeError(f"unknown keyword {name!r}{hint}")
