"""The JSON schema that a task's answers keep to, beside its delta."""

import json

from deltas.checkpoint import Checkpoint

ANSWER_SCHEMA = "answer_schema.json"

MAX_SCHEMA = 1 << 16
"""Greatest size of a schema in bytes."""


def read_answer_schema(checkpoint: Checkpoint) -> str:
    """Read the schema as JSON; empty where answers keep to none.

    Raises InvalidDelta if it is no JSON object or too large. Whether it can be enforced depends
    on the base, and is for those to find out who serve it.
    """
    if ANSWER_SCHEMA not in checkpoint.names:
        return ""
    return json.dumps(checkpoint.json(ANSWER_SCHEMA, MAX_SCHEMA), separators=(",", ":"))
