"""Records of families as JSON, for architectures that have none here."""

from dataclasses import MISSING, Field, fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from deltas.errors import InvalidDelta, UnsupportedBase
from deltas.families.family import Family
from deltas.strict_json import MAX_BYTES, Json, parse

_LIKE = "like"


def read_record(path: Path, known: dict[str, Family]) -> Family:
    """Read the record of one family: the fields of `Family`, dotted paths and numbers alone.

    It may be `like` a known family and say what differs. Raises UnsupportedBase with the reason.
    """
    try:
        with path.open("rb") as file:
            said = parse(file.read(MAX_BYTES + 1), path.name)
        return _family(said, known)
    except OSError as error:
        raise UnsupportedBase(f"The record {path} cannot be read: {error.strerror}.") from error
    except (InvalidDelta, UnsupportedBase) as error:
        raise UnsupportedBase(f"The record {path} is of no family: {error}") from error


def _family(said: dict[str, Json], known: dict[str, Family]) -> Family:
    like = said.pop(_LIKE, None)
    if like is None:
        return _built(Family, said, "")
    if not isinstance(like, str) or like not in known:
        names = ", ".join(sorted(known))
        raise UnsupportedBase(
            f"'{_LIKE}' must name a family that is there; choose one of: {names}."
        )
    return replace(known[like], **_values(Family, said, ""))


def _built(kind: type[Any], said: dict[str, Json], place: str) -> Any:
    values = _values(kind, said, place)
    if missing := [each.name for each in fields(kind) if _needed(each) and each.name not in values]:
        raise UnsupportedBase(f"{place or 'it'} lacks {', '.join(missing)}.")
    return kind(**values)


def _needed(field: Field[Any]) -> bool:
    return field.default is MISSING


def _values(kind: type[Any], said: dict[str, Json], place: str) -> dict[str, Any]:
    types = get_type_hints(kind)
    if unknown := sorted(said.keys() - types.keys()):
        raise UnsupportedBase(
            f"'{place}{unknown[0][:64]}' is no field; there are: {', '.join(types)}."
        )
    return {name: _value(types[name], value, f"{place}{name}") for name, value in said.items()}


def _value(wanted: Any, value: Json, place: str) -> Any:
    """A field's value as its type wants it."""
    if isinstance(wanted, UnionType):
        if value is None:
            return None
        (wanted,) = (each for each in get_args(wanted) if each is not type(None))
    if is_dataclass(wanted) and isinstance(wanted, type) and isinstance(value, dict):
        return _built(wanted, value, f"{place}.")
    if get_origin(wanted) is tuple and isinstance(value, list):
        inner = get_args(wanted)
        if all(isinstance(item, str) for item in value) and (
            Ellipsis in inner or len(inner) == len(value)
        ):
            return tuple(value)
    if wanted is float and type(value) in (int, float):
        return value
    if isinstance(wanted, type) and type(value) is wanted:
        return value
    raise UnsupportedBase(f"'{place}' cannot be {str(value)[:64]}.")
