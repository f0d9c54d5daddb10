"""Whether requests need a key: always if the operator says so, else once there was one."""

import logging
from pathlib import Path

from server.registry.keys import KeyRing
from server.registry.layout import KEYED

_log = logging.getLogger(__name__)


class Requirement:
    """Remembers in the store that there were keys, whatever becomes of the database with them."""

    def __init__(self, root: Path, *, always: bool = False) -> None:
        self._mark = root / KEYED
        self._always = always
        self._had = False
        self._told = False

    def remember(self) -> None:
        """From now on requests need a key."""
        self._had = True
        try:
            self._mark.touch()
        except OSError as error:
            _log.error("That there are API keys cannot be written to the store: %s.", error)

    def holds(self, ring: KeyRing) -> bool:
        """Whether requests need a key, if these are all that there are."""
        if ring.required:
            self._told = False
            if not self._had or not self._mark.exists():
                self.remember()
            return True
        self._had = self._had or self._mark.exists()
        if self._had and not self._told:
            self._told = True
            _log.error(
                "There were API keys, and the registry has none any more: nobody is served. "
                "Restore its database from a back-up or add keys (polydelta key add). To serve "
                "without any, stop, remove %s and start again.",
                self._mark,
            )
        return self._had or self._always
