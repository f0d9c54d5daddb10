"""`/v1/transfers`: how much has come of the deltas that the server fetches to put them."""

from fastapi import APIRouter
from pydantic import BaseModel

from server.api.dependencies import RegistryDep
from server.api.http.body import BodyRoute
from server.api.transfers import TransfersDep

router = APIRouter(route_class=BodyRoute, prefix="/v1/transfers", tags=["native"])


class TransferBody(BaseModel):
    """A delta on its way in: bytes that have come, of those that are known of so far.

    A file's size is known once the file is begun. Of a server's own `directory` nothing is counted.
    """

    task: str
    source: str
    received: int
    known: int


class TransfersBody(BaseModel):
    """Those for the caller's own tasks, the oldest first."""

    transfers: list[TransferBody]


@router.get("")
async def list_transfers(registry: RegistryDep, transfers: TransfersDep) -> TransfersBody:
    """List the deltas that this server fetches at this moment for who puts them by a source."""
    shown = [
        TransferBody(task=name, source=source, received=each.received, known=each.known)
        for name, source, each in transfers.of(registry.tenant)
    ]
    return TransfersBody(transfers=shown)
