"""Fields: the engine's errors name what is at fault in its own words, a route in its clients'."""

from collections.abc import AsyncIterator
from typing import Any

from fastapi import Depends

from server.errors import RequestError


def fields(**names: str) -> Any:
    """A router's dependency: errors that blame one of the keywords blame its value instead."""

    async def rename() -> AsyncIterator[None]:
        try:
            yield
        except RequestError as error:
            error.param = names.get(error.param or "", error.param)
            raise

    return Depends(rename)
