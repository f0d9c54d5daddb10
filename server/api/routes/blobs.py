"""`/v1/blobs`: deltas' files, for other servers of the same registry and nobody else."""

from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

from server.api.dependencies import EngineDep
from server.registry.supply.peers import is_peer

router = APIRouter(prefix="/v1/blobs", include_in_schema=False)


# On another thread: it looks at the disk.
@router.get("/{digest}/{name}", response_class=FileResponse)
def blob_file(
    digest: str, name: str, engine: EngineDep, authorization: Annotated[str, Header()] = ""
) -> FileResponse:
    """Send one file; who does not know the servers' secret learns nothing of what is here."""
    path = None
    if is_peer(authorization.removeprefix("Bearer ")):
        path = engine.registry.file(digest, name)
    if path is None:
        raise HTTPException(404)
    return FileResponse(path)
