"""The need: what a server will take of its memory later, held against what there is."""

import logging
from dataclasses import dataclass

from server.errors import InvalidSettings
from server.system.memory import GIGABYTE, Memory

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Need:
    """What a server holds now and the most that it takes later on this machine, in bytes.

    Keys and values and deltas take their memory when they are first written.
    """

    now: int
    keys_and_values: int
    deltas: int

    @property
    def later(self) -> int:
        """Both together."""
        return self.keys_and_values + self.deltas

    def __str__(self) -> str:
        cached = f"keys and values up to {_gb(self.keys_and_values)} GB more (--kv-cache-gb), "
        return (
            f"{_gb(self.now)} GB, {cached if self.keys_and_values else ''}"
            f"deltas up to {_gb(self.deltas)} GB more (--host-cache-gb)"
        )


def check_need(need: Need, given: Memory) -> None:
    """Say what will be taken, and warn where memory may run out, with the flag to lower.

    Raises InvalidSettings where keys and values alone could never fit.
    """
    room = None if given.most is None else max(0, given.most - need.now)
    if room is not None and need.keys_and_values > room:
        raise InvalidSettings(
            f"Keys and values would take {_gb(need.keys_and_values)} GB where {_gb(room)} GB are "
            f"left{_by(given)}; lower --kv-cache-gb."
        )
    _log.info("Memory: %s.", need)
    if given.left is not None and need.later > given.left:
        _log.warning(
            "That is %s GB more, and %s GB are left%s: lower --kv-cache-gb or --host-cache-gb.",
            _gb(need.later),
            _gb(given.left),
            _by(given),
        )


def _by(given: Memory) -> str:
    limit = given.limit
    return "" if limit is None else f" (limit {_gb(limit.bytes)} GB, {limit.file})"


def _gb(amount: int) -> str:
    return f"{amount / GIGABYTE:.1f}"
