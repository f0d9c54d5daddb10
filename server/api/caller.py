"""Callers: who asks, on whose behalf and for how long they wait, by what comes with requests."""

import hashlib
import re
import time
from math import isfinite
from typing import Annotated, TypeAlias

from fastapi import Depends, Request
from starlette.datastructures import Headers

from server.api.dependencies import key_of as api_key_of
from server.api.http.body import Body, value_of
from server.engine.request import Call
from server.registry.names import SHARED

_PREFERENCE = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d+(?:\.\d+)?)", re.IGNORECASE)
_TIMEOUTS = {"x-stainless-read-timeout": 1.0, "x-envoy-expected-rq-timeout-ms": 1e-3}
"""Headers in which OpenAI's clients and Envoy tell their own patience, and their units."""

_KEY = "x-session-id"
"""The header by which routers, too, keep a session's requests together."""

_TRACE = ("traceparent", "tracestate")
"""W3C's Trace Context."""


class UserFields(Body):
    """On whose behalf a request is made, in OpenAI's words; kept nowhere."""

    user: str = ""
    safety_identifier: str = ""


def patience_of(headers: Headers) -> float | None:
    """The seconds that a client waits for its answer to begin, by the least of what it sends.

    It may prefer so (RFC 7240: `Prefer: wait=10`; parts of a second are taken, too). What is no
    number of seconds counts as absent.
    """
    preferred = [float(each) for each in _PREFERENCE.findall(",".join(headers.getlist("prefer")))]
    told = [
        seconds * unit
        for name, unit in _TIMEOUTS.items()
        if (seconds := _number(headers.get(name, ""))) is not None
    ]
    return min([*preferred, *told], default=None)


def caller_of(request: Request) -> str:
    """Whose share of the places a request takes: its credentials' digest, else its address."""
    if (own := api_key_of(request)) is not None:
        return own.digest
    credentials = request.headers.get("authorization", "")
    if credentials:
        return hashlib.sha256(credentials.encode()).hexdigest()
    return request.client.host if request.client else ""


def key_of(request: Request) -> str:
    """What requests share that one version of a task is to answer: a session, else a user."""
    body = value_of(request)
    user = (body.safety_identifier or body.user) if isinstance(body, UserFields) else ""
    return request.headers.get(_KEY) or user


async def _call(request: Request) -> Call:
    patience = patience_of(request.headers)
    deadline = None if patience is None else time.monotonic() + patience
    trace = {name: request.headers[name] for name in _TRACE if name in request.headers}
    own = api_key_of(request)
    call = Call(caller_of(request), deadline, trace=trace, key=key_of(request))
    call.tenant = own.tenant if own else SHARED
    request.state.call = call
    return call


CallDep: TypeAlias = Annotated[Call, Depends(_call)]
"""What a request says of all the rows that it asks for."""


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) and number >= 0 else None
