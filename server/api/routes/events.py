"""`/v1/events`: what the server does, told once a second."""

from fastapi import APIRouter, Request, Response

from server.api.http.document import STREAM
from server.api.http.events import event_stream
from server.api.snapshots import SnapshotsDep
from server.metrics.snapshot import Snapshot

router = APIRouter(tags=["operations"])


@router.get("/v1/events", response_model=Snapshot, responses=STREAM)
async def events(http: Request, snapshots: SnapshotsDep) -> Response:
    """Send a snapshot now and each second, as the event `snapshot`, until the client leaves."""
    return await event_stream(http, snapshots.listen(), done=b"")
