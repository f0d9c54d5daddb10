"""OpenMP's environment: the same threads for PyTorch whatever the user's variables say."""

import os

from server.system.processors import processors

_DROPPED = (
    *("OMP_DYNAMIC", "OMP_PLACES", "OMP_PROC_BIND", "OMP_THREAD_LIMIT", "OMP_WAIT_POLICY"),
    *("GOMP_CPU_AFFINITY", "KMP_AFFINITY", "KMP_BLOCKTIME", "KMP_HW_SUBSET", "KMP_LIBRARY"),
)
# Rounds in which a thread waits for others before it sleeps, some ten microseconds; by default it
# is milliseconds, which beside other work keep the processor from the thread that is waited for.
# More rounds are faster on a quiet machine, where none has to be woken, and slower on a busy one.
_SPINS = "1000"

_users: dict[str, str | None] = {}
"""What the variables that were changed had been, None for those that had not been set."""


def settle_openmp() -> None:
    """Set OpenMP's variables; it reads them once, when PyTorch is imported."""
    ours = {"OMP_NUM_THREADS": str(processors().threads), "GOMP_SPINCOUNT": _SPINS}
    for name in (*_DROPPED, *ours):
        _users.setdefault(name, os.environ.pop(name, None))
    os.environ.update(ours)


def users_environment() -> dict[str, str]:
    """The environment as the user gave it, for processes that are not ours."""
    ours = {name: value for name, value in os.environ.items() if name not in _users}
    return ours | {name: value for name, value in _users.items() if value is not None}
