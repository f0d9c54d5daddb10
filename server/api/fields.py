"""Fields: the engine's errors name what is at fault in its own words, a route in its clients'.

By `model_not_found` OpenAI's clients, litellm's and LangChain's know a name that nobody has.
"""

from collections.abc import AsyncIterator
from typing import Any

from fastapi import Depends

from server.errors import ModelNotFound, RequestError, TaskNotFound


def fields(**names: str) -> Any:
    """A router's dependency: errors that blame one of the keywords blame its value instead.

    Where tasks are called models, one that is not there is a model that is not.
    """

    async def rename() -> AsyncIterator[None]:
        try:
            yield
        except RequestError as error:
            error.param = names.get(error.param or "", error.param)
            if isinstance(error, TaskNotFound) and error.param == "model":
                raise ModelNotFound(str(error), error.param) from error
            raise

    return Depends(rename)
