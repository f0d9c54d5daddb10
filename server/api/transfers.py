"""Transfers of requests: deltas that come from elsewhere, while whoever puts them waits."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated, TypeAlias

from fastapi import Depends, Request

from server.registry.names import TaskName
from server.registry.sources.transfer import Transfer


class Transfers:
    """Those under way, and for which tasks: at most one for each place of `Writes`.

    For one event loop.
    """

    def __init__(self) -> None:
        self._under_way: list[tuple[TaskName, str, Transfer]] = []

    @contextmanager
    def told(self, name: TaskName, source: str, transfer: Transfer) -> Generator[None]:
        """Tell of a transfer until the end, and what anybody may be told of where it is from."""
        entry = name, source, transfer
        self._under_way.append(entry)
        try:
            yield
        finally:
            self._under_way.remove(entry)

    def of(self, tenant: str) -> list[tuple[str, str, Transfer]]:
        """Those of a tenant's own tasks: what it calls each, its source, and itself.

        The oldest is the first.
        """
        return [
            (name.name, source, transfer)
            for name, source, transfer in self._under_way
            if name.tenant == tenant
        ]


async def _transfers(http: Request) -> Transfers:
    return http.app.state.transfers


TransfersDep: TypeAlias = Annotated[Transfers, Depends(_transfers)]
