"""What stops a measurement."""

from deltas.errors import PolydeltaError


class BenchError(PolydeltaError):
    """The measurement could not be made."""

    code = "bench_error"
