"""What stops a measurement, or one run of it."""

from deltas.errors import PolydeltaError


class BenchError(PolydeltaError):
    """The measurement could not be made."""

    code = "bench_error"


class GivenUp(BenchError):
    """A run took longer than it may; the others go on."""

    code = "given_up"


class Refused(BenchError):
    """A server has no place now; one is to be had after `retry_after` seconds."""

    code = "refused"

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after
