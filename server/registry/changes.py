"""Changes: how tasks are changed by whoever asks for it, one change of a task after another."""

from collections.abc import Generator
from contextlib import contextmanager, suppress

from deltas.errors import DeltaError, PolydeltaError
from server.errors import RequestError
from server.registry.audit import SERVER, Act
from server.registry.catalogue.audit import Audit
from server.registry.catalogue.catalogue import Edit
from server.registry.gate import Gate
from server.registry.keeper import Keeper
from server.registry.keyed_lock import KeyedLock
from server.registry.names import TaskName, check_name, is_plain
from server.registry.tally import Counted, Tally
from server.registry.task import Task


class Changes:
    """Makes changes and counts them; thread-safe. Once the gate is closed it makes none."""

    def __init__(self, gate: Gate, keeper: Keeper, audit: Audit, tally: Tally) -> None:
        self._gate = gate
        self._keeper = keeper
        self._audit = audit
        self._tally = tally
        self._writing = KeyedLock()

    def make(self, name: TaskName, act: Act, edit: Edit) -> Task:
        """Make of a task what `edit` makes of it, and raise what that raises.

        Raises InvalidRequest for a name that is none, InsufficientStorage, RegistryUnavailable.
        """
        with self.asked(act.kind, name, act.who), self.alone(name):
            return self._keeper.change(name, act, edit)

    @contextmanager
    def asked(self, kind: str, name: TaskName, by: str) -> Generator[None]:
        """Count a change that is tried meanwhile, and note it if somebody is refused it.

        Raises InvalidRequest for a name that is none.
        """
        with self._tally.outcome(Counted.CHANGES, kind):
            try:
                check_name(name)
                yield
            except (RequestError, DeltaError) as error:
                self._refused(kind, name, by, error.code)
                raise

    @contextmanager
    def alone(self, name: TaskName) -> Generator[None]:
        """Have nobody else here change a task meanwhile, and the registry stay open."""
        with self._gate.passed(), self._writing.hold(name):
            yield

    def _refused(self, kind: str, name: TaskName, by: str, code: str) -> None:
        if by == SERVER or not is_plain(name.name):
            return
        # What is to be told is why it was refused, and not that this cannot be noted.
        with suppress(PolydeltaError):
            self._audit.refused(name, kind, by, code)
