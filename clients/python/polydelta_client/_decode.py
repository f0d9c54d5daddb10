"""JSON to dataclasses, strictly: a missing or mistyped field is an error, an unknown one is not."""

from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import APIResponseError

T = TypeVar("T")


class _MismatchError(Exception):
    pass


def decode(wanted: type[T], value: object) -> T:
    """Build the dataclass `wanted` from parsed JSON, or raise APIResponseError."""
    try:
        return _convert(wanted, value, "$")
    except _MismatchError as mismatch:
        raise _unexpected(mismatch, value) from None


def decode_list(wanted: type[T], value: object, name: str) -> list[T]:
    """Build what the field `name` of a JSON object lists, or raise APIResponseError."""
    try:
        return _member(list[wanted], _plain(dict, value, "$"), name, "$")
    except _MismatchError as mismatch:
        raise _unexpected(mismatch, value) from None


def _unexpected(mismatch: _MismatchError, value: object) -> APIResponseError:
    return APIResponseError(f"unexpected answer, at {mismatch}", body=value)


def _convert(form: Any, value: Any, place: str) -> Any:
    if form is Any:
        return value
    if is_dataclass(form):
        return _record(form, value, place)
    origin, arguments = get_origin(form), get_args(form)
    if origin in (Union, UnionType):
        return _first(arguments, value, place)
    if origin is list:
        items = enumerate(_plain(list, value, place))
        return [_convert(arguments[0], item, f"{place}[{i}]") for i, item in items]
    if origin is dict:
        entries = _plain(dict, value, place).items()
        return {key: _convert(arguments[1], item, f"{place}.{key}") for key, item in entries}
    return _plain(form, value, place)


def _plain(form: type[Any], value: Any, place: str) -> Any:
    if form is float and type(value) is int:
        return float(value)
    if type(value) is not form:
        raise _MismatchError(f"{place} is {type(value).__name__}, not {form.__name__}")
    return value


def _first(forms: tuple[Any, ...], value: Any, place: str) -> Any:
    reasons: list[str] = []
    for form in forms:
        try:
            return _convert(form, value, place)
        except _MismatchError as mismatch:
            reasons.append(str(mismatch))
    raise _MismatchError("; ".join(reasons))


def _record(form: Any, value: Any, place: str) -> Any:
    members = _plain(dict, value, place)
    known: dict[str, Any] = {}
    for name, (hint, required) in _schema(form).items():
        if required or name in members:
            known[name] = _member(hint, members, name, place)
    return form(**known)


def _member(form: Any, members: dict[str, Any], name: str, place: str) -> Any:
    if name not in members:
        raise _MismatchError(f"{place}.{name} is missing")
    return _convert(form, members[name], f"{place}.{name}")


@cache
def _schema(form: Any) -> dict[str, tuple[Any, bool]]:
    hints = get_type_hints(form)
    return {
        f.name: (hints[f.name], f.default is MISSING and f.default_factory is MISSING)
        for f in fields(form)
        if f.compare  # others are the client's own
    }
