"""What a PEFT checkpoint's task type means for a base."""

from deltas.base import BaseSpec
from deltas.delta import TaskType
from deltas.errors import UnsupportedDelta
from deltas.formats.fields import Fields

_TASKS = {
    "CAUSAL_LM": TaskType.GENERATE,
    "SEQ_CLS": TaskType.CLASSIFY,
    "TOKEN_CLS": TaskType.TAG,
    "FEATURE_EXTRACTION": TaskType.EMBED,
}


def read_task(config: Fields, base: BaseSpec) -> TaskType:
    """Take the task type; where none is set, a decoder generates and an encoder embeds.

    Raises UnsupportedDelta for tasks that are not done.
    """
    usual = "CAUSAL_LM" if base.family.causal else "FEATURE_EXTRACTION"
    name = config.text("task_type", usual)
    task = _TASKS.get(name)
    if task is None:
        known = ", ".join(_TASKS)
        raise UnsupportedDelta(f"The task type '{name[:64]}' is not done; known are {known}.")
    return task
