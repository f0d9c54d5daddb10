"""Open files: how many the system allows this process, sockets among them."""

import logging
import resource
from contextlib import suppress

_log = logging.getLogger(__name__)

_OTHERS = 256
"""Open files that are no connections: libraries, the store's, uploads, what the engine spills."""


def connections_within(wanted: int) -> int:
    """Raise the limit on open files as far as so many connections need it; return what fits."""
    soft, hard = _limits()
    needed = wanted + _OTHERS
    if soft < needed:
        # Some systems allow less than they say.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), hard))
        soft, _ = _limits()
    fitting = min(wanted, max(soft - _OTHERS, soft // 2))
    if fitting < wanted:
        _log.warning("The limit on open files (ulimit -n) leaves room for %d connections.", fitting)
    return fitting


def _limits() -> tuple[int, int]:
    infinite = resource.RLIM_INFINITY
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (1 << 30 if soft == infinite else soft), (1 << 30 if hard == infinite else hard)
