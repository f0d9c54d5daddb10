"""Looking tasks up, for routes that need to know what a task is before they read for it."""

from typing import Annotated, TypeAlias

from fastapi import Depends, Request

from server.api.caller import CallDep
from server.api.dependencies import EngineDep
from server.api.http.connection import while_connected
from server.registry.names import TaskName
from server.registry.version import Version


class LookUp:
    """Finds the version that would answer this request."""

    def __init__(self, http: Request, engine: EngineDep, call: CallDep) -> None:
        self._http = http
        self._engine = engine
        self._call = call

    async def version(self, task: str) -> Version:
        """The version; see `Finder.version`. The request's body must have been read."""
        found = self._engine.finder.version(TaskName(self._call.tenant, task), self._call)
        return await while_connected(self._http.receive, found)


LookUpDep: TypeAlias = Annotated[LookUp, Depends()]
