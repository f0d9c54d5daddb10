"""Sources: where a delta comes from, with the right to have it fetched."""

from contextlib import closing
from dataclasses import dataclass

from deltas.folder import Folder
from deltas.formats import files_of
from server.registry.sources.address import Address
from server.registry.sources.fetch import fetch
from server.registry.sources.http import Http
from server.registry.sources.hub import Hub
from server.registry.sources.transfer import Transfer
from server.registry.sources.web import Web
from server.registry.staging import Staging


@dataclass(frozen=True)
class Source:
    """An open directory on this machine, or an address elsewhere.

    `private` says that even the operator's own network may be asked.
    """

    place: Folder | Address
    private: bool = False

    def bring(self, staging: Staging, transfer: Transfer) -> None:
        """Take in the files of the delta that is there; blocking.

        Raises DeltaError, RequestError or SourceUnavailable, each saying what to do.
        """
        if isinstance(self.place, Folder):
            staging.copy(self.place, files_of(self.place, judged=True))
            return
        with transfer.counted():
            self._fetch(self.place, staging, transfer)

    def _fetch(self, place: Address, staging: Staging, transfer: Transfer) -> None:
        if place.scheme in ("s3", "gs", "az"):
            # Only who has such sources waits for that to be loaded.
            from server.registry.sources.objects import Objects

            return fetch(Objects(place, transfer, self.private), staging, transfer)
        with closing(Http(transfer, self.private)) as http:
            hub = place.scheme == "hf"
            remote = Hub(place, http) if hub else Web(str(place), http)
            return fetch(remote, staging, transfer)
