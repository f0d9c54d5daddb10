"""What deltas may come from: anything for the operator, for requests what the operator allows."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from server.errors import InvalidRequest
from server.registry.sources.address import Address
from server.registry.sources.allowed import Allowed
from server.registry.sources.directory import asked_source, own_source
from server.registry.sources.source import Source
from server.registry.sources.transfer import Bounds, Transfer
from server.registry.tally import Tally

_NOT_FETCHED = (
    "The server fetches nothing from there for a request: its operator names what may be fetched, "
    "as in --sources 'hf://OWNER/*'. Upload the files instead: polydelta task add NAME DIRECTORY."
)


class Sources:
    """Finds sources by what they are called.

    Requests may name directories beneath `roots` and addresses that fit a pattern of `allowed`.
    """

    def __init__(
        self,
        roots: Sequence[Path] = (),
        allowed: Iterable[str] = (),
        *,
        private: bool = False,
        bounds: Bounds,
        tally: Tally | None = None,
    ) -> None:
        self._roots = roots
        self._allowed = Allowed(allowed)
        self._private = private
        self._bounds = bounds
        self._tally = tally

    def own(self, source: str) -> Source:
        """What the operator names; raises InvalidRequest if that is no source."""
        if is_here(source):
            return Source(own_source(source))
        return Source(Address.read(source), self._private)

    def asked(self, source: str) -> Source:
        """What a request names; raises InvalidRequest, too, if it is not allowed.

        Directories are opened, and nothing else is looked at yet. Raises UnsafeDelta for a delta
        that is a pickle or an archive.
        """
        if is_here(source):
            return Source(asked_source(source, self._roots))
        address = Address.read(source)
        if address not in self._allowed:
            raise InvalidRequest(_NOT_FETCHED, param="source")
        return Source(address, self._private)

    def transfer(self, source: Source, shown: Callable[[int, int], None] | None = None) -> Transfer:
        """Begin to count what comes from a source."""
        if isinstance(source.place, Address):
            what, scheme = str(source.place), source.place.scheme
        else:
            what, scheme = "The delta", "file"
        return Transfer(what, self._bounds, shown, self._tally, scheme)


def origin(source: str) -> str:
    """What anybody may be told of where a delta came from: of directories no path."""
    return "directory" if is_here(source) else str(Address.read(source))


def is_here(source: str) -> bool:
    """Whether a source is a directory of this machine."""
    scheme, mark, _ = source.partition("://")
    return not mark or scheme.lower() == "file"
