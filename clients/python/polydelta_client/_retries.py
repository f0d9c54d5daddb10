"""When to try again, and how long to wait first."""

import math
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from .errors import PolydeltaError

FIRST_WAIT = 0.5  # seconds; doubled on each further attempt
LONGEST_WAIT = 8.0
LONGEST_REQUESTED_WAIT = 120.0

# A program that seeds `random` in each of its processes must not make them all come back at once.
_random = random.SystemRandom()


class Retries:
    """The attempts that one call has left."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._made = 0

    def wait_after(self, failure: PolydeltaError) -> float:
        """Return the seconds before the next attempt, or raise `failure` if there is none."""
        requested = failure.retry_after
        patient = requested is None or requested <= LONGEST_REQUESTED_WAIT
        if not failure.retryable or not patient or self._made >= self._limit:
            raise failure
        self._made += 1
        return self._backoff() if requested is None else requested

    def _backoff(self) -> float:
        ceiling = min(FIRST_WAIT * 2 ** (self._made - 1), LONGEST_WAIT)
        return ceiling * _random.uniform(0.5, 1.0)


def may_retry(status: int, headers: Mapping[str, str]) -> bool:
    """Tell whether a refused request may succeed later; the server's own word on it wins."""
    verdict = headers.get("x-should-retry")
    if verdict in ("true", "false"):
        return verdict == "true"
    return status in (408, 429) or status >= 500


def requested_wait(headers: Mapping[str, str]) -> float | None:
    """Return the wait in seconds that the headers ask for, if they do."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    return _until(value) if seconds is None else seconds


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _until(date: str | None) -> float | None:
    try:
        moment = parsedate_to_datetime(date or "")
    except ValueError:
        return None
    if moment.tzinfo is None:  # "-0000" states UTC without an offset
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
