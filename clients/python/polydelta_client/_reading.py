"""Readings of an answer that has come whole."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import httpx2

from ._decode import decode, decode_list
from ._failures import parsed, request_id
from ._result import Answer

T = TypeVar("T")
A = TypeVar("A", bound=Answer)


def reads(wanted: type[T]) -> Callable[[httpx2.Response], T]:
    """Read the JSON as `wanted`."""
    return lambda response: decode(wanted, parsed(response))


def listed(name: str, wanted: type[T]) -> Callable[[httpx2.Response], list[T]]:
    """Read what the JSON's field of that name lists."""
    return lambda response: decode_list(wanted, parsed(response), name)


def answer(wanted: type[A]) -> Callable[[httpx2.Response], A]:
    """Read the JSON as `wanted`, which keeps the request's name."""
    return lambda response: replace(reads(wanted)(response), request_id=request_id(response))


def nothing(_response: httpx2.Response) -> None:
    """Read an answer that says nothing beyond its status."""
