"""What stops a measurement, or one run of it."""

from deltas.errors import PolydeltaError


class BenchError(PolydeltaError):
    """The measurement could not be made."""

    code = "bench_error"


class GivenUp(BenchError):
    """A run took longer than it may; the others go on."""

    code = "given_up"
