"""What a PEFT checkpoint's task type means for a base."""

from deltas.base import BaseSpec
from deltas.delta import TaskType
from deltas.errors import UnsupportedDelta
from deltas.formats.fields import Fields
from deltas.formats.peft.weights import Weights

_LABELS = "SEQ_CLS"
_QUESTIONS = "QUESTION_ANS"
TASKS = {
    "CAUSAL_LM": TaskType.GENERATE,
    _LABELS: TaskType.CLASSIFY,
    "TOKEN_CLS": TaskType.TAG,
    "FEATURE_EXTRACTION": TaskType.EMBED,
}
"""PEFT's task types, and ours."""
SOURCES = "SEQ_2_SEQ_LM"
"""The one of encoder-decoders alone."""
# Ends of the names of Transformers' classes, which PEFT saves where no task type was set.
_HEADED = {
    "ForSequenceClassification": _LABELS,
    "ForTokenClassification": "TOKEN_CLS",
    "ForQuestionAnswering": _QUESTIONS,
}


def read_task(config: Fields, weights: Weights, base: BaseSpec) -> TaskType:
    """Take the task type; where none is set, the model's class tells what a head is for.

    Without a head, a decoder generates and an encoder embeds. Raises UnsupportedDelta for tasks
    that are not done, and for a head of which nothing is said.
    """
    model = _model_class(config)
    name = config.text("task_type", "")
    if not name and weights.heads:
        name = next((task for end, task in _HEADED.items() if model.endswith(end)), "")
        if not name:
            raise UnsupportedDelta(
                f"The checkpoint holds a head ({', '.join(sorted(weights.heads))}) but no task "
                'type. Set "task_type" in adapter_config.json: "SEQ_CLS" if it labels texts, '
                '"TOKEN_CLS" if it labels words.'
            )
    if base.family.encoder is not None:
        return _of_a_source(name, base)
    return _task(name or ("CAUSAL_LM" if base.family.causal else "FEATURE_EXTRACTION"))


def _of_a_source(name: str, base: BaseSpec) -> TaskType:
    if name in ("", SOURCES):
        return TaskType.GENERATE
    labels = base.family.classifier is not None
    if labels and name == _LABELS:
        return TaskType.CLASSIFY
    raise UnsupportedDelta(
        f"The task type '{name[:64]}' is not done with '{base.name}', an encoder-decoder: it "
        f"writes texts for others: train it as {SOURCES}"
        f"{f', or as {_LABELS} to label them' if labels else ''}."
    )


def _model_class(config: Fields) -> str:
    mapping = config.raw("auto_mapping")
    return str(mapping.get("base_model_class")) if isinstance(mapping, dict) else ""


def _task(name: str) -> TaskType:
    if name == _QUESTIONS:
        raise UnsupportedDelta(
            f"'{_QUESTIONS}' marks where an answer starts and ends in a text, which is not done. "
            "Train it as TOKEN_CLS, to tag the answer's words, or as CAUSAL_LM, to write it."
        )
    task = TASKS.get(name)
    if task is None:
        known = ", ".join(TASKS)
        raise UnsupportedDelta(f"The task type '{name[:64]}' is not done; known are {known}.")
    return task
