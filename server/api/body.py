"""Bodies: what every JSON object that a client sends has in common."""

from typing import Any, cast

from pydantic import BaseModel, model_validator


class Body(BaseModel):
    """A JSON object whose fields that are null count as absent."""

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        fields = cast("dict[str, Any]", data)
        return {name: value for name, value in fields.items() if value is not None}
