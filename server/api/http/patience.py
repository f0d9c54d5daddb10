"""Patience: how slow a client may be."""

LIMIT = 30.0
"""Seconds for which a client may send or take nothing."""

LEAST_RATE = 8 << 10
"""Bytes a second that it must send or take on the whole."""


class Patience:
    """Seconds that are `left` for waiting; whatever moves earns some back, up to the limit.

    So n bytes never take longer than LIMIT + n / LEAST_RATE seconds of waiting.
    """

    def __init__(self) -> None:
        self.left = LIMIT

    def spend(self, seconds: float, moved: int) -> None:
        """Count seconds of waiting in which so many bytes moved."""
        self.left = min(LIMIT, self.left - seconds + moved / LEAST_RATE)
