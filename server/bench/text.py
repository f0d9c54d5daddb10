"""The text that a base is judged by, if none is given."""

from importlib.metadata import PackageNotFoundError, distribution

from server.bench.errors import BenchError


def own_text() -> str:
    """This project's licence and README, as they are installed with it.

    Raises BenchError where it runs without having been installed.
    """
    try:
        installed = distribution("polydelta")
    except PackageNotFoundError:
        raise BenchError("Polydelta is not installed here; give a text with --text.") from None
    licence = installed.read_text("licenses/LICENSE") or ""
    return licence + str(installed.metadata.json["description"])
