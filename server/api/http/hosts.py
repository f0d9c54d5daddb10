"""Hosts: the names that requests may call this server by.

A page on the internet may have its own name lead to this machine once it is open (DNS rebinding):
the browser then takes the server for the page's. Such requests still carry the page's name.
"""

import re
import socket
from collections.abc import Iterable
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from server.api.http.problem import Problem

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+?)\.?)(?::[0-9]*)?")
_REFUSAL = (
    "This server does not go by the name in the Host header. If it should, start it with "
    "--trusted-hosts and that name."
)


class TrustedHosts:
    """Refuses requests for names that are not this server's.

    An address is trusted, for no page can take one for its name. So are localhost, this machine's
    own name, the one listened on and what `trusted` holds: `*.NAME` for all names below one, `*`
    for any. Unless only this machine can reach the server, all names without a dot are trusted,
    too: container networks give such names, the internet does not.
    """

    def __init__(self, app: ASGIApp, listening: str, trusted: Iterable[str]) -> None:
        self._app = app
        given = {name.lower() for name in trusted}
        self._any = "*" in given
        self._names = {"localhost", listening.lower(), socket.gethostname().lower(), *given}
        self._endings = (".localhost", *(name[1:] for name in given if name.startswith("*.")))
        self._alone = _is_loopback(listening)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or self._trusts(Headers(scope=scope).get("host", "")):
            return await self._app(scope, receive, send)
        refusal = Problem.of(HTTPException(421, _REFUSAL))
        return await refusal.response(scope["state"]["request_id"])(scope, receive, send)

    def _trusts(self, host: str) -> bool:
        # Every browser names a host; some probes do not.
        if self._any or not host:
            return True
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        address, name = match.groups()
        if address is not None or _is_address(name):
            return True
        name = name.lower()
        if name in self._names or name.endswith(self._endings):
            return True
        return not self._alone and "." not in name


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return name == "localhost" or (_is_address(name) and ip_address(name).is_loopback)
