"""Resolving: tasks that nobody has put are looked for elsewhere, when they are first asked for."""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor

from deltas.errors import PolydeltaError
from server.errors import DeadlineExceeded, QueueFull, ShuttingDown, SourceUnavailable
from server.registry.names import is_plain, shared
from server.registry.registry import Registry
from server.registry.sources.sources import Sources, origin
from server.registry.sources.transfer import Transfer
from server.registry.tally import Counted
from server.registry.version import BASE_NAME

_log = logging.getLogger(__name__)

_AT_ONCE = 4
_ABSENT_SECONDS = 60.0
_MOST_ABSENT = 10_000


class Resolver:
    """Fetches the task NAME from a template's source, in which `{task}` is the name.

    For one event loop. A name is looked for once however many ask for it; what was not found is
    not looked for again for a while. As names are plain, they stay one step of a path.
    """

    def __init__(self, registry: Registry, sources: Sources, template: str) -> None:
        self._registry = registry
        self._sources = sources
        self._template = template
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="resolve")
        self._coming: dict[str, asyncio.Future[bool]] = {}
        self._transfers: set[Transfer] = set()
        self._absent: dict[str, float] = {}

    async def find(self, name: str, patience: float | None) -> bool:
        """Whether a task that is not here has been put by now.

        Raises DeadlineExceeded after `patience` seconds, QueueFull where several names are being
        looked for already, SourceUnavailable where the source fails.
        """
        if not is_plain(name) or name == BASE_NAME:
            return False
        if self._absent.get(name, 0) > time.monotonic():
            self._registry.tally.add(Counted.LOOKUPS, "absent_before")
            return False
        coming = self._coming.get(name)
        if coming is None:
            if len(self._coming) == _AT_ONCE:
                raise QueueFull("Several tasks are being fetched already; try again shortly.")
            loop = asyncio.get_running_loop()
            coming = loop.run_in_executor(self._threads, self._fetch, name)
            self._coming[name] = coming
            coming.add_done_callback(lambda done: self._end(name, done))
        try:
            return await asyncio.wait_for(asyncio.shield(coming), patience)
        except TimeoutError:
            raise DeadlineExceeded(
                f"The task '{name}' is still being fetched; ask for it again."
            ) from None

    def close(self) -> None:
        """Give up what is under way."""
        for transfer in list(self._transfers):
            transfer.cancel()
        self._threads.shutdown(wait=False)

    def _fetch(self, name: str) -> bool:
        named = self._template.replace("{task}", name)
        source = self._sources.own(named)
        transfer = self._sources.transfer(source)
        self._transfers.add(transfer)
        try:
            with self._registry.stage() as staging:
                source.bring(staging, transfer)
                self._registry.put_staged(
                    shared(name), staging, source=origin(named), if_none_match=True
                )
            return True
        except (SourceUnavailable, ShuttingDown):
            raise
        except PolydeltaError as error:
            _log.info("The task %s is not served: %s", name, error)
            return False
        finally:
            self._transfers.discard(transfer)

    def _end(self, name: str, done: "asyncio.Future[bool]") -> None:
        del self._coming[name]
        if done.cancelled():
            return
        failed = done.exception() is not None
        outcome = "failed" if failed else "found" if done.result() else "absent"
        self._registry.tally.add(Counted.LOOKUPS, outcome)
        if outcome != "absent":
            return
        while len(self._absent) >= _MOST_ABSENT:
            del self._absent[next(iter(self._absent))]
        self._absent.pop(name, None)
        self._absent[name] = time.monotonic() + _ABSENT_SECONDS
