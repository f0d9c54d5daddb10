"""`/v1/events`: what the server does, told once a second."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter, Request, Response

from server.api.dependencies import EngineDep
from server.api.http.document import STREAM
from server.api.http.events import NamedEvent, event_stream
from server.api.http.keys import Permit
from server.api.snapshots import SnapshotsDep
from server.metrics.snapshot import Snapshot

router = APIRouter(tags=["operations"])


@router.get("/v1/events", response_model=Snapshot, responses=STREAM)
async def events(http: Request, engine: EngineDep, snapshots: SnapshotsDep) -> Response:
    """Send a snapshot now and each second, as the event `snapshot`, until the client leaves.

    Once its API key is revoked or expires, the last event is an error.
    """
    permit = Permit(engine.registry.access, http.scope)
    return await event_stream(http, _while_permitted(snapshots.listen(), permit), done=b"")


async def _while_permitted(
    told: AsyncGenerator[NamedEvent], permit: Permit
) -> AsyncGenerator[NamedEvent]:
    async with aclosing(told):
        async for each in told:
            permit.check()
            yield each
